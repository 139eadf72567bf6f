"""Reads an answer's body: whole, and within bounds of size and time."""

from typing import Callable, List

import requests
import urllib3.exceptions

__all__ = ["read_body"]

#: No answer of these APIs comes near.
_MOST_BYTES = 64 * 1024 * 1024
_CHUNK = 64 * 1024


def read_body(response: requests.Response, late: Callable[[], bool]) -> bytes:
    """The whole body.

    Args:
        late: whether the attempt's time is over; asked after each piece that comes.

    Raises:
        requests.RequestException: it is broken or too large.
        TimeoutError: it comes too slowly.
    """
    pieces: List[bytes] = []
    size = 0
    raw = response.raw
    # What the socket has, not what fills a buffer: else a slow drip would never be late.
    read = getattr(raw, "read1", None)
    pieces_of = iter(lambda: read(_CHUNK, True), b"") if read else response.iter_content(_CHUNK)
    try:
        for piece in pieces_of:
            pieces.append(piece)
            size += len(piece)
            if size > _MOST_BYTES:
                raise requests.exceptions.ContentDecodingError(
                    "the answer is larger than %d MiB" % (_MOST_BYTES // 2**20)
                )
            if (
                getattr(raw, "length_remaining", None) == 0
                and "content-encoding" not in raw.headers
            ):
                break
            if late():
                raise TimeoutError
    except urllib3.exceptions.DecodeError as error:
        raise requests.exceptions.ContentDecodingError(error) from error
    except urllib3.exceptions.HTTPError as error:
        raise requests.exceptions.ChunkedEncodingError(error) from error
    except BaseException:
        response.close()
        raise
    # Back to the pool; what was not read whole was closed above.
    raw.release_conn()
    return b"".join(pieces)
