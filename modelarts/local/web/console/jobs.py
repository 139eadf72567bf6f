"""The pages of jobs: the list, one job, a new one, and what can be done with them."""

from __future__ import annotations

from typing import Any, Callable, Mapping, Sequence
from urllib.parse import urlencode, urlsplit

from werkzeug.wrappers import Response

from modelarts._internal.folders import in_short
from modelarts.local.errors import Failure
from modelarts.local.web.console.folders import Folders
from modelarts.local.web.console.logs import log_part, tail
from modelarts.local.web.console.observer import Observer
from modelarts.local.web.console.parts import Parts
from modelarts.local.web.console.text import STATUS_GROUPS, ago, duration
from modelarts.local.web.console.visit import Visit
from modelarts.local.web.hosts import Reach
from modelarts.models import FAILED, STOPPED, JobStatus

_PER_PAGE = 50
_MAX_ID = 2**63 - 1
#: The columns that a list can be sorted by, with their names in the API.
_SORTS: Mapping[str, str] = {
    "id": "job_id",
    "name": "job_name",
    "status": "status",
    "folder": "log_dir",
    "created": "create_time",
}
#: What a list shows of a job.
_SHOWN = ("job_id", "job_name", "status", "place", "observed", "is_asleep", "visited", "left")
_JOB = "/jobs/<int:job_id>"


class JobPages:
    """The pages of jobs. What they change goes through the operations of the REST API.

    Args:
        parts: the operations and the users.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._operations = parts.operations
        self._observer = Observer(parts.supervisor)
        self._folders = Folders(parts.operations)

    def routes(self) -> list[tuple[str, str, Callable[..., Response]]]:
        """Return the routes of these pages, as method, path and handler."""
        return [
            ("GET", "/jobs", self.list),
            ("GET", "/jobs/new", self.form),
            ("POST", "/jobs/new", self.create),
            ("GET", _JOB, self.show),
            ("GET", _JOB + "/log", self.log),
            ("GET", _JOB + "/delete", self.ask),
            ("POST", _JOB + "/delete", self.delete),
            ("POST", _JOB + "/stop", self.stop),
            ("POST", _JOB + "/restart", self.restart),
            ("POST", _JOB + "/describe", self.describe),
            ("POST", _JOB + "/extend", self.extend),
            ("POST", _JOB + "/shares", self.share),
            ("POST", _JOB + "/shares/<string(maxlength=64):share_id>/revoke", self.revoke),
        ]

    def list(self, visit: Visit, project_id: str) -> Response:
        """Return the list of the jobs of a project."""
        args = visit.request.args
        sort = args.get("sort", "id")
        order = args.get("order", "desc")
        group = args.get("status", "")
        number = args.get("page", "1")
        query = {
            "search_content": args.get("search", "")[:100],
            "status": "|".join(str(int(status)) for status in STATUS_GROUPS.get(group, ())),
            "sort_by": _SORTS.get(sort, "job_id"),
            "order": "asc" if order == "asc" else "desc",
            "per_page": str(_PER_PAGE),
            "page": number,
        }
        answer = self._operations.page(project_id, query)
        kept = {"search": query["search_content"], "status": group, "sort": sort, "order": order}
        pages = max(1, -(-answer["job_total_count"] // _PER_PAGE))
        jobs = [self._row(job, in_list=True) for job in answer["jobs"]]
        shown = [[job[name] for name in _SHOWN] for job in jobs]
        others = [] if jobs or kept["search"] or group else self._elsewhere(visit, project_id)
        visit.mark(shown, query, answer["job_total_count"], answer["job_count_limit"], others)
        return visit.render(
            "jobs.html",
            jobs=jobs,
            others=others,
            total=answer["job_total_count"],
            left=answer["job_count_limit"],
            groups=STATUS_GROUPS,
            kept=kept,
            sorts=_SORTS,
            query=_query,
            pages=pages,
            number=int(number),
        )

    def _elsewhere(self, visit: Visit, project_id: str) -> Sequence[tuple[str, str, int]]:
        """Return the user's other projects that have jobs: their ids, names and numbers of jobs."""
        first = {"per_page": "1"}
        totals = [
            (
                project.project_id,
                project.name,
                int(self._operations.page(project.project_id, first)["job_total_count"]),
            )
            for project in visit.user.projects
            if project.project_id != project_id
        ]
        return [entry for entry in totals if entry[2]]

    def show(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Return the page of one job."""
        fields = self._operations.details(project_id, _known(job_id))
        job = self._row(fields, patience=0.0 if visit.is_live else 0.3)
        frame = None
        if job["is_running"] and not visit.is_live:
            frame = _frame(visit, self._parts.reach, job["service_url"])
        content, position = tail(self._parts.supervisor.log(job["job_id"]))
        links = [
            {"id": share.share_id, "ends": share.end_time}
            for share in self._parts.shares.of_job(job["job_id"])
        ]
        return visit.render(
            "job.html", job=job, frame=frame, links=links, log=content, position=position
        )

    def log(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Return the part of the log of a job's board that a page has not shown yet."""
        job = self._operations.job(project_id, _known(job_id))
        return log_part(visit, self._parts.supervisor.log(job.job_id))

    def form(self, visit: Visit, project_id: str) -> Response:
        """Return the form of a new job, with the folders of the one that is chosen."""
        return self._form(visit, _form_fields(visit.request.args), None)

    def create(self, visit: Visit, project_id: str) -> Response:
        """Create a job."""
        fields = _form_fields(visit.request.form)
        body: dict[str, Any] = {
            "job_name": fields["name"],
            "job_desc": fields["desc"],
            "train_url": fields["folder"],
            "job_type": fields["type"] or "tensorboard",
        }
        if fields["hours"]:
            hours = fields["hours"]
            duration: object = int(hours) if hours.isascii() and hours.isdigit() else hours
            body["schedule"] = [{"type": "stop", "time_unit": "HOURS", "duration": duration}]
        try:
            made = self._operations.create(visit.caller, project_id, body)
        except Failure as failure:
            return self._form(visit, fields, failure)
        return visit.back(f"jobs/{made['job_id']}", done="created")

    def ask(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Return the question before a job is deleted."""
        fields = self._operations.details(project_id, _known(job_id))
        return visit.render("job_delete.html", job=self._row(fields))

    def delete(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Delete a job."""
        self._operations.delete(project_id, _known(job_id))
        return visit.back("jobs", done="deleted")

    def stop(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Stop a job."""
        self._operations.stop(project_id, _known(job_id))
        return self._back(visit, job_id, "stopping")

    def restart(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Restart a job."""
        self._operations.restart(visit.caller, project_id, _known(job_id))
        return self._back(visit, job_id, "restarted")

    def describe(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Change the description of a job."""
        body = {"job_desc": visit.request.form.get("desc", "")}
        self._operations.update(project_id, _known(job_id), body)
        return self._back(visit, job_id, "described")

    def extend(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Have a job stop later."""
        self._operations.extend(project_id, _known(job_id), visit.request.form.get("hours", ""))
        return self._back(visit, job_id, "extended")

    def share(self, visit: Visit, project_id: str, job_id: int) -> Response:
        """Make a link to the board that ends, and show it; it is shown this one time."""
        job = self._operations.job(project_id, _known(job_id))
        text = visit.request.form.get("hours", "")
        hours: object = int(text) if text.isascii() and text.isdigit() and len(text) < 9 else text
        share, path = self._parts.shares.add(job, hours)
        return visit.render(
            "job_shared.html",
            job=job,
            ends=share.end_time,
            link=visit_path(path),
            address=self._parts.reach.address(visit.request, path),
        )

    def revoke(self, visit: Visit, project_id: str, job_id: int, share_id: str) -> Response:
        """End a link to the board."""
        job = self._operations.job(project_id, _known(job_id))
        self._parts.shares.revoke(job.job_id, share_id)
        return self._back(visit, job_id, "revoked")

    def _form(self, visit: Visit, fields: Mapping[str, str], failure: Failure | None) -> Response:
        choices = self._folders.choices(visit.caller, fields["folder"])
        status = 200 if failure is None else failure.status
        return visit.render(
            "job_new.html", status, fields=fields, choices=choices, failure=failure, query=_query
        )

    def _back(self, visit: Visit, job_id: int, done: str) -> Response:
        if visit.request.form.get("from") == "list":
            return visit.back("jobs", done=done)
        return visit.back(f"jobs/{job_id}", done=done)

    def _row(
        self, fields: Mapping[str, Any], patience: float = 0.0, in_list: bool = False
    ) -> dict[str, Any]:
        """Return the fields of a job for a template."""
        status = fields["status"]
        board = self._parts.supervisor.board(fields["job_id"])
        visited, looking = "", self._parts.supervisor.looking(fields["job_id"])
        if board is not None:
            now = self._parts.supervisor.timeline.monotonic()
            visited = "now" if board.visits or looking else ago(int(1000 * (now - board.seen)))
        left = fields["remaining_duration"]
        return {
            **fields,
            "reason": fields.get("reason"),
            "folders": fields.get("folders", ()),
            "place": in_short(fields.get("folders", ())) or fields["train_url"],
            "reader": fields.get("reader"),
            "obs_requests": fields.get("obs_requests"),
            "board": visit_path(fields["service_url"]),
            "is_running": status == JobStatus.RUNNING,
            "is_asleep": status == JobStatus.RUNNING and board is None,
            "can_stop": status in (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING),
            "can_restart": status in STOPPED | FAILED,
            "can_delete": status != JobStatus.KILLING,
            "observed": self._observer.last(fields["job_id"], patience, in_list),
            "visited": visited,
            "looking": looking if fields["status"] == JobStatus.RUNNING else [],
            "left": "" if left is None else duration(left),
        }


def visit_path(service_url: str) -> str:
    """Return the path of a board, relative to the address of the console."""
    return "../" + service_url.lstrip("/")


def _frame(visit: Visit, reach: Reach, page: str) -> str | None:
    """Return the address of a board for a frame; None where no frame would be safe.

    A board shows what others have logged, so its frame must be of another origin than the console.
    With ``--board-host`` it has one. On this machine the service has two names, so the board has
    the other one.
    """
    if reach.board_host is not None:
        address = reach.address(visit.request, page)
        visit.frames.append("{0.scheme}://{0.netloc}".format(urlsplit(address)))
        return address
    asked = urlsplit(f"//{visit.request.headers.get('Host', '')}")
    own = urlsplit(reach.local)
    names = {"127.0.0.1": "localhost", "localhost": "127.0.0.1"}
    other = names.get(asked.hostname or "")
    if other is None or own.hostname != "127.0.0.1" or asked.port != own.port:
        return None
    origin = f"{visit.request.scheme}://{other}:{own.port}"
    if visit.request.scheme != own.scheme:
        return None
    visit.frames.append(origin)
    return origin + page


def _form_fields(fields: Mapping[str, str]) -> dict[str, str]:
    """Return the fields of the form of a new job."""
    return {name: fields.get(name, "") for name in ("folder", "name", "desc", "type", "hours")}


def _known(job_id: int) -> int:
    return min(job_id, _MAX_ID)


def _query(kept: Mapping[str, Any], **changes: Any) -> str:
    """Return the query of a link that keeps some choices and changes others."""
    chosen = {name: value for name, value in {**kept, **changes}.items() if value not in ("", None)}
    return "?" + urlencode(chosen) if chosen else "?"
