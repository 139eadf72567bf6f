"""``auth_by_apig``: a call of any ModelArts API that has no method in this package."""

from typing import Any, Mapping, Optional, Union

from modelarts.errors import InvalidArgument
from modelarts.session import Session

__all__ = ["auth_by_apig"]


def auth_by_apig(
    session: Session,
    method: str,
    path: str,
    query: Optional[Mapping[str, object]] = None,
    body: Union[bytes, str, Mapping[str, Any], None] = None,
    headers: Optional[Mapping[str, str]] = None,
) -> Any:
    """Call a ModelArts path, signed or with the session's token.

    Args:
        session: the session.
        method: the HTTP method: ``"GET"``, ``"POST"``, ``"PUT"``, ``"DELETE"`` or any other.
        path: the path, from ``/v1/…`` on; it may contain a query.
        query: the query's parameters; a list as a value repeats its name; a parameter that is None
            is left out.
        body: a str or bytes to be sent as they are, or a value to be sent as JSON.
        headers: additional headers; they are signed too.

    Returns:
        The parsed JSON; None if the body is empty.

    Raises:
        InvalidArgument: an argument is wrong; nothing was sent.
        ApiError: the service refused the request.
        TransportError: no response, or one that is not JSON.

    Source: public scripts and notebooks that import the original SDK.

    Example:
        >>> from modelarts import constant
        >>> auth_by_apig(session, constant.HTTPS_GET,
        ...              "/v1/%s/visualization-jobs" % session.project_id,
        ...              query={"per_page": 5})                               # doctest: +SKIP
        {'is_success': True, 'job_total_count': 0, …}
    """
    if not isinstance(session, Session):
        raise InvalidArgument("session", session, "a modelarts.session.Session")
    return session.request(method, path, query, body, headers)
