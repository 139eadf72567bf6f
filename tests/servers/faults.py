"""A proxy that does to HTTP what networks do, at random but by a seed."""

import http.client
import http.server
import io
import os
import random
import select
import threading
from contextlib import contextmanager

from modelarts._internal.clock import Clock
from tests.servers.http_server import Handler, served

SEED = int(os.environ.get("MODELARTS_TEST_SEED") or random.SystemRandom().randrange(10**6))
#: Whether a request that meets this fault is delivered to the service.
FAULTS = {
    "reset before": False,
    "reset after": True,
    "late": True,
    "truncate": True,
    "garble": True,
    "429": False,
    "503": False,
    "502": False,
    "502 after": True,
    "twice": True,
}


class FaultProxy:
    """Leads to ``target`` (host:port); every call draws its fault, or none.

    Attributes:
        share: how many of the calls meet a fault, from 0 to 1.
        met: how often each fault was met.
    """

    def __init__(self, target, seed, share):
        self.target = target
        self.share = share
        self.met = dict.fromkeys(FAULTS, 0)
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        handler = type("Faulty", (_Handler,), {"proxy": self})
        # One connection after the other, as a session opens them: a request that its client has
        # given up is delivered before the next one comes, so that none overtakes it, and the last
        # one before the proxy is closed.
        self._server = http.server.HTTPServer(("127.0.0.1", 0), handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = "http://127.0.0.1:%d" % self._server.server_port

    def draw(self):
        with self._lock:
            if self._random.random() >= self.share:
                return None, None
            # Lateness takes its time, so it is drawn less often.
            weights = [0.1 if fault == "late" else 1 for fault in FAULTS]
            (fault,) = self._random.choices(list(FAULTS), weights)
            self.met[fault] += 1
            return fault, self._random.random()

    def close(self):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class _Handler(Handler):
    proxy = None

    def _any(self):
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        fault, chance = self.proxy.draw()
        if fault is None:
            return self._answer(*self._deliver(body))
        answer = self._deliver(body) if FAULTS[fault] else None
        self.close_connection = True
        if fault.startswith("reset"):
            return self.reset()
        if fault == "late":
            # Until the client gives up; it does, by its timeout.
            select.select([self.connection], [], [], 30)
            return self.reset()
        if fault in ("429", "503"):
            return self._answer(int(fault), {"Retry-After": "1"}, b"<html>busy</html>")
        if fault.startswith("502"):
            return self._answer(502, {"Content-Type": "text/html"}, b"<html>Bad Gateway</html>")
        status, headers, content = answer
        if fault == "truncate":
            part = content[: int(len(content) * chance)]
            return self._answer(status, headers, part, len(content))
        if fault == "garble":
            place = int(len(content) * chance)
            content = content[:place] + b"\x00{" + content[place + 2 :]
            return self._answer(status, headers, content)
        self.close_connection = False
        # In one piece: a second answer that comes when the next question is on its way could be
        # the answer to that, where both have the same words.
        connection, self.wfile = self.wfile, io.BytesIO()
        for _ in range(2):
            self._answer(status, headers, content)
        answers, self.wfile = self.wfile, connection
        self.wfile.write(answers.getvalue())

    do_GET = do_POST = do_PUT = do_DELETE = _any

    def _deliver(self, body):
        connection = http.client.HTTPConnection(self.proxy.target, timeout=60)
        try:
            headers = {n: v for n, v in self.headers.items() if n.lower() != "connection"}
            connection.request(self.command, self.path, body or None, headers)
            answer = connection.getresponse()
            return answer.status, dict(answer.getheaders()), answer.read()
        finally:
            connection.close()

    def _answer(self, status, headers, content, length=None):
        self.send_response(status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", str(len(content) if length is None else length))
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        self.wfile.write(content)


class Hurried(Clock):
    """Goes by the real time, but does not sleep: this is about answers, not about pauses."""

    def sleep(self, seconds):
        pass


class _Documented(Handler):
    """The documented service over real sockets."""

    cloud = None
    lock = threading.Lock()

    def _any(self):
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.method = self.command
        self.url = "http://%s%s" % (self.headers["Host"], self.path)
        with self.lock:
            status, headers, text = self.cloud._recorded(self.cloud._modelarts)(self)
        self.reply(status, text if isinstance(text, bytes) else text.encode(), headers)

    do_GET = do_POST = do_PUT = do_DELETE = _any


@contextmanager
def served_cloud(cloud):
    """Serve a cloud over real sockets; its ``target`` is the host and port."""
    with served(type("Served", (_Documented,), {"cloud": cloud})) as cloud.target:
        yield cloud
