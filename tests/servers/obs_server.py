"""A stand-in for OBS that verifies each signature, checksum and size, and fails when told to.

OBS's own signature is verified by what its API reference says, Signature Version 4 by botocore.
"""

import base64
import hashlib
import hmac
import http.server
import re
import ssl
import threading
from email.utils import parsedate_to_datetime
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit
from xml.etree import ElementTree
from xml.sax.saxutils import escape

from botocore.auth import S3SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from tests.servers.http_server import Handler

try:
    from fastcrc.crc64 import xz
except ImportError:  # before Python 3.9; the official client's, which is slower
    from crcmod import mkCrcFun

    xz = mkCrcFun(0x142F0E1EBA9EA3693, initCrc=0, rev=True, xorOut=2**64 - 1)

#: What is signed of a query, as far as it is used here.
SUBRESOURCES = ("delete", "partNumber", "uploadId", "uploads")


class Refusal(Exception):
    """An answer that is an error, or not what was asked for.

    Its body is ``content``, if that is given, and else says the code and the message.
    """

    def __init__(self, status, code, message="refused", headers=(), content=None):
        super().__init__(code)
        self.status, self.code, self.message = status, code, message
        self.headers, self.content = dict(headers), content


class ObsServer:
    """Serves buckets from memory.

    Attributes:
        keys: secret key and security token (or None) by access key.
        buckets: objects by bucket and key.
        uploads: unfinished uploads by id.
        before: called with each :class:`Call` before its body is read; may raise Refusal, or Cut.
        during: called with a Call and the bytes of its body so far; may raise Cut.
        arrived: answers what arrives of a Call's body, and so may do damage to it.
        etag: answers a part's etag, its MD5 as a rule.
        chunk: bytes that are read and written at once.
        smallest_part: bytes of a part that is not the last one, at the least.
        crc64: computes what is verified and answered; None: these headers are not known.
        refuses: whether it takes nothing that has another CRC-64 than was said.
        ranges: whether it answers a part of an object where that is asked for.
        after: called with a Call when all is done and nothing is answered; may raise Cut.
        calls: what was asked.
        closing: what is to be closed before it.
        tls: who asks it as a proxy for TLS gets to it by that.
    """

    def __init__(self, keys, is_obs=True):
        self.keys = dict(keys)
        self.is_obs = is_obs
        self.buckets = {"b": {}}
        self.uploads = {}
        self.calls = []
        self.closing = []
        self.tls = None
        self.received = 0
        self.connections = 0
        self.busy = 0
        self.page = 1000
        self.chunk = 64 * 1024
        self.smallest_part = 100 * 1024
        self.crc64 = xz
        self.refuses = self.ranges = True
        self.before = self.during = self.after = lambda *arguments: None
        self.arrived = lambda call, body: body
        self.etag = lambda part: hashlib.md5(part).hexdigest()
        self.lock = threading.Lock()
        handler = type("Handler", (_Handler,), {"server_": self})
        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))
        self._thread.start()
        self.url = "http://127.0.0.1:%d" % self._server.server_port

    def close(self):
        for each in self.closing:
            each.close()
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class Cut(Exception):
    """The connection is to be cut."""


class Call:
    """A request to the server."""

    def __init__(self, handler):
        self.method = handler.command
        self.headers = handler.headers
        parts = urlsplit(handler.path)
        host = parts.netloc or handler.headers["Host"]
        self.by_proxy = bool(parts.netloc)
        path = parts.path
        self.raw_path = path
        self.raw_query = parts.query
        self.query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if re.match(r"[0-9.]+(:|$)", host):
            self.virtual = False
            _, self.bucket, *rest = path.split("/", 2)
            self.raw_key = rest[0] if rest else ""
        else:
            self.virtual = True
            self.bucket, self.raw_key = host.partition(".obs.")[0], path[1:]
        self.key = unquote(self.raw_key)
        self.host = host
        self.crc64_header = "x-%s-checksum-crc64ecma" % ("obs" if self.virtual else "amz")
        self.crc64 = handler.headers.get(self.crc64_header)

    def __repr__(self):
        return "%s %s?%s" % (self.method, self.raw_path, self.raw_query)


class _Handler(Handler):
    server_ = None

    def setup(self):
        super().setup()
        with self.server_.lock:
            self.server_.connections += 1

    def version_string(self):
        return "OBS" if self.server_.is_obs else "S3"

    def _any(self):
        server, call = self.server_, Call(self)
        self._left = int(self.headers.get("Content-Length") or 0)
        with server.lock:
            server.calls.append(call)
        try:
            server.before(call)
            body = server.arrived(call, self._read(call))
            self._verify(call)
            given = self.headers.get("Content-MD5")
            if given is not None and base64.b64decode(given) != hashlib.md5(body).digest():
                raise Refusal(400, "BadDigest", "The Content-MD5 you specified did not match")
            told = self._crc64(call, body) if call.method == "PUT" else {}
            with server.lock:
                status, headers, content = self._do(call, body)
            headers.update(told)
            server.after(call)
        except Refusal as refusal:
            if self._left:
                self.rfile.read(self._left)
            content = (
                "<Error><Code>%s</Code><Message>%s</Message><RequestId>8DF4</RequestId>"
                "<StringToSign>%s</StringToSign></Error>"
                % (refusal.code, refusal.message, server.keys)
            ).encode()
            status, headers = refusal.status, dict(refusal.headers)
            content = content if refusal.content is None else refusal.content
        except Cut:
            self.close_connection = True
            return self.reset()
        self.send_response(status)
        self.send_header("x-obs-request-id", "8DF4")
        headers.setdefault("Content-Length", str(len(content)))
        for name, value in headers.items():
            self.send_header(name, value)
        if self.close_connection:
            self.send_header("Connection", "close")
        self.end_headers()
        if call.method != "HEAD":
            try:
                while content:
                    server.during(call, content)
                    sent, content = content[: server.chunk], content[server.chunk :]
                    self.wfile.write(sent)
            except Cut:
                self.close_connection = True

    def _counted(self):
        with self.server_.lock:
            self.server_.busy += 1
        try:
            self._any()
        finally:
            with self.server_.lock:
                self.server_.busy -= 1

    do_GET = do_POST = do_PUT = do_DELETE = do_HEAD = _counted

    def do_CONNECT(self):
        self.send_response(200)
        self.end_headers()
        self.connection = self.server_.tls.wrap_socket(self.connection, server_side=True)
        self.rfile, self.wfile = self.connection.makefile("rb"), self.connection.makefile("wb", 0)
        self.close_connection = False

    def _crc64(self, call, body):
        if self.server_.crc64 is None or call.crc64 is None:
            return {}
        value = str(self.server_.crc64(body))
        if value != call.crc64 and self.server_.refuses:
            raise Refusal(400, "BadDigest", "The CRC-64 you specified did not match")
        return {call.crc64_header: value}

    def _read(self, call):
        body = bytearray()
        while self._left:
            chunk = self.rfile.read1(min(self._left, self.server_.chunk))
            if not chunk:
                raise Cut
            self._left -= len(chunk)
            body += chunk
            with self.server_.lock:
                self.server_.received += len(chunk)
            self.server_.during(call, len(body))
        return bytes(body)

    # Who -----------------------------------------------------------------------------------

    def _verify(self, call):
        given = self.headers.get("Authorization", "")
        if given.startswith("OBS "):
            key, _, signature = given[4:].partition(":")
            secret = self._known(key, self.headers.get("x-obs-security-token"))
            expected = obs_signature(call, secret)
        elif given.startswith("AWS4-HMAC-SHA256 "):
            fields = dict(part.strip().split("=", 1) for part in given[17:].split(","))
            key, _, region, _, _ = fields["Credential"].split("/")
            signature = fields["Signature"]
            secret = self._known(key, self.headers.get("x-amz-security-token"))
            expected = v4_signature(call, key, secret, region, fields["SignedHeaders"])
        else:
            raise Refusal(403, "AccessDenied", "Anonymous access is forbidden")
        if signature != expected:
            raise Refusal(403, "SignatureDoesNotMatch")

    def _known(self, key, token):
        if key not in self.server_.keys:
            raise Refusal(403, "InvalidAccessKeyId", "The access key does not exist")
        secret, wanted = self.server_.keys[key]
        if wanted != token:
            raise Refusal(403, "InvalidToken")
        return secret

    # What ----------------------------------------------------------------------------------

    def _do(self, call, body):
        server = self.server_
        objects = server.buckets.get(call.bucket)
        if objects is None:
            raise Refusal(404, "NoSuchBucket", "The specified bucket does not exist")
        if not call.key:
            return self._bucket(call, objects, body)
        if "uploads" in call.query:
            upload = "upload-%d" % len(server.calls)
            server.uploads[upload] = (call.bucket, call.key, {})
            return _xml("InitiateMultipartUploadResult", "<UploadId>%s</UploadId>" % upload)
        if "uploadId" in call.query:
            return self._upload(call, objects, body)
        source = self.headers.get("x-%s-copy-source" % ("obs" if call.virtual else "amz"))
        if call.method == "PUT" and source is not None:
            bucket, _, key = unquote(source).lstrip("/").partition("/")
            if key not in server.buckets.get(bucket, {}):
                raise Refusal(404, "NoSuchKey", "The specified key does not exist")
            objects[call.key] = server.buckets[bucket][key]
            return _xml(
                "CopyObjectResult",
                "<ETag>%s</ETag><LastModified>2026-07-21T01:02:03.000Z</LastModified>"
                % escape(objects[call.key][1]),
            )
        if call.method == "PUT":
            objects[call.key] = (body, '"%s"' % hashlib.md5(body).hexdigest())
            return 200, {"ETag": objects[call.key][1]}, b""
        if call.method == "DELETE":
            objects.pop(call.key, None)
            return 204, {}, b""
        if call.key not in objects:
            raise Refusal(404, "NoSuchKey", "The specified key does not exist")
        content, etag = objects[call.key]
        headers = {"ETag": etag, "Last-Modified": "Sat, 21 Nov 2026 01:02:03 GMT"}
        if self.headers.get("If-Match") not in (None, etag.strip('"')):
            raise Refusal(412, "PreconditionFailed")
        ranged = server.ranges and re.match(r"bytes=(\d+)-(\d+)", self.headers.get("Range") or "")
        if ranged:
            content = content[int(ranged.group(1)) : int(ranged.group(2)) + 1]
        if call.method == "HEAD":
            headers["Content-Length"] = str(len(content))
        if server.crc64 is not None and not ranged:
            headers[call.crc64_header] = str(server.crc64(objects[call.key][0]))
        return (206 if ranged else 200), headers, content

    def _bucket(self, call, objects, body):
        if call.method == "HEAD":
            return 200, {}, b""
        if "delete" in call.query:
            tree = ElementTree.fromstring(body)
            for key in tree.iter("Key"):
                objects.pop(key.text, None)
            return _xml("DeleteResult", "")
        prefix, marker = call.query.get("prefix", ""), call.query.get("marker", "")
        keys = sorted(objects, key=lambda key: key.encode())
        keys = [key for key in keys if key.startswith(prefix) and key.encode() > marker.encode()]
        shown = keys[: self.server_.page]
        inside = "<EncodingType>url</EncodingType><IsTruncated>%s</IsTruncated>" % (
            "true" if len(shown) < len(keys) else "false"
        )
        for key in shown:
            content, etag = objects[key]
            inside += (
                "<Contents><Key>%s</Key><Size>%d</Size><ETag>%s</ETag>"
                "<LastModified>2026-07-21T01:02:03.000Z</LastModified></Contents>"
                % (quote(key, safe="/"), len(content), escape(etag))
            )
        return _xml("ListBucketResult", inside)

    def _upload(self, call, objects, body):
        server, upload = self.server_, call.query["uploadId"]
        if upload not in server.uploads:
            raise Refusal(404, "NoSuchUpload")
        _, _, parts = server.uploads[upload]
        if call.method == "PUT":
            parts[int(call.query["partNumber"])] = body
            return 200, {"ETag": '"%s"' % server.etag(body)}, b""
        if call.method == "DELETE":
            del server.uploads[upload]
            return 204, {}, b""
        if call.method == "GET":
            after = int(call.query.get("part-number-marker", 0))
            numbers = sorted(number for number in parts if number > after)
            shown = numbers[: self.server_.page]
            inside = "".join(
                "<Part><PartNumber>%d</PartNumber><Size>%d</Size><ETag>&quot;%s&quot;</ETag></Part>"
                % (number, len(parts[number]), server.etag(parts[number]))
                for number in shown
            )
            inside += "<IsTruncated>%s</IsTruncated>" % str(len(shown) < len(numbers)).lower()
            if shown:
                inside += "<NextPartNumberMarker>%d</NextPartNumberMarker>" % shown[-1]
            return _xml("ListPartsResult", inside)
        wanted = [int(one.text) for one in ElementTree.fromstring(body).iter("PartNumber")]
        if any(number not in parts for number in wanted) or wanted != sorted(set(wanted)):
            raise Refusal(400, "InvalidPart")
        if any(len(parts[number]) < server.smallest_part for number in wanted[:-1]):
            raise Refusal(400, "EntityTooSmall")
        digests = b"".join(bytes.fromhex(server.etag(parts[number])) for number in wanted)
        etag = '"%s-%d"' % (hashlib.md5(digests).hexdigest(), len(wanted))
        content = b"".join(parts[number] for number in wanted)
        told = self._crc64(call, content)
        objects[call.key] = (content, etag)
        del server.uploads[upload]
        answer = _xml("CompleteMultipartUploadResult", "<ETag>%s</ETag>" % escape(etag))
        answer[1].update(told)
        return answer

    def finish(self):
        super().finish()
        if isinstance(self.connection, ssl.SSLSocket):
            self.connection.close()


def _xml(name, inside):
    return 200, {"Content-Type": "application/xml"}, ("<%s>%s</%s>" % (name, inside, name)).encode()


def obs_signature(call, secret):
    """*OBS API Reference*, "Authentication of Signature in a Header"."""
    own = sorted(
        (name.lower(), value)
        for name, value in call.headers.items()
        if name.lower()[:6] == "x-obs-"
    )
    names = [name for name, _ in own]
    resource = "/%s/%s" % (call.bucket, call.raw_key)
    signed = sorted((name, value) for name, value in call.query.items() if name in SUBRESOURCES)
    if signed:
        told = [name if value == "" else "%s=%s" % (name, value) for name, value in signed]
        resource += "?" + "&".join(told)
    text = "\n".join(
        [
            call.method,
            call.headers.get("Content-MD5", ""),
            call.headers.get("Content-Type", ""),
            "" if "x-obs-date" in names else call.headers["Date"],
            *("%s:%s" % pair for pair in own),
            resource,
        ]
    )
    return base64.b64encode(hmac.new(secret.encode(), text.encode(), "sha1").digest()).decode()


def v4_signature(call, key, secret, region, signed):
    """As botocore makes it of what arrived."""
    url = "http://%s%s" % (call.headers["Host"], call.raw_path)
    if call.raw_query:
        # Each is to be decoded and encoded anew; botocore takes a URL as it is.
        url += "?" + urlencode(call.query, quote_via=quote, safe="")
    request = AWSRequest(call.method, url)
    for name in signed.split(";"):
        request.headers[name] = call.headers[name]
    moment = parsedate_to_datetime(call.headers["Date"])
    request.context["timestamp"] = moment.strftime("%Y%m%dT%H%M%SZ")
    signer = S3SigV4Auth(Credentials(key, secret), "s3", region)
    text = signer.string_to_sign(request, signer.canonical_request(request))
    return signer.signature(text, request)
