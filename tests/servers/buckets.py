"""An S3 server on loopback that keeps account of what is asked of it, and can refuse."""

import socket
import threading
from collections import namedtuple

from moto.server import create_backend_app
from obs import ObsClient
from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

Asked = namedtuple("Asked", "method path range access_key token status size")


class _Quiet(WSGIRequestHandler):
    protocol_version = "HTTP/1.1"  # connections are kept, as OBS does

    def log(self, *arguments):
        pass


class Buckets:
    """moto's S3 server, with a gate before it.

    ``asked`` is every request that came; ``refuse`` is a function from a request to the status
    and the code of a refusal, or None.
    """

    secret_key = "the-secret-key-of-the-buckets"
    access_key = "BUCKETSACCESSKEY"

    def __init__(self):
        self.asked = []
        self.refuse = lambda request: None
        self._app = create_backend_app("s3")
        # Nobody else is given the port while this is stopped.
        self._held = socket.socket()
        self._held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._held.bind(("127.0.0.1", 0))
        self._start(self._held.getsockname()[1])

    def _start(self, port):
        self._server = make_server(
            "127.0.0.1", port, self._gate, threaded=True, request_handler=_Quiet
        )
        self.port = self._server.server_port
        self.endpoint = "http://127.0.0.1:%d" % self.port
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )
        self._thread.start()

    def stop(self):
        """No answers any more."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def close(self):
        """No answers any more, and anybody may have the port."""
        self.stop()
        self._held.close()

    def start_again(self):
        """Answers again, at the same address."""
        self._start(self.port)

    def _gate(self, environ, start_response):
        request = Request(environ)
        refusal = self.refuse(request)
        if refusal is not None:
            status, code = refusal
            body = "<Error><Code>%s</Code><Message>no</Message></Error>" % code
            answer = Response(body, status, content_type="application/xml")
            self._note(request, status, 0)
            return answer(environ, start_response)

        def noted(status, headers, exc_info=None):
            size = int(dict(headers).get("Content-Length", 0))
            self._note(request, int(status.split()[0]), size)
            return start_response(status, headers, exc_info)

        return self._app(environ, noted)

    def _note(self, request, status, size):
        self.asked.append(
            Asked(
                request.method,
                request.path,
                request.headers.get("Range"),
                access_key_of(request),
                request.headers.get("X-Amz-Security-Token"),
                status,
                size,
            )
        )

    def client(self):
        """The official OBS client, as training uses it."""
        return ObsClient(
            access_key_id=self.access_key, secret_access_key=self.secret_key, server=self.endpoint
        )

    def make(self, bucket):
        """Make a bucket."""
        assert self.client().createBucket(bucket).status == 200

    def put(self, bucket, key, content):
        """Upload an object whole."""
        assert self.client().putContent(bucket, key, content).status == 200

    def delete(self, bucket, key):
        """Delete an object."""
        assert self.client().deleteObject(bucket, key).status == 204

    def reads(self, path):
        """The requests for that object's content."""
        return [one for one in self.asked if one.method == "GET" and one.path == path]


def access_key_of(request):
    """Return the access key that signed a request."""
    signed = request.headers.get("Authorization", "").partition(" ")[2]
    if signed.startswith("Credential="):
        return signed[len("Credential=") :].partition("/")[0]
    return signed.partition(":")[0]
