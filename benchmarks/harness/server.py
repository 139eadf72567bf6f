"""A small fast HTTP server on the loopback address, in a process of its own.

Answers are made before they are asked for, connections are kept alive, nothing is verified: what
it spends is not the client's, and it should keep no client waiting.
"""

import asyncio
import contextlib
import json
import subprocess
import sys
from typing import Dict, Iterator, Optional
from urllib.parse import parse_qs

from benchmarks.harness import answers
from benchmarks.harness.rounds import ROOT

__all__ = ["running"]


@contextlib.contextmanager
def running() -> Iterator[str]:
    """Its address, while it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.harness.server"],
        cwd=str(ROOT),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        yield process.stdout.readline().decode("ascii").strip()
    finally:
        process.stdin.close()  # which it takes as the end
        process.wait()
        process.stdout.close()


class _Answers:
    """Whole responses by request target, made when first asked for."""

    def __init__(self) -> None:
        self.address = ""
        self._made: Dict[bytes, bytes] = {}

    def to(self, method: bytes, target: bytes, body: bytes) -> bytes:
        """The response, headers and all."""
        key = method + target + (body if target.endswith(b"searches") else b"")
        response = self._made.get(key)
        if response is None:
            response = self._made[key] = self._make(method, target.decode("latin-1"), body)
        return response

    def _make(self, method: bytes, target: str, body: bytes) -> bytes:
        path, _, query = target.partition("?")
        if path.endswith("/training-job-searches"):
            asked_for = json.loads(body)
            page = answers.training_jobs(asked_for["offset"], asked_for["limit"])
            return _response(b"200 OK", page)
        if path.startswith("/v2/"):
            return _response(b"200 OK", answers.one_training_job())
        if path.rstrip("/").endswith("/auth/tokens"):
            subject = b"X-Subject-Token: " + b"t" * 512 + b"\r\n"
            return _response(b"201 Created", answers.token(self.address), subject)
        if path.startswith("/v3"):
            return _response(b"200 OK", b"{}")
        if path.rstrip("/").endswith("/visualization-jobs"):
            asked = parse_qs(query)
            number, size = (int(asked.get(name, ["1"])[0]) for name in ("page", "per_page"))
            return _response(b"200 OK", answers.page(number, size))
        # A job, or an object of that content in S3.
        return _response(b"200 OK", answers.one_job())


def _response(status: bytes, body: bytes, further: bytes = b"") -> bytes:
    # The headers that the public gateway sends with an answer.
    return (
        b"HTTP/1.1 " + status + b"\r\n"
        b"Date: Tue, 01 Jan 2030 00:00:00 GMT\r\n"
        b"Content-Type: application/json;charset=UTF-8\r\n"
        b"Content-Length: " + str(len(body)).encode("ascii") + b"\r\n"
        b"Connection: keep-alive\r\n"
        b"Server: api-gateway\r\n"
        b"X-Request-Id: 7f2c4d0e9b1a4c3d8e5f6a7b8c9d0e1f\r\n"
        b"X-Frame-Options: SAMEORIGIN\r\n"
        b"X-Content-Type-Options: nosniff\r\n" + further + b"\r\n" + body
    )


class _Connection(asyncio.Protocol):
    """One client. Pipelining works; chunked request bodies, which no client sends, do not."""

    def __init__(self, made: _Answers) -> None:
        self._answers = made
        self._received = b""
        self._transport: Optional[asyncio.Transport] = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        while True:
            head, found, rest = self._received.partition(b"\r\n\r\n")
            if not found:
                return
            length = _content_length(head)
            if len(rest) < length:
                return
            self._received = rest[length:]
            method, target, _ = head.split(b" ", 2)
            assert self._transport is not None
            self._transport.write(self._answers.to(method, target, rest[:length]))


def _content_length(head: bytes) -> int:
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length":
            return int(value)
    return 0


async def _serve() -> None:
    made = _Answers()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Connection(made), "127.0.0.1", 0)
    made.address = "http://127.0.0.1:%d" % server.sockets[0].getsockname()[1]
    print(made.address, flush=True)
    # Until the program that started it closes the pipe, or is no more.
    await loop.run_in_executor(None, sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
