"""How requests are read off the wire: what waitress does not guard against by itself."""

from __future__ import annotations

import re
import socket
from contextlib import suppress
from typing import Any, cast

from waitress.channel import ClientDisconnected, HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

#: Bytes of a body, or of a response, that are kept in memory; more are kept in a file. There may
#: be as many of each as there are connections.
MAX_BODY_IN_MEMORY = 64 * 1024
#: What is read at once of a body in chunks: all of it is copied for each chunk in it.
_PIECE = 4096
#: Bytes of the line before a chunk, and of what follows the last one.
_MOST_BESIDE = 16 * 1024
#: A header that goes on in the next line. Source: RFC 9112, 5.2.
_FOLDED = re.compile(rb"\r\n[ \t]")
_ENCODINGS = re.compile(rb"\r\ntransfer-encoding[ \t]*:([^\r\n]*)", re.IGNORECASE)


class Parser(HTTPRequestParser):
    """Refuses what waitress would stumble over, and what a proxy may read otherwise.

    Where two programs read a request differently, a part of it is another request to one of them.
    """

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request."""
        if _FOLDED.search(header_plus):
            raise ParsingError("A header goes on in the next line.")
        encodings = _ENCODINGS.findall(header_plus)
        if len(encodings) > 1 or b"," in b"".join(encodings):
            raise ParsingError("There is more than one Transfer-Encoding.")
        try:
            super().parse_header(header_plus)
        except ValueError:
            # Lengths of thousands of digits, targets with half a bracket.
            raise ParsingError("The head makes no sense.") from None
        if self.version not in ("", "1.0", "1.1"):
            raise ParsingError("The version is neither HTTP/1.0 nor HTTP/1.1.")
        if "TRANSFER_ENCODING" in self.headers:  # it is removed where it is followed
            raise ParsingError("Transfer-Encoding is of HTTP/1.1.")
        if self.chunked and "CONTENT_LENGTH" in self.headers:
            raise ParsingError("There are Transfer-Encoding and Content-Length.")
        if isinstance(self.body_rcv, ChunkedReceiver):
            self.body_rcv = cast(Any, _Chunks(cast(Any, self.body_rcv).buf))


class Channel(HTTPChannel):
    """A connection whose requests are read so, and whose client has to read what it asked for.

    Attributes:
        stall_seconds: a thread waits for so long for a client that reads too little.
        min_read: how many bytes a client has to read meanwhile.
    """

    parser_class = Parser
    stall_seconds = 30.0
    min_read = 64 * 1024
    _is_closing = False

    @property
    def will_close(self) -> bool:
        """True if the connection is to be closed as soon as possible."""
        return self._is_closing

    @will_close.setter
    def will_close(self, value: bool) -> None:
        self._is_closing = value
        this: Any = self
        if value and this.total_outbufs_len and this.socket is not None:
            # waitress closes a connection when it can be written to, which one whose client does
            # not read never can.
            with suppress(OSError):
                this.socket.shutdown(socket.SHUT_RDWR)

    def send_continue(self) -> None:
        """Ask for the body, unless there is none to come: waitress would wait for it forever."""
        if not cast(Any, self).request.completed:
            super().send_continue()

    def _flush_outbufs_below_high_watermark(self) -> None:
        """Wait until the client has read most of a response.

        Raises:
            ClientDisconnected: it reads too little. Other clients need this thread.
        """
        this: Any = self
        most = this.adj.outbuf_high_watermark
        with this.outbuf_lock:
            while this.connected and this.total_outbufs_len > most:
                before = this.total_outbufs_len
                this.server.pull_trigger()
                is_read = this.outbuf_lock.wait(self.stall_seconds)
                if not is_read and before - this.total_outbufs_len < self.min_read:
                    self.will_close = True
                    raise ClientDisconnected


class _Chunks(ChunkedReceiver):
    """A body in chunks, which holds up nobody else and takes no memory but for its content."""

    def received(self, s: bytes) -> int:
        """Take some bytes more; returns how many were."""
        this: Any = self
        taken = 0
        while taken < len(s) and not this.completed and this.error is None:
            taken += int(super().received(s[taken : taken + _PIECE]))
            if len(this.control_line) + len(this.trailer) > _MOST_BESIDE:
                this.error = BadRequest("The chunks make no sense.")
        return taken
