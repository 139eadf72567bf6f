"""The OBS API over the folder in place of OBS, as far as clients need it for files.

It supports buckets, objects and uploads in parts. Other features of OBS (access control lists,
versions, own metadata, …) are refused with ``NotImplemented``, so that no client relies on them.

Source: *OBS API Reference*, "APIs".
"""

from __future__ import annotations

import logging
import uuid
from typing import TYPE_CHECKING, Callable, Iterable, Mapping

from werkzeug.wrappers import Request, Response

from modelarts._internal.clock import Clock
from modelarts.errors import ApiError, ConfigurationError
from modelarts.local.errors import GatewayFailure
from modelarts.local.identity.authentication import Authentication
from modelarts.local.identity.buckets import BucketAccess
from modelarts.local.identity.rate_limit import Rate
from modelarts.local.obs_api.auth import Asked, Refusal, signer_of
from modelarts.local.obs_api.handlers import Call
from modelarts.local.obs_api.request import Sent
from modelarts.local.obs_api.storage import Objects
from modelarts.local.obs_api.xml import as_refusal, refused
from modelarts.local.web.headers import COMMON
from modelarts.local.web.hosts import Reach
from modelarts.local.web.security import check_names

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIEnvironment

_LOG = logging.getLogger("modelarts.local")


class ObjectsApi:
    """The WSGI application.

    Args:
        has_bucket: returns True if a bucket or mount of a name exists, in upper or lower case.
        rate: the limit of calls for each user, and for each address without a user.
    """

    def __init__(
        self,
        objects: Objects,
        authentication: Authentication,
        buckets: BucketAccess,
        has_bucket: Callable[[str], bool],
        reach: Reach,
        rate: Rate,
        clock: Clock,
    ) -> None:
        self._objects = objects
        self._authentication = authentication
        self._buckets = buckets
        self._has_bucket = has_bucket
        self._reach = reach
        self._rate = rate
        self._clock = clock

    def admits(self, method: str, target: str, headers: Mapping[str, str]) -> bool:
        """Return True if the body of a request is to be kept, by its head."""
        try:
            signer_of(Asked.of(method, target, headers), self._authentication, self._clock.time())
        except Refusal:
            return False
        return True

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Return the response to a request."""
        request_id = uuid.uuid4().hex.upper()
        request = Request(environ)
        amazon = request.headers.get("Authorization", "").startswith("AWS")
        prefix = "x-amz-" if amazon else "x-obs-"
        try:
            answer = self._answer(request)
        except Refusal as refusal:
            answer = refused(refusal, request_id)
        except ApiError as error:
            answer = refused(as_refusal(error), request_id)
        except OSError as error:
            reason = error.strerror or "Internal error"
            _LOG.warning("OBS request %s: %s", request_id, reason)
            answer = refused(Refusal(500, "InternalError", reason + "."), request_id)
        except ConfigurationError as error:
            _LOG.error("OBS request %s: %s", request_id, error)
            answer = refused(Refusal(500, "InternalError", "Internal error."), request_id)
        except Exception:
            _LOG.exception("request %s: internal error", request_id)
            answer = refused(Refusal(500, "InternalError", "Internal error."), request_id)
        if answer.status_code >= 400:
            _LOG.info(
                "OBS request %s: %s %s from %s: HTTP %d",
                request_id,
                ascii(request.method)[1:-1][:20],
                ascii(request.path)[1:-1][:200],
                request.remote_addr,
                answer.status_code,
            )
        answer.headers.extend([(prefix + "request-id", request_id), *COMMON])
        return answer(environ, start_response)

    def _answer(self, request: Request) -> Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        target = str(request.environ.get("REQUEST_URI", "/"))
        asked = Asked.of(request.method, target, headers)
        try:
            check_names(request, self._reach, asked.host, "")
        except GatewayFailure as failure:
            raise Refusal(failure.status, "AccessDenied", failure.message) from None
        if asked.method == "HEAD" and not asked.key and "apiversion" in asked.query:
            # The official client negotiates the signature with an unsigned request.
            return Response(headers={"x-obs-api": "3.0"})
        try:
            caller = signer_of(asked, self._authentication, self._clock.time())
        except Refusal:
            self._count(f"address {request.remote_addr}")
            raise
        self._count(f"user {caller.user.user_id}")
        sent = Sent(asked, request.environ["wsgi.input"])
        region = self._authentication.users().region_name
        call = Call(self._objects, self._buckets, self._has_bucket, sent, caller, region)
        return call.answer()

    def _count(self, client: str) -> None:
        if self._rate.take(client):
            raise Refusal(503, "SlowDown", "Too many calls; reduce your request rate.")
