"""MD5s as OBS and S3 servers use them: of a whole object, of its parts, and of those together."""

import base64
import hashlib
import os
import re
from typing import Any, Iterable, Iterator, Optional

from modelarts.obs.multipart.plan import layout
from modelarts.obs.stores.base import ObjectInfo

_CHUNK = 128 * 1024


def md5() -> Any:
    """Return a new MD5, which finds damage and is not for security, as FIPS wants to be told."""
    try:
        return hashlib.md5(usedforsecurity=False)
    except TypeError:  # before Python 3.9
        return hashlib.md5()


def md5_of(path: str, sizes: Iterable[int]) -> Iterator[bytes]:
    """Yield the MD5s of a file's parts; fewer if the file is shorter."""
    with open(path, "rb") as file:
        for size in sizes:
            digest, left = md5(), size
            while left:
                chunk = file.read(min(left, _CHUNK))
                if not chunk:
                    return
                digest.update(chunk)
                left -= len(chunk)
            yield digest.digest()


def combined(parts: Iterable[bytes]) -> str:
    """Return the etag of an object that was sent in parts of these MD5s."""
    digest, count = md5(), 0
    for part in parts:
        digest.update(part)
        count += 1
    return "%s-%d" % (digest.hexdigest(), count)


def is_md5(etag: Optional[str]) -> bool:
    """Return True if an ETag can be the MD5 of the content."""
    return etag is not None and re.match(r"[0-9a-f]{32}\Z", etag) is not None


def to_header(digest: bytes) -> str:
    """Return an MD5 as ``Content-MD5`` carries it."""
    return base64.b64encode(digest).decode()


def same(path: str, info: ObjectInfo) -> Optional[bool]:
    """Return True if a file has an object's content: by size, then by MD5 of the whole or of parts.

    None if that is unknown: another client chose the size of the parts, or the etag is no
    MD5, as in buckets that encrypt with keys of KMS.
    """
    if os.path.getsize(path) != info.size:
        return False
    if info.size == 0:
        return True
    known = info.md5 or (info.etag if is_md5(info.etag) else None)
    if known is not None:
        return [known] == [digest.hex() for digest in md5_of(path, [info.size])]
    sizes = layout(info.size)
    if info.etag is None or not info.etag.endswith("-%d" % len(sizes)):
        return None
    return True if combined(md5_of(path, sizes)) == info.etag else None
