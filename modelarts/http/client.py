"""The client of one service in one project, for the calls of an API."""

from __future__ import annotations

import json
import re
from typing import Any, Callable, Iterable, Mapping, Optional, Tuple, Union
from urllib.parse import parse_qsl, quote, urlsplit

from modelarts.errors import ApiError, InvalidArgument, NotFound, RequestKind, TransportError
from modelarts.http.auth import Authorizer, canonical_query
from modelarts.http.errors import read_json, read_part
from modelarts.http.models import Request, Response
from modelarts.http.transport import Transport

#: The code with which a gateway says that it knows no such API.
NO_SUCH_API = "APIG.0101"


class Dialect:
    """The API version of the service of a session.

    Attributes:
        name: ``"v1"`` or ``"v2"``; None until the first call has shown it.
        trainings: likewise for the trainings of the V1 Estimator, which a service with v1 may not
            have.
    """

    __slots__ = ("name", "trainings")

    def __init__(self, name: Optional[str]) -> None:
        self.name = name
        self.trainings: Optional[str] = None


class ServiceClient:
    """Calls one service with one authorizer.

    Args:
        dialect: the version of the API; the clients of a session share it.
        endpoint: the service's address, resolved when first needed.
        project_id: the project's id, likewise.
    """

    def __init__(
        self,
        transport: Transport,
        authorizer: Authorizer,
        endpoint: Callable[[], str],
        project_id: Callable[[], str],
        dialect: Optional[Dialect] = None,
    ) -> None:
        self.dialect = dialect or Dialect("v1")
        self._transport = transport
        self._authorizer = authorizer
        self._endpoint = endpoint
        self._project_id = project_id

    @property
    def project_id(self) -> str:
        """The project's id, encoded for paths."""
        return self._project_id()

    @property
    def sort_parameter(self) -> str:
        """The name of a list's sort key for this way of authorizing."""
        return self._authorizer.sort_parameter

    def now(self) -> float:
        """Return the time by the service's clock, to a second, in seconds since the epoch."""
        return self._transport.skew.now_by_latest()

    def monotonic(self) -> float:
        """Return monotonic seconds, for measuring."""
        return self._transport.clock.monotonic()

    def call(
        self,
        operation: str,
        method: str,
        path: str,
        query: Optional[Iterable[Tuple[str, str]]] = None,
        body: Union[None, bytes, str, Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
        check: Optional[Callable[[Any], Optional[str]]] = None,
    ) -> Any:
        """Send a request and return the parsed JSON of the response; None for an empty response.

        A ``body`` that is not a text is sent as JSON. ``check`` returns the reason why a response
        is not usable, or None.

        Raises:
            ApiError: the service refused.
            TransportError: no answer, or none that can be read.
        """
        if body is None:
            content = b""
        elif isinstance(body, bytes):
            content = body
        else:
            content = (body if isinstance(body, str) else json.dumps(body)).encode("utf-8")
        sent = {"X-Project-Id": self.project_id}
        sent.update(headers or {})
        request = Request(
            method,
            self._endpoint(),
            path,
            query=canonical_query(query) if query else "",
            headers=sent,
            body=content,
            operation=operation,
            kind=RequestKind.SERVICE_CALL,
        )

        def read(response: Response, request: Request) -> Any:
            answer = read_json(response, request)
            wrong = check(answer) if check is not None else None
            if wrong is not None:
                raise self.unreadable(operation, wrong)
            return answer

        return self._transport.fetch(request, self._authorizer, read)

    def read_link(self, link: str, first: int, length: int, operation: str) -> Optional[bytes]:
        """Return bytes of an object, by a link that the service gave, without authorization.

        Anybody with such a link can read the object, so it is in no log, error or repr.

        Args:
            link: the address of the object.
            first: the number of the first byte.
            length: the greatest number of bytes.

        Returns:
            The bytes; fewer than asked for where the object ends. None if it ends before them.

        Raises:
            ApiError: the link is not accepted, as after its time.
            TransportError: no answer, or one with other bytes.
        """
        parts = urlsplit(link)
        if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
            raise self.unreadable(operation, "the link is not a web address")
        request = Request(
            "GET",
            "%s://%s" % (parts.scheme, parts.netloc),
            parts.path or "/",
            query=parts.query,
            headers={
                "Range": "bytes=%d-%d" % (first, first + length - 1),
                "Accept": "*/*",
                "Accept-Encoding": "identity",
            },
            operation=operation,
            is_secret=True,
        )
        return self._transport.fetch(
            request, None, lambda response, request: read_part(response, request, first, length)
        )

    def request(
        self,
        method: str,
        path: str,
        query: Optional[Mapping[str, object]] = None,
        body: Union[None, bytes, str, Mapping[str, Any]] = None,
        headers: Optional[Mapping[str, str]] = None,
    ) -> Any:
        """Call any path, in the form in which a user writes it.

        The path may have a query; a list as a value repeats its name.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
        """
        if not isinstance(method, str) or not method.isalpha():
            raise InvalidArgument("method", method, "an HTTP method, such as 'GET'")
        if not isinstance(path, str) or not path.startswith("/") or "#" in path or path[:2] == "//":
            raise InvalidArgument("path", path, "a path that starts with one '/'")
        bare, _, in_path = path.partition("?")
        pairs = parse_qsl(in_path, keep_blank_values=True)
        for name, value in (query or {}).items():
            values = value if isinstance(value, (list, tuple)) else (value,)
            pairs.extend((str(name), _query_value(each)) for each in values if each is not None)
        # Encoded characters stay encoded; a percent sign that encodes nothing is encoded.
        bare = re.sub(r"%(?![0-9A-Fa-f]{2})", "%25", bare)
        encoded = quote(bare, safe="/%~!$&'()*+,;=:@")
        method = method.upper()
        return self.call("%s %s" % (method, bare), method, encoded, pairs, body, headers)

    def unreadable(self, operation: str, why: object) -> TransportError:
        """Return the error for a response that is JSON, but not as documented."""
        address = self._endpoint()
        return TransportError(
            "%s gave an answer that cannot be read: %s" % (address, why),
            address,
            operation,
            request_kind=RequestKind.SERVICE_CALL,
        )


def _query_value(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def lacks_api(error: ApiError) -> bool:
    """Return True for the gateway's refusal of a call to an API that it does not know."""
    return isinstance(error, NotFound) and error.error_code == NO_SUCH_API
