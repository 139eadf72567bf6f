"""``auth_by_apig``: the door to every ModelArts API that has no method here."""

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

    >>> from modelarts import constant
    >>> auth_by_apig(session, constant.HTTPS_GET,
    ...              "/v1/%s/visualization-jobs" % session.project_id,
    ...              query={"per_page": 5})                                # doctest: +SKIP
    {'is_success': True, 'job_total_count': 0, …}

    Args:
        session: the session.
        method: ``"GET"``, ``"POST"``, ``"PUT"``, ``"DELETE"`` or any other.
        path: the path, from ``/v1/…`` on; a query in it is understood too.
        query: the query's parameters.
        body: a text or bytes as they are to be sent, or what is to be sent as JSON.
        headers: further headers; they are signed too.

    Returns:
        The parsed JSON; None where the answer is empty.

    Raises:
        InvalidArgument: an argument is wrong; nothing was sent.
        ApiError: the service refused.
        TransportError: no answer, or none that is JSON.
    """
    if not isinstance(session, Session):
        raise InvalidArgument("session", session, "a modelarts.session.Session")
    return session.request(method, path, query, body, headers)
