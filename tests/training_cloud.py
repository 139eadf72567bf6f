"""ModelArts with the v2 API alone, as its documents and the official client describe it.

Written from these, and from nothing of the package. Signatures are verified by
``huaweicloudsdkcore``. A job takes one step each time it is looked at. As in the documents, answers
leave out ``auto_stop`` and sources on NFS, and have ``environments`` as a list. The codes are
those of the appendix "Error Codes".
"""

import json
import re
import uuid
from urllib.parse import urlsplit

from tests.cloud import Cloud, Refusal

_PATHS = re.compile(
    r"/v2/(?P<project>[^/]+)/(?:(?P<search>training-job-searches)|training-jobs"
    r"(?:/(?P<id>[^/]+)(?:/(?P<action>actions))?)?)\Z"
)
_NEXT = {"Creating": "Pending", "Pending": "Running", "Terminating": "Terminated"}
_ACTIVE = ("Creating", "Pending", "Running")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def refusal(code, message, solution="Correct the request.", status=400):
    body = {"error_msg": message, "error_code": code, "error_solution": solution}
    return Refusal(status, body)


class TrainingCloud(Cloud):
    """A region of today with one user and one project.

    ``jobs`` are training jobs by their ids. Whether two may have one name is not documented, though
    there is a code for it; ``unique_names`` refuses that.
    """

    unique_names = False

    def add_training(self, folder, job_id=None):
        """A training whose summary is in a folder of a parallel file system."""
        job_id = job_id or str(uuid.uuid4())
        summary = {"log_type": "tensorboard", "log_dir": {"pfs": {"pfs_path": folder}}}
        self.jobs[job_id] = {
            "kind": "job",
            "metadata": self._metadata(job_id, "training"),
            "status": {"phase": "Completed", "duration": 1000, "tasks": ["worker-0"]},
            "algorithm": {"summary": summary},
            "spec": {"resource": {"flavor_id": "modelarts.vm.cpu.2u", "node_count": 1}},
        }
        return job_id

    def add(self, phase="Terminated", **metadata):
        """A visualization job over a training, which is there already."""
        source = self.add_training("obs://bucket/other")
        job_id = str(uuid.uuid4())
        summary = {"log_type": "tensorboard", "data_sources": [{"job": {"job_id": source}}]}
        self.jobs[job_id] = {
            "kind": "visualization_job",
            "metadata": {**self._metadata(job_id, "board"), **metadata},
            "status": {"phase": phase, "duration": 33000, "tasks": ["worker-0"]},
            "algorithm": {"summary": summary},
            "spec": {"resource": {"node_count": 1}},
        }
        return job_id

    def boards(self):
        """The names of visualization jobs by their ids."""
        return {
            job_id: job["metadata"]["name"]
            for job_id, job in self.jobs.items()
            if job["kind"] == "visualization_job"
        }

    def _metadata(self, job_id, name):
        return {
            "id": job_id,
            "name": name,
            "description": "",
            "create_time": int(self.now() * 1000),
            "workspace_id": "0",
            "user_name": self.username,
        }

    def _modelarts(self, request):
        self._authenticate(request)
        match = _PATHS.match(urlsplit(request.url).path)
        if match is None:
            raise Refusal(404, {"error_code": "APIG.0101", "error_msg": "No such API"})
        if match.group("project") != self.project_id:
            message = "The project ID (%s) in the request does not match that in the token."
            raise refusal("ModelArts.2786", message % match.group("project"), status=404)
        body = json.loads(request.body) if request.body else {}
        if match.group("search"):
            return 200, {}, self._search(body)
        if match.group("id") is None:
            return 201, {}, self._create(body)
        job = self.jobs.get(match.group("id"))
        if job is None:
            raise refusal("ModelArts.2775", "Training job (ID: %s) not found." % match.group("id"))
        if match.group("action"):
            return 202, {}, self._act(job, body)
        if request.method == "PUT":
            job["metadata"]["description"] = body["description"]
            return 200, {}, None
        if request.method == "DELETE":
            # Not documented: whether a job that is being terminated can be deleted.
            if job["status"]["phase"] == "Terminating":
                raise refusal("ModelArts.0105", "The job is being terminated.")
            del self.jobs[match.group("id")]
            return 202, {}, ""
        shown = self._shown(job)
        phase = job["status"]["phase"]
        job["status"]["phase"] = _NEXT.get(phase, phase)
        return 200, {}, shown

    def _shown(self, job):
        shown = json.loads(json.dumps(job))
        shown["spec"].pop("auto_stop", None)
        algorithm = shown["algorithm"]
        algorithm["environments"] = [{"KEY": "value"}]
        sources = algorithm.get("summary", {}).get("data_sources")
        if sources is not None:
            algorithm["summary"]["data_sources"] = [one for one in sources if "job" in one]
        if job["kind"] == "visualization_job" and job["status"]["phase"] == "Running":
            url = "https://board.example.com/%s/" % job["metadata"]["id"]
            shown["endpoints"] = {"tensorboard": {"url": url, "token": "token-of-the-board"}}
        return shown

    def _create(self, body):
        name = body.get("metadata", {}).get("name", "")
        if not _NAME.match(name):
            raise refusal("ModelArts.2788", "Invalid parameter(name).")
        if self.unique_names and name in self.boards().values():
            raise refusal("ModelArts.2751", "Duplicate training job (name %s)." % name)
        if body.get("kind") != "visualization_job":
            raise refusal("ModelArts.2755", "algorithm not found.")
        sources = body["algorithm"]["summary"].get("data_sources")
        if not sources:
            raise refusal("ModelArts.2788", "Invalid parameter(data_sources).")
        for source in sources:
            job = self.jobs.get(source.get("job", {}).get("job_id"))
            if "nfs" not in source and (job is None or "summary" not in job["algorithm"]):
                raise refusal("ModelArts.2788", "Invalid parameter(data_sources).")
        stop = body.get("spec", {}).get("auto_stop")
        if stop is not None and stop["duration"] < 1:
            raise refusal("ModelArts.2788", "Invalid parameter(auto_stop).")
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = {
            "kind": "visualization_job",
            "metadata": {**self._metadata(job_id, name), **body["metadata"]},
            "status": {"phase": "Creating", "duration": 0, "tasks": ["worker-0"]},
            "algorithm": body["algorithm"],
            "spec": body.get("spec", {"resource": {"node_count": 1}}),
        }
        return self._shown(self.jobs[job_id])

    def _act(self, job, body):
        if body.get("action_type") != "terminate":
            raise refusal("ModelArts.2788", "Invalid parameter(action_type).")
        if job["status"]["phase"] not in _ACTIVE:
            raise refusal("ModelArts.2796", "The job cannot be terminated.", status=409)
        job["status"]["phase"] = "Terminating"
        return self._shown(job)

    def _search(self, body):
        limit, page = body.get("limit", 10), body.get("offset", 0)
        if not 1 <= limit <= 50 or page < 0:
            raise refusal("ModelArts.2764", "Invalid query parameter (limit).")
        if body.get("sort_by", "create_time") != "create_time":
            raise refusal("ModelArts.2790", "Unsupported sorting item.")
        found = [job for job in self.jobs.values() if self._matches(job, body.get("filters", []))]
        if body.get("order", "desc") == "desc":
            found.reverse()
        items = found[page * limit : (page + 1) * limit]
        return {
            "total": len(found),
            "count": len(items),
            "limit": limit,
            "offset": page,
            "sort_by": "create_time",
            "order": body.get("order", "desc"),
            "group_by": "",
            "workspace_id": "0",
            "ai_project": "default-ai-project",
            "items": [self._shown(job) for job in items],
        }

    def _matches(self, job, filters):
        values = {
            "name": job["metadata"]["name"],
            "phase": job["status"]["phase"],
            "kind": job["kind"],
        }
        for each in filters:
            if each["key"] not in values or each["operator"] not in ("like", "in", "not"):
                raise refusal("ModelArts.2789", "Unsupported filtering item.")
            value, wanted = values[each["key"]], each["value"]
            if each["operator"] == "like":
                matches = any(text in value for text in wanted)
            elif each["operator"] == "in":
                matches = value in wanted
            else:
                matches = value not in wanted
            if not matches:
                return False
        return True
