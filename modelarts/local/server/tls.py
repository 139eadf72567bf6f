"""The same application with TLS, beside the plain one on loopback.

Hypercorn reads requests without giving each connection a thread, so that clients that say nothing,
or half a request, hold up nobody.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from threading import Thread
from typing import TYPE_CHECKING, Any, Iterable

from hypercorn.asyncio import serve
from hypercorn.config import Config
from hypercorn.middleware import AsyncioWSGIMiddleware
from werkzeug.wsgi import ClosingIterator

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

#: Of a body that is too long, so many times the allowed bytes are still read before the answer.
_MAX_DROPPED = 64
#: A client that reads nothing of what it asked for is disconnected after so many milliseconds.
_UNREAD_MS = 60_000


class TlsServer:
    """Serves in a thread until it is closed.

    Args:
        certificate: the files of the certificate and of its key.
        threads: how many requests are worked on at once.
        max_body: bytes of a request's body.
    """

    def __init__(
        self,
        app: WSGIApplication,
        listening: socket.socket,
        certificate: tuple[str, str],
        threads: int,
        max_body: int,
    ) -> None:
        self._app = app
        self._max_body = max_body
        self._wrapped: Any = AsyncioWSGIMiddleware(self._answer, max_body)
        self._threads = threads
        self._config = Config()
        if hasattr(socket, "TCP_USER_TIMEOUT"):  # of Linux; connections have it from the listener
            listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, _UNREAD_MS)
        # It closes what it is given.
        self._config.bind = [f"fd://{os.dup(listening.fileno())}"]
        self._config.certfile, self._config.keyfile = certificate
        self._config.alpn_protocols = ["http/1.1"]
        self._config.h11_max_incomplete_size = 32 * 1024
        self._config.keep_alive_timeout = 60.0
        self._config.ssl_handshake_timeout = 10.0
        self._config.read_timeout = 60
        self._config.graceful_timeout = 0.5
        self._config.include_server_header = False
        self._config.accesslog = None
        self._config.errorlog = None
        self._loop = asyncio.new_event_loop()
        self._end: Future[None] = Future()
        self._thread = Thread(target=self._run, name="tls", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        # Of each client that breaks off, asyncio would say so.
        logging.getLogger("asyncio").setLevel(logging.CRITICAL)
        self._thread.start()

    def close(self) -> None:
        """Serve no more."""
        self._end.set_result(None)
        self._thread.join(timeout=10)

    def _run(self) -> None:
        with ThreadPoolExecutor(self._threads, "tls") as pool:
            self._loop.set_default_executor(pool)
            try:
                self._loop.run_until_complete(
                    serve(self._bounded, self._config, shutdown_trigger=self._ended, mode="asgi")
                )
            finally:
                self._loop.close()

    async def _ended(self) -> None:
        await asyncio.wrap_future(self._end)

    async def _bounded(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request; one whose body is too long is refused, and not kept."""
        if scope["type"] != "http":
            await self._wrapped(scope, receive, send)
            return
        if scope["http_version"] not in ("1.0", "1.1"):
            # hypercorn takes HTTP/2 from a client that begins with it, which is not offered: its
            # many requests on a connection would have no limit.
            await _refuse(send, 505, [])
            return
        body = await self._body(receive)
        if body is None:
            await _refuse(send, 413, [(b"connection", b"close")])
            return

        async def received() -> Any:
            return {"type": "http.request", "body": body}

        await self._wrapped(scope, received, send)

    async def _body(self, receive: Any) -> bytes | None:
        """A request's body; None where it is too long or did not come whole.

        Who is still sending when the connection ends does not see the answer, so the rest is read.
        """
        parts: list[bytes] = []
        length = 0
        while length <= _MAX_DROPPED * self._max_body:
            message = await receive()
            if message["type"] == "http.disconnect":
                return None
            length += len(message["body"])
            if length <= self._max_body:
                parts.append(message["body"])
            else:
                parts.clear()
            if not message["more_body"]:
                return b"".join(parts) if length <= self._max_body else None
        return None

    def _answer(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        parts = self._app(environ, start_response)
        # It sends no headers before the first part.
        return ClosingIterator(chain(parts, [b""]), getattr(parts, "close", None))


async def _refuse(send: Any, status: int, more: list[tuple[bytes, bytes]]) -> None:
    headers = [*more, (b"content-length", b"0")]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body"})
