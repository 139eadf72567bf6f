"""The documented exceptions of MoXing's file calls.

They are kinds of ``OSError`` too, so that code which catches that works for both kinds of paths.
"""

import errno
from contextlib import contextmanager
from typing import Iterator, NamedTuple, Optional

from modelarts.errors import ApiError, TransferError


class Response(NamedTuple):
    """The parts of a response of OBS that say why it refused.

    The names are those of the official client of OBS.
    """

    status: int
    errorCode: Optional[str]
    errorMessage: Optional[str]
    requestId: Optional[str]


class MoxFileRespException(OSError):
    """OBS refused a request; ``resp`` is its response."""

    def __init__(self, *args: object, resp: Optional[Response] = None) -> None:
        super().__init__(*args)
        self.resp = resp


class MoxFileReadException(MoxFileRespException):
    """An object could not be read to its end, or is not what was sent."""


class MoxFileNotExistsException(MoxFileRespException, FileNotFoundError):
    """The file, object or folder does not exist."""

    @classmethod
    def of(cls, url: str) -> "MoxFileNotExistsException":
        """Return the error for a path.

        Args:
            url: the path.

        Returns:
            The error, with the ``errno`` and ``filename`` of a ``FileNotFoundError``.
        """
        message = "there is no such file or folder"
        response = Response(404, "NoSuchKey", message, None)
        return cls(errno.ENOENT, message, url, resp=response)


class MoxFileNameDuplicateException(OSError):
    """A folder of OBS has an object and a folder of one name, which no disk can hold."""


@contextmanager
def refusals() -> Iterator[None]:
    """Map the errors of the SDK to those of MoXing."""
    try:
        yield
    except ApiError as error:
        response = Response(error.status_code, error.error_code, error.error_msg, error.request_id)
        raise MoxFileRespException(str(error), resp=response) from error
    except TransferError as error:
        raise MoxFileReadException(str(error)) from error
