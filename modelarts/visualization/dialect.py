"""Chooses between the v1 and the v2 API, once for each session."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    Optional,
    TypeVar,
    cast,
)

from modelarts.errors import ApiError, InvalidArgument
from modelarts.http.client import ServiceClient, lacks_api

if TYPE_CHECKING:
    from typing_extensions import Protocol

    from modelarts.visualization.request import CreateRequest
else:
    Protocol = object

Body = Dict[str, Any]
_T = TypeVar("_T")


class Api(Protocol):
    """The operations on visualization jobs that v1 and v2 both have."""

    def create(self, client: ServiceClient, request: CreateRequest) -> Body:
        """Create a job."""

    def resolve(self, client: ServiceClient, request: CreateRequest) -> CreateRequest:
        """Return a request whose sources the API can read."""

    def find(self, client: ServiceClient, request: CreateRequest) -> List[Body]:
        """Return the newest jobs like that of a request."""

    def documented_page(self, client: ServiceClient, query: Mapping[str, str]) -> Body:
        """Return one page in the documented form of v1."""

    def iterate(
        self, client: ServiceClient, query: Mapping[str, str], per_page: int
    ) -> Iterator[Body]:
        """Return all jobs that match."""

    def details(self, client: ServiceClient, job_id: str) -> Body:
        """Return the fields of a job."""

    def update(self, client: ServiceClient, job_id: str, job_desc: str) -> Body:
        """Change a description."""

    def stop(self, client: ServiceClient, job_id: str) -> Body:
        """Stop a job."""

    def delete(self, client: ServiceClient, job_id: str) -> Body:
        """Delete a job."""


def run(
    client: ServiceClient,
    act: Callable[[Any], _T],
    module: Optional[Callable[[str], Any]] = None,
    kept_as: str = "name",
) -> _T:
    """Call ``act`` with the API that the service has.

    If that is not known yet, v1 is tried; then v2, if the gateway has no v1 API.

    Args:
        module: returns the module of an API; by default that for visualization jobs.
        kept_as: the attribute of the client's dialect that keeps which API it is.
    """
    dialect, module = client.dialect, module or _module
    name = getattr(dialect, kept_as)
    if name is not None:
        return act(module(name))
    try:
        answer = act(module("v1"))
    except ApiError as error:
        if not lacks_api(error):
            raise
    else:
        setattr(dialect, kept_as, "v1")
        return answer
    setattr(dialect, kept_as, "v2")
    return act(module("v2"))


def iterate(client: ServiceClient, query: Mapping[str, str], per_page: int) -> Iterator[Body]:
    """Return all jobs that match, by the API that the service has."""

    def begin(api: Api) -> List[Any]:
        jobs = api.iterate(client, query, per_page)
        return [next(jobs, None), jobs]

    first, others = run(client, begin)
    if first is not None:
        yield first
        yield from others


def settle(client: ServiceClient) -> str:
    """Return ``"v1"`` or ``"v2"``; if it is not known, a list of one job is requested."""
    if client.dialect.name is None:
        run(client, lambda api: api.documented_page(client, {"per_page": "1"}))
    return cast(str, client.dialect.name)


def check_id(client: ServiceClient, job_id: str) -> None:
    """Raise InvalidArgument for an id of the other API.

    Raises:
        InvalidArgument: the id is a number and the API is v2, or a UUID and the API is v1.
    """
    is_number = job_id.isdigit()
    if client.dialect.name == "v2" and is_number:
        allowed = "the id of a training job, a UUID: this session uses the v2 API"
    elif client.dialect.name == "v1" and not is_number:
        allowed = "the number of a job, such as '8992': this session uses the v1 API"
    else:
        return
    raise InvalidArgument("visualization_id", job_id, allowed)


def _module(name: str) -> Api:
    # Usually only one of the two is imported.
    if name == "v2":
        from modelarts.visualization import v2

        return v2
    from modelarts.visualization import v1

    return v1
