"""A server that takes objects as OBS does, and forgets them: ``python -m benchmarks.harness.sink``.

It answers what OBS answers (etags included, so each byte is hashed once, and the CRC-64 of those
that came with one), verifies no signature, waits before each answer if it is told to, and cuts
connections while it receives. One thread for each connection, in a process of its own. ``GET
/-/stats`` tells what it has received; any query there sets ``wait`` (seconds), ``cuts`` (a number),
``seed``, ``over`` (bytes among which the cuts are drawn) and ``all`` (1: every connection is cut,
not just the one that receives).
"""

import contextlib
import hashlib
import json
import os
import random
import socket
import struct
import subprocess
import sys
import threading
import time
from typing import Any, Dict, Iterator, List, Set, Tuple
from urllib.parse import parse_qs, urlsplit

from fastcrc.crc64 import xz

from benchmarks.harness.rounds import ROOT

__all__ = ["running"]

_CRC64 = "x-amz-checksum-crc64ecma"
_RESET = struct.pack("ii", 1, 0)
_Answer = Tuple[int, Dict[str, str], bytes]


class _Cut(Exception):
    """This connection was cut."""


class _Body:
    """The state of a body that comes in.

    Args:
        headers: with a CRC-64 among them it is computed, too, as OBS does then.
    """

    def __init__(self, headers: Dict[str, str]) -> None:
        self.length = int(headers.get("content-length", "0"))
        self._md5 = hashlib.md5()
        self._crc64 = 0 if _CRC64 in headers else None

    def take(self, block: Any) -> None:
        self._md5.update(block)
        if self._crc64 is not None:
            self._crc64 = xz(block, self._crc64)

    @property
    def etag(self) -> str:
        return self._md5.hexdigest()

    def told(self) -> Dict[str, str]:
        told = {"ETag": '"%s"' % self.etag}
        if self._crc64 is not None:
            told[_CRC64] = str(self._crc64)
        return told


class _Sink:
    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.connections: Set[socket.socket] = set()
        self.wait = 0.0
        self.cut_all = False
        self.cuts: List[int] = []
        self.reset()

    def reset(self) -> None:
        self.received = 0
        self.cut = 0
        self.requests = 0
        self.parts: Dict[str, Dict[int, Tuple[str, int]]] = {}
        self.etag = ""
        self.held: List[Tuple[str, int]] = []
        self.size = 0

    def configure(self, query: Dict[str, List[str]]) -> None:
        self.reset()
        self.wait = float(query.get("wait", ["0"])[0])
        self.cut_all = query.get("all") == ["1"]
        drawn = random.Random(int(query.get("seed", ["0"])[0]))
        over = int(query.get("over", ["1"])[0])
        count = int(query.get("cuts", ["0"])[0])
        self.cuts = sorted(drawn.randrange(over) for _ in range(count))

    def took(self, connection: socket.socket, count: int) -> None:
        with self.lock:
            self.received += count
            if not self.cuts or self.received < self.cuts[0]:
                return
            self.cuts.pop(0)
            self.cut += 1
            others = [one for one in self.connections if self.cut_all and one is not connection]
        for other in others:
            with contextlib.suppress(OSError):
                other.shutdown(socket.SHUT_RDWR)
        raise _Cut

    def answer(self, method: str, target: str, body: "_Body") -> _Answer:
        parts = urlsplit(target)
        query = parse_qs(parts.query, keep_blank_values=True)
        if parts.path == "/-/stats":
            stats = {
                "received": self.received,
                "cut": self.cut,
                "requests": self.requests,
                "etag": self.etag,
                "size": self.size,
                "parts": self.held,
            }
            if query:
                self.configure(query)
            return 200, {}, json.dumps(stats).encode()
        self.requests += 1
        if self.wait:
            time.sleep(self.wait)
        if method == "POST" and "uploads" in query:
            upload = "%d" % time.monotonic_ns()
            self.parts[upload] = {}
            return 200, {}, _xml("InitiateMultipartUploadResult", UploadId=upload)
        if method == "PUT" and "partNumber" in query:
            with self.lock:
                sent = self.parts[query["uploadId"][0]]
                sent[int(query["partNumber"][0])] = (body.etag, body.length)
            return 200, body.told(), b""
        if method == "POST" and "uploadId" in query:
            found = sorted(self.parts.pop(query["uploadId"][0]).items())
            whole = hashlib.md5(b"".join(bytes.fromhex(etag) for _, (etag, _) in found))
            self.etag = "%s-%d" % (whole.hexdigest(), len(found))
            self.held = [part for _, part in found]
            self.size = sum(size for _, (_, size) in found)
            return 200, {}, _xml("CompleteMultipartUploadResult", ETag='"%s"' % self.etag)
        if method == "PUT":
            return 200, body.told(), b""
        return 204 if method == "DELETE" else 200, {}, b""


def _xml(name: str, **fields: str) -> bytes:
    inside = "".join("<%s>%s</%s>" % (tag, text, tag) for tag, text in fields.items())
    return ("<%s>%s</%s>" % (name, inside, name)).encode()


def _serve(sink: _Sink, connection: socket.socket) -> None:
    buffer = memoryview(bytearray(1024 * 1024))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    file = connection.makefile("rb", buffering=0)
    rest = b""
    try:
        while True:
            while b"\r\n\r\n" not in rest:
                more = connection.recv(4096)
                if not more:
                    return
                rest += more
            head, _, rest = rest.partition(b"\r\n\r\n")
            lines = head.decode("latin-1").split("\r\n")
            method, target, _ = lines[0].split(" ")
            headers = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines)}
            if headers.get("expect", "").lower() == "100-continue":
                connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = _Body(headers)
            left = body.length
            if rest:
                first, rest = rest[:left], rest[left:]
                body.take(first)
                left -= len(first)
                sink.took(connection, len(first))
            while left:
                count = file.readinto(buffer[: min(left, len(buffer))])
                if not count:
                    return
                body.take(buffer[:count])
                left -= count
                sink.took(connection, count)
            status, extra, content = sink.answer(method, target, body)
            told = "".join("%s: %s\r\n" % pair for pair in extra.items())
            answer = "HTTP/1.1 %d OK\r\nServer: OBS\r\n%sContent-Length: %d\r\n\r\n"
            connection.sendall((answer % (status, told, len(content))).encode() + content)
    except _Cut:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
    except OSError:
        pass
    finally:
        file.close()
        with sink.lock:
            sink.connections.discard(connection)
        connection.close()


def _main() -> None:
    sink = _Sink()
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    print("http://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    while True:
        connection, _ = listener.accept()
        with sink.lock:
            sink.connections.add(connection)
        threading.Thread(target=_serve, args=(sink, connection), daemon=True).start()


@contextlib.contextmanager
def running() -> Iterator[str]:
    """The sink, in a process of its own; its address."""
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.harness.sink"],
        cwd=str(ROOT),
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        universal_newlines=True,
    )
    try:
        assert process.stdout is not None
        yield process.stdout.readline().strip()
    finally:
        process.terminate()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


if __name__ == "__main__":
    _main()
