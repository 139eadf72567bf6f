"""Chooses the API of the V1 Estimator, once a session: v1 where the service has it, else v2."""

from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, TypeVar

from modelarts.http.client import ServiceClient
from modelarts.visualization import dialect

if TYPE_CHECKING:
    from typing_extensions import Protocol

    from modelarts.training.v1_definition import Definition
else:
    Protocol = object

Body = Dict[str, Any]
_T = TypeVar("_T")


class Versions(Protocol):
    """The operations on one version of a training; also of one on this machine."""

    def details(self, client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
        """Return the details of a version; without an id, of the newest one."""

    def versions(self, client: ServiceClient, job_id: str) -> Body:
        """Return a job with all its versions."""

    def stop(self, client: ServiceClient, job_id: str, version_id: str) -> Body:
        """Stop a version."""

    def delete_version(self, client: ServiceClient, job_id: str, version_id: str) -> Body:
        """Delete a version."""

    def delete(self, client: ServiceClient, job_id: str) -> Body:
        """Delete a job with all its versions."""

    def update(self, client: ServiceClient, job_id: str, description: str) -> Body:
        """Change the description of a job."""

    def log_names(self, client: ServiceClient, job_id: str, version_id: Optional[str]) -> Body:
        """Return the names of the log files."""

    def log(
        self,
        client: ServiceClient,
        job_id: str,
        version_id: Optional[str],
        name: str,
        start: int,
        length: int,
    ) -> Body:
        """Return bytes of a log."""


class Trainings(Versions, Protocol):
    """The operations of the V1 Estimator, which v1 and v2 both have."""

    def create(self, client: ServiceClient, definition: "Definition") -> Body:
        """Create a job with its first version."""

    def create_version(
        self, client: ServiceClient, definition: "Definition", job_id: str, pre_version_id: str
    ) -> Body:
        """Create another version of a job."""

    def page(self, client: ServiceClient, query: Mapping[str, str]) -> Body:
        """Return one page of jobs."""

    def flavors(self, client: ServiceClient) -> List[str]:
        """Return the codes of the resource flavors."""

    def engines(self, client: ServiceClient) -> List[Body]:
        """Return the names and versions of the engines."""

    def algorithms(self, client: ServiceClient) -> Body:
        """Return the built-in algorithms."""

    def create_config(
        self, client: ServiceClient, definition: "Definition", name: str, description: str
    ) -> Body:
        """Create a parameter configuration."""

    def configs(self, client: ServiceClient, query: Mapping[str, str]) -> Body:
        """Return one page of parameter configurations."""

    def config(self, client: ServiceClient, name: str) -> Body:
        """Return a parameter configuration."""

    def update_config(
        self, client: ServiceClient, definition: "Definition", name: str, description: str
    ) -> Body:
        """Change a parameter configuration."""

    def delete_config(self, client: ServiceClient, name: str) -> Body:
        """Delete a parameter configuration."""


def run(client: ServiceClient, act: Callable[[Trainings], _T]) -> _T:
    """Call ``act`` with the API that the service has for trainings.

    Where that is not known yet, v1 is tried; and v2 if the gateway says that v1 is no API. A
    service may have v1 for visualization jobs only, so the two are found out apart.
    """
    if client.dialect.name == "v2":
        return act(_module("v2"))
    return dialect.run(client, act, _module, "trainings")


def _module(name: str) -> Trainings:
    # Only one of them is imported, as a rule.
    if name == "v2":
        from modelarts.training import v1_by_v2

        return v1_by_v2
    from modelarts.training import v1

    return v1
