"""HTTP servers in threads, for tests that need real sockets."""

import http.server
import json
import socket
import struct
import threading
from contextlib import contextmanager

__all__ = ["Handler", "Metadata", "served"]


class Handler(http.server.BaseHTTPRequestHandler):
    """Writes no log, and bears clients that go away."""

    protocol_version = "HTTP/1.1"

    def reply(self, status, content, headers=()):
        """Send an answer with its length."""
        self.send_response(status)
        for name, value in dict(headers).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def reset(self):
        """Cut the connection, as a network does."""
        linger = struct.pack("ii", 1, 0)
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self.connection.close()

    def handle(self):
        try:
            super().handle()
        except OSError:
            pass

    def finish(self):
        try:
            super().finish()
        except (OSError, ValueError):
            pass

    def log_message(self, *arguments):
        pass


@contextmanager
def served(handler, server=http.server.ThreadingHTTPServer):
    """Serve on loopback until the end of the block; returns the host and port."""
    with server(("127.0.0.1", 0), handler) as listening:
        listening.daemon_threads = True
        thread = threading.Thread(target=listening.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield "127.0.0.1:%d" % listening.server_port
        finally:
            listening.shutdown()
            thread.join()


class Metadata(Handler):
    """The metadata service of a server; ``token`` is None where it knows no tokens.

    Each time it is asked, it has other keys.
    """

    token = "metadata-token"
    status = 200
    expires_at = "2099-01-01T00:00:00.000000Z"
    given = 0

    def do_PUT(self):
        ok = self.token is not None and self.headers["X-Metadata-Token-Ttl-Seconds"].isdigit()
        self.reply(200 if ok else 405, (self.token or "").encode())

    def do_GET(self):
        if self.headers.get("X-Metadata-Token") != self.token:
            return self.reply(401, b"")
        type(self).given += 1
        keys = {
            "access": "ECS%d" % self.given,
            "secret": "secret-of-the-server",
            "securitytoken": "token-of-the-server",
            "expires_at": self.expires_at,
        }
        self.reply(self.status, json.dumps({"credential": keys}).encode())
