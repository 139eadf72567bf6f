"""The server of the OBS API, separate from the service's own because bodies are large."""

from __future__ import annotations

import socket
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryFile
from threading import Thread
from typing import Any, cast

from waitress import wasyncore
from waitress.buffers import BytesIOBasedBuffer, TempfileBasedBuffer
from waitress.channel import HTTPChannel
from waitress.server import BaseWSGIServer, create_server

from modelarts.local.obs_api.app import ObjectsApi
from modelarts.local.obs_api.request import LARGEST
from modelarts.local.web.waitress import MAX_BODY_IN_MEMORY, Channel, Parser

_THREADS = 8


class ObjectsServer:
    """Serves requests in a thread until it is closed.

    Args:
        staging: the folder for bodies while they are received.
        max_connections: more are not accepted before others have ended.
    """

    def __init__(
        self, api: ObjectsApi, listening: socket.socket, staging: Path, max_connections: int
    ) -> None:
        server = create_server(
            api,
            sockets=[listening],
            threads=_THREADS,
            # A little more, so that a body of one byte too many gets the error of OBS.
            max_request_body_size=LARGEST + 1024**2,
            max_request_header_size=32 * 1024,
            connection_limit=max_connections,
            channel_timeout=60,
            asyncore_use_poll=True,
            recv_bytes=256 * 1024,
            inbuf_overflow=MAX_BODY_IN_MEMORY,
            # The bytes that are held in memory for a slow client.
            outbuf_high_watermark=1024**2,
            outbuf_overflow=MAX_BODY_IN_MEMORY,
            # The value of OBS, which clients check.
            ident="OBS",
            clear_untrusted_proxy_headers=True,
        )
        self._server = cast(BaseWSGIServer, server)
        self._server.channel_class = _channel(api, staging)
        self._thread = Thread(target=self._server.run, name="obs", daemon=True)

    def start(self) -> None:
        """Start to serve requests."""
        self._thread.start()

    def close(self) -> None:
        """Stop to serve requests. Incomplete bodies are discarded."""
        server: Any = self._server
        # In the server's own thread, which waits on these sockets.
        server.trigger.pull_trigger(lambda: wasyncore.close_all(server._map, ignore_all=True))
        self._thread.join(timeout=10)
        server.task_dispatcher.shutdown(timeout=1)


def _channel(api: ObjectsApi, staging: Path) -> type[HTTPChannel]:
    class Staging(Parser):
        """Keeps a body on disk if its request has a valid signature; otherwise discards it."""

        def parse_header(self, header_plus: bytes) -> None:
            super().parse_header(header_plus)
            if self.body_rcv is None:
                return
            head: Any = self
            headers = {name.lower().replace("_", "-"): self.headers[name] for name in self.headers}
            is_kept = api.admits(head.command.upper(), head.request_uri, headers)
            body: Any = self.body_rcv
            body.buf = _Staged(staging) if is_kept else _Dropped()

    class Staged(Channel):
        parser_class = Staging

    return Staged


class _Staged(TempfileBasedBuffer):
    """A body in an unnamed file, which does not outlive the service."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        super().__init__()

    def newfile(self) -> Any:
        try:
            return TemporaryFile("w+b", dir=self._folder)
        except OSError as error:
            return _Unwritable(error)

    def append(self, s: Any) -> None:
        try:
            super().append(s)
        except OSError as error:
            # The disk is full. The rest is discarded, and the client gets an error.
            self.file = _Unwritable(error)


class _Unwritable(BytesIO):
    """Takes the place of a file that could not be written: reading it raises the error."""

    def __init__(self, error: OSError) -> None:
        super().__init__()
        self._error = error

    def seek(self, *arguments: int) -> int:
        raise self._error


class _Dropped(BytesIOBasedBuffer):
    """A body of which only the length is known."""

    def append(self, s: Any) -> None:
        self.remain += len(s)
