"""Reads the log of a training while it grows, line by line."""

from itertools import islice
from typing import TYPE_CHECKING, Any, Iterator, List, Mapping, Optional

from modelarts._fields import to_int
from modelarts.errors import ApiError, ModelArtsError, NotFound, TransportError
from modelarts.training import v2

if TYPE_CHECKING:
    from modelarts.http.client import ServiceClient

#: Bytes that are read at once: what a follower holds is a small multiple of it.
_CHUNK = 1024 * 1024
#: A line without an end is passed on when it is so long.
_LONGEST_LINE = 1024 * 1024
#: The newest part of a log of more bytes is not read again and again: its link is read instead.
_LARGE = 256 * 1024
#: The most seconds between two looks at the newest part, where the link has all of the log.
_RARELY = 30.0
#: Seconds until a link that did not have all of the log is tried again.
_RETRIAL = 60.0
#: Events in which the reason of an end is looked for, the newest.
_EVENTS = 50


class LogFollower:
    """Reads what has been added to the log of one task since the last look.

    The newest part of a log comes with one call, of at most 5 MB; what is before it, and all of a
    log whose link is up to date, is read from the link with ``Range``. Lines are counted by bytes,
    so none is lost or doubled where a connection is cut. The link is a secret and is kept in this
    object only.

    Args:
        client: the client of the session.
        job_id: the id of the training.
        task_id: the name of the task.
    """

    def __init__(self, client: "ServiceClient", job_id: str, task_id: str) -> None:
        self._client = client
        self._job_id = job_id
        self._task_id = task_id
        #: The number of bytes of the log that have been read.
        self.offset = 0
        #: The number of bytes that could not be read.
        self.missing = 0
        self._rest: List[bytes] = []
        self._rest_size = 0
        self._link: Optional[str] = None
        #: True while the link is read, and the newest part only looked at for what it lacks.
        self._uses_link = False
        self._next_preview = 0.0
        self._next_probe = 0.0
        self._pause = 1.0
        self._is_behind = False

    @property
    def is_behind(self) -> bool:
        """True if there are bytes that neither the newest part nor the link has at present."""
        return self._is_behind

    def poll(self, fresh: bool = False) -> Iterator[str]:
        """Yield the lines that are complete now, without their ends.

        Args:
            fresh: True to look at the newest part in any case.

        Raises:
            ApiError: the service refused a request, but for a log that does not exist yet.
            TransportError: no answer, or an unreadable one; the next call goes on from there.
        """
        read_any = False
        if self._uses_link:
            for piece in self._from_link(None):
                read_any = True
                yield from self._lines(piece)
        now = self._client.monotonic()
        if fresh or not self._uses_link or (not read_any and now >= self._next_preview):
            yield from self._newest(False)

    def finish(self) -> Iterator[str]:
        """Yield what is left when nothing will be added any more: also a line without an end.

        Bytes that cannot be had are left out, and a line in their place says so.
        """
        if self._is_behind:
            yield from self._newest(True)
        if self._rest_size:
            yield self._take_rest()

    def _newest(self, gives_up: bool) -> Iterator[str]:
        """Yield the lines up to the end of the newest part."""
        while True:
            try:
                part = v2.log_preview(self._client, self._job_id, self._task_id)
            except NotFound:
                return  # no log yet
            full = to_int(part.get("full_size"), "full_size") or 0
            now = self._client.monotonic()
            self._next_preview = now + self._pause
            if full <= self.offset:
                self._pause = min(2 * self._pause, _RARELY)
                return
            content = (part.get("content") or "").encode("utf-8", "surrogatepass")
            size = to_int(part.get("current_size"), "current_size")
            begin = full - (len(content) if size is None else size)
            del part
            # Bytes that are no UTF-8 were replaced, so that positions in it mean nothing.
            exact = size is None or size == len(content)
            before = self.offset
            if self._uses_link or not exact or begin > self.offset:
                # What lies before the newest part is in the object that the link leads to.
                for piece in self._from_link(full):
                    yield from self._lines(piece)
            if self.offset < full and exact and begin <= self.offset:
                self._next_probe = now + (_RETRIAL if self._uses_link else 0)
                self._uses_link = False
                yield from self._lines(content[self.offset - begin :])
            self._is_behind = self.offset < full
            if not self._is_behind:
                if full > _LARGE and now >= self._next_probe and not self._uses_link:
                    self._uses_link, self._pause = True, 1.0
                return
            if gives_up:
                yield from self._skip_to(max(begin, self.offset), content if exact else b"", full)
                return
            if self.offset == before:
                return  # the object is brought up to date later

    def _skip_to(self, begin: int, content: bytes, full: int) -> Iterator[str]:
        """Go on after bytes that cannot be read any more, and say so in a line."""
        lost = begin - self.offset
        if not content:
            lost, begin = full - self.offset, full
        if self._rest_size:
            yield self._take_rest()
        self.missing += lost
        self.offset, self._is_behind = begin, False
        if lost:
            yield "[%d bytes of the log are not available]" % lost
        if content:
            yield from self._lines(content)

    def _from_link(self, end: Optional[int]) -> Iterator[bytes]:
        """Yield what the link has from the offset on, up to an end if there is one."""
        fresh = False
        while end is None or self.offset < end:
            operation = "read the log of training job %s" % self._job_id
            try:
                if self._link is None:
                    self._link = v2.log_link(self._client, self._job_id, self._task_id)
                    fresh = True
                length = _CHUNK if end is None else min(_CHUNK, end - self.offset)
                piece = self._client.read_link(self._link, self.offset, length, operation)
            except ApiError as error:
                had_one, self._link = self._link is not None, None
                if had_one and not fresh and error.status_code < 500:
                    continue  # its time was over
                self._uses_link = False
                self._next_probe = self._client.monotonic() + _RETRIAL
                if isinstance(error, NotFound) or (had_one and error.status_code < 500):
                    return  # no log there
                raise
            except TransportError:
                self._link = None if fresh else self._link
                raise
            if not piece:
                return
            yield piece
            if len(piece) < length:
                return

    def _lines(self, piece: bytes) -> Iterator[str]:
        """Yield the lines that these further bytes complete."""
        self.offset += len(piece)
        end = piece.find(b"\n")
        if end >= 0:
            self._keep(piece[:end])
            yield self._take_rest()
            last = piece.rfind(b"\n")
            if last > end:
                # All at once, as there may be many; no character goes over the end of a line.
                for line in piece[end + 1 : last].decode("utf-8", "replace").split("\n"):
                    yield line.rstrip("\r")
            piece = piece[last + 1 :]
        self._keep(piece)
        if self._rest_size >= _LONGEST_LINE:
            yield self._take_rest()

    def _keep(self, piece: bytes) -> None:
        if piece:
            self._rest.append(piece)
            self._rest_size += len(piece)

    def _take_rest(self) -> str:
        line = b"".join(self._rest)
        self._rest, self._rest_size = [], 0
        return line.decode("utf-8", "replace").rstrip("\r")


def last_lines(client: "ServiceClient", job_id: str, task_id: str, count: int) -> List[str]:
    """Return the last lines of a log; none where there is no log."""
    try:
        part = v2.log_preview(client, job_id, task_id)
    except NotFound:
        return []
    text: str = part.get("content") or ""
    # From the end, as there may be 5 MB.
    return text[-64 * 1024 :].splitlines()[-count:]


def why_ended(client: "ServiceClient", job_id: str, known: Mapping[str, Any], lines: int) -> str:
    """Return the reason of an end and the last lines of the log, for the end of a sentence.

    Lines that cannot be fetched are left out, so that the end is reported in any case.
    """
    text = ": %s" % known["reason"] if known.get("reason") else ""
    try:
        newest = list(islice(v2.events(client, job_id, "desc"), _EVENTS))
        errors = [entry for entry in newest if str(entry.get("level")).lower() == "error"]
        messages = [str(entry.get("message")) for entry in reversed(errors[:3])]
        fresh = [message for message in messages if message not in text]
        if fresh:
            text += "%s %s" % (";" if text else ":", "; ".join(fresh))
    except ModelArtsError:
        pass
    try:
        task = (known.get("tasks") or [v2.TASK])[0]
        shown = last_lines(client, job_id, task, lines)
    except ModelArtsError:
        shown = []
    if shown:
        text += "\nThe last lines of its log:\n  " + "\n  ".join(line[:500] for line in shown)
    return text
