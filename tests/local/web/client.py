"""A client for many requests: ``requests`` takes several milliseconds of CPU for each."""

import json
from urllib.parse import urlencode

import attr
import urllib3

__all__ = ["Answer", "get", "send"]

_POOL = urllib3.PoolManager(timeout=60, retries=False)


@attr.s(frozen=True, auto_attribs=True)
class Answer:
    """An answer, as ``requests`` has it."""

    status_code: int
    content: bytes

    def json(self):
        return json.loads(self.content)


def get(url, query=None, packed=True):
    return send("GET", url, query, packed=packed)


def send(method, url, query=None, body=None, packed=True):
    """Send a request; a body is sent as JSON, redirects are not followed.

    Args:
        packed: whether the answer may be compressed. TensorBoard compresses the files of plugins
            for each answer, and unpacks those of its frontend where this is not allowed.
    """
    headers = {"Accept-Encoding": "gzip" if packed else "identity"}
    if body is not None:
        headers["Content-Type"] = "application/json"
    if query:
        url += "?" + urlencode(query)
    content = None if body is None else json.dumps(body).encode()
    response = _POOL.urlopen(method, url, headers=headers, body=content, redirect=False)
    return Answer(response.status, response.data)
