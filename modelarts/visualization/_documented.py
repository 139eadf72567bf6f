"""The documented calls: they answer the documented dict or object."""

import os
from typing import TYPE_CHECKING, Any, Callable, Dict, Optional, Union

from modelarts import validation as arguments
from modelarts._fields import documented_job
from modelarts.errors import ApiError, InvalidArgument
from modelarts.session import Session
from modelarts.visualization._verbs import JobVerbs, or_default

if TYPE_CHECKING:
    from typing_extensions import Self

    from modelarts.visualization.display.lists import JobList

__all__ = ["DocumentedCalls"]

_Dict = Dict[str, Any]


class DocumentedCalls(JobVerbs):
    """What the SDK reference documents; said with the short verbs."""

    __slots__ = ()

    def create_visualization_job(
        self,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
    ) -> "Self":
        """Create a job; answers a new object that stands for it.

        Arguments and errors are those of :meth:`create`. Source: *SDK Reference*, "Creating a
        Visualization Job".
        """
        return self._create(train_url, job_name, job_desc, job_type, auto_stop, flavor)

    @classmethod
    def get_visualization_job_object_list(
        cls,
        modelarts_session: Optional[Session] = None,
        status: Union[None, int, str] = None,
        per_page: Optional[int] = None,
        page: Optional[int] = None,
        sort_by: Optional[str] = None,
        order: Optional[str] = None,
        search_content: Optional[str] = None,
        is_show: bool = True,
        *,
        sortBy: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> "JobList[Self]":
        """One page of jobs as objects; printed as a table too unless ``is_show=False``.

        Args:
            per_page: 1 to 1000, 10 if not given.
            page: from 1.
            sortBy: the same as ``sort_by``.

        The other arguments are those of :meth:`iter`, which reads all pages. Raises typed
        errors. Source: *SDK Reference*, "Querying the List of Visualization Job Objects".
        """
        from modelarts.visualization.display.lists import JobList

        session = or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        page_of_jobs = _page(session, query)["jobs"]
        seen = session.clock.time()
        jobs = JobList(cls._of(session, raw, seen) for raw in page_of_jobs)
        if is_show:
            from modelarts.visualization.display.table import show

            show(jobs)
        return jobs

    @classmethod
    def get_visualization_job_list(
        cls,
        modelarts_session: Optional[Session] = None,
        status: Union[None, int, str] = None,
        per_page: Optional[int] = None,
        page: Optional[int] = None,
        sort_by: Optional[str] = None,
        order: Optional[str] = None,
        search_content: Optional[str] = None,
        *,
        sortBy: Optional[str] = None,
        workspace_id: Optional[str] = None,
    ) -> _Dict:
        """One page of jobs as a dict: ``job_total_count``, ``job_count_limit``, ``jobs``.

        The failure dict when the service refuses. Source: *SDK Reference*, "Obtaining
        Visualization Jobs".
        """
        session = or_default(modelarts_session)
        query = _page_query(
            status, per_page, page, sort_by, sortBy, order, search_content, workspace_id
        )
        return _documented(lambda: _page(session, query))

    def get_visualization_job_info(self) -> _Dict:
        """The details as a dict; the failure dict when the service refuses.

        Source: *SDK Reference*, "Obtaining Details About a Visualization Job".
        """
        return _documented(lambda: self.refresh()._readable(documented_job))

    def update_visualization_job(self, job_desc: str) -> _Dict:
        """Change the description; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Modifying the Description of a Visualization Job".
        """
        return _documented(lambda: self.update(job_desc))

    def stop_visualization_job(self) -> _Dict:
        """Stop the job; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Stopping a Visualization Job".
        """
        return _documented(self.stop)

    def restart_visualization_job(self) -> _Dict:
        """Run a stopped job again; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Restarting a Visualization Job".
        """
        return _documented(self.restart)

    def delete_visualization_job(self) -> _Dict:
        """Delete the job; ``{"is_success": True}`` or the failure dict.

        Source: *SDK Reference*, "Deleting a Visualization Job".
        """
        return _documented(self.delete)


def _page_query(
    status: Any,
    per_page: Any,
    page: Any,
    sort_by: Any,
    sortBy: Any,
    order: Any,
    search_content: Any,
    workspace_id: Any,
) -> Dict[str, str]:
    if sort_by is not None and sortBy is not None and sort_by != sortBy:
        raise InvalidArgument("sortBy", sortBy, "the same as sort_by, or one of the two")
    return arguments.list_query(
        status=status,
        per_page=per_page,
        page=page,
        sort_by=sortBy if sort_by is None else sort_by,
        order=order,
        search_content=search_content,
        workspace_id=workspace_id,
    )


def _page(session: Session, query: Dict[str, str]) -> _Dict:
    from modelarts.visualization import v1 as api

    return api.documented_page(session.client, query)


def _documented(call: Callable[[], Any]) -> _Dict:
    """The documented dict of a call: what it answers if that is a dict, or the failure."""
    try:
        answer = call()
    except ApiError as refusal:
        return refusal.as_dict()
    return dict(answer if isinstance(answer, dict) else {}, is_success=True)
