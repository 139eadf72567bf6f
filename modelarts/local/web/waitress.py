"""How requests are read off the wire: what waitress does not guard against by itself."""

from __future__ import annotations

import re
import socket
import time
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
#: From this share of the allowed connections on, each new one takes the place of another.
_FULL = 0.9
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
    """A connection whose client has to send what it began, and to read what it asked for.

    Attributes:
        stall_seconds: a thread waits for so long for a client that reads too little.
        min_read: how many bytes a client has to read meanwhile.
        look_seconds: how often it is looked whether a request or a response goes on.
        min_rate: how many bytes a second of it have to arrive, on average since the last look.
    """

    parser_class = Parser
    stall_seconds = 10.0
    min_read = 64 * 1024
    look_seconds = 30.0
    min_rate = 1024
    _is_closing = False

    def __init__(self, *arguments: Any, **options: Any) -> None:
        self._moved = 0
        self._looked_at = self._began = time.monotonic()
        self._seen: tuple[object, int] = (None, 0)
        super().__init__(*arguments, **options)
        _make_room(self)

    def readable(self) -> bool:
        """Return True if more requests are to be read; called at least once a second."""
        now = time.monotonic()
        if now - self._looked_at >= self.look_seconds:
            self._look(now - self._looked_at)
            self._looked_at = now
        return bool(super().readable())

    def received(self, data: bytes) -> bool:
        """Take what was received."""
        self._moved += len(data)
        return bool(super().received(data))

    def send(self, data: bytes, do_close: bool = True) -> int:
        """Send what the client can take; return how many bytes that were."""
        sent: int = super().send(data, do_close)
        self._moved += sent
        return sent

    def use(self, now: float) -> tuple[int, float] | None:
        """Return how much this connection is used, for comparison; None if a thread works for it.

        Those without a request come first, those that are idle for long before others; then those
        whose request or response goes on slowly.
        """
        this: Any = self
        if this.requests or self._is_closing:
            return None
        if this.request is None and not this.total_outbufs_len:
            return 0, this.last_activity
        return 1, self._moved / (now - self._began + 1)

    def _look(self, seconds: float) -> None:
        """Close the connection if a request, or a response, was too slow since the last look."""
        this: Any = self
        part = this.outbufs[0] if this.total_outbufs_len else this.request
        before, moved = self._seen
        self._seen = part, self._moved
        is_slow = self._moved - moved < self.min_rate * seconds
        if part is not None and part is before and is_slow:
            self.will_close = True

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


def _make_room(new: Channel) -> None:
    """Close the connection that is used least, if there are almost as many as there may be."""
    this: Any = new
    channels = this.server.active_channels
    if len(channels) < this.adj.connection_limit * _FULL:
        return
    now = time.monotonic()
    uses = [(channel.use(now), channel) for channel in channels.values() if channel is not new]
    idle = [each for each in uses if each[0] is not None]
    if idle:
        min(idle, key=lambda each: each[0])[1].will_close = True


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
