"""How requests are read off the wire: what waitress does not guard against by itself."""

from __future__ import annotations

from typing import Any, cast

from waitress.channel import HTTPChannel
from waitress.parser import HTTPRequestParser, ParsingError
from waitress.receiver import ChunkedReceiver
from waitress.utilities import BadRequest

__all__ = ["Channel", "Parser"]

#: What is read at once of a body in chunks: all of it is copied for each chunk in it.
_PIECE = 4096
#: Bytes of the line before a chunk, and of what follows the last one.
_MOST_BESIDE = 16 * 1024


class Parser(HTTPRequestParser):
    """Refuses what waitress would stumble over."""

    def parse_header(self, header_plus: bytes) -> None:
        """Read the head of a request."""
        try:
            super().parse_header(header_plus)
        except ValueError:
            # Lengths of thousands of digits, targets with half a bracket.
            raise ParsingError("The head makes no sense.") from None
        if isinstance(self.body_rcv, ChunkedReceiver):
            self.body_rcv = cast(Any, _Chunks(cast(Any, self.body_rcv).buf))


class Channel(HTTPChannel):
    """A connection whose requests are read so."""

    parser_class = Parser

    def send_continue(self) -> None:
        """Ask for the body, unless there is none to come: waitress would wait for it forever."""
        if not cast(Any, self).request.completed:
            super().send_continue()


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
