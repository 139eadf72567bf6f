"""ModelArts with the v2 API alone, as its documents and the official client describe it.

Written from these, and from nothing of the package. Signatures are verified by
``huaweicloudsdkcore``. A job takes one step each time it is looked at; a training that runs writes
the next piece of its log then. As in the documents, answers leave out ``auto_stop`` and sources on
NFS, and have ``environments`` as a list. The codes are those of the appendix "Error Codes".
"""

import json
import re
import time
import uuid
from urllib.parse import parse_qsl, urlsplit

from tests.servers.cloud import Cloud, Refusal

_PATHS = re.compile(
    r"/v2/(?P<project>[^/]+)/(?:(?P<search>training-job-searches)"
    r"|(?P<offer>training-job-flavors|training-job-engines)"
    r"|training-jobs(?:/(?P<id>[^/]+)(?:/(?P<action>actions)|/(?P<part>.+))?)?)\Z"
)
_LINK = re.compile(r"/log-links/(?P<id>[^/]+)\Z")
_NEXT = {"Creating": "Pending", "Pending": "Running", "Terminating": "Terminated"}
_ACTIVE = ("Creating", "Pending", "Running")
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


def refusal(code, message, solution="Correct the request.", status=400):
    body = {"error_msg": message, "error_code": code, "error_solution": solution}
    return Refusal(status, body)


class TrainingCloud(Cloud):
    """A region of today with one user and one project; ``jobs`` are training jobs by their ids.

    Whether two boards may have one name is not documented, though there is a code for it;
    ``unique_names`` refuses that.

    Attributes:
        work: the pieces of its log that the next training writes, one each time it is looked at.
        ends: the phase in which the next training ends.
        logs: the logs of trainings by their ids.
        events: the events of trainings by their ids, the oldest first.
        preview_size: the most bytes of a log's newest part.
        log_calls: the calls that lead to a log's link: "url" (documented), "logs" (the official
            client's), or both.
        link_lags: how many bytes of a log its object does not have yet while the training runs.
        links: the signatures of links that are accepted.
    """

    unique_names = False
    flavor_ids = ("modelarts.vm.cpu.2u", "modelarts.vm.gpu.v100")
    engine_versions = (
        ("PyTorch", "PyTorch-1.4.0-python3.6"),
        ("PyTorch", "PyTorch-1.8.0-python3.7"),
        ("TensorFlow", "tensorflow_2.1.0-cuda_10.1-py_3.7"),
    )
    preview_size = 5 * 1024 * 1024
    log_calls = ("url", "logs")
    link_lags = 0
    link_base = None

    def __init__(self, now=time.time):
        super().__init__(now)
        self.work, self.ends = [], "Completed"
        self.logs, self.events, self.links = {}, {}, set()
        self._work, self._ends = {}, {}

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

    def trainings(self):
        """The names of trainings by their ids."""
        return {
            job_id: job["metadata"]["name"]
            for job_id, job in self.jobs.items()
            if job["kind"] == "job"
        }

    def _modelarts(self, request):
        link = _LINK.match(urlsplit(request.url).path)
        if link is not None:
            return self._object(link.group("id"), request)
        self._authenticate(request)
        match = _PATHS.match(urlsplit(request.url).path)
        if match is None:
            raise Refusal(404, {"error_code": "APIG.0101", "error_msg": "No such API"})
        if match.group("project") != self.project_id:
            message = "The project ID (%s) in the request does not match that in the token."
            raise refusal("ModelArts.2786", message % match.group("project"), status=404)
        if match.group("offer"):
            return 200, {}, self._offers(match.group("offer"))
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
        if match.group("part"):
            return 200, {}, self._part(match.group("id"), match.group("part"), request)
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
        if job["kind"] == "job" and phase == "Running":
            self._run_on(match.group("id"), job)
        return 200, {}, shown

    def _run_on(self, job_id, job):
        """Write the next piece of the log, or end."""
        work = self._work.get(job_id, [])
        job["status"]["duration"] += 1000
        if work:
            self.logs[job_id] += work.pop(0)
            return
        job["status"]["phase"] = self._ends.get(job_id, "Completed")
        if job["status"]["phase"] == "Failed":
            failure = {"task": "worker-0", "exit_code": 1, "message": "the script ended with 1"}
            job["status"]["task_statuses"] = [failure]

    def _offers(self, kind):
        if kind == "training-job-flavors":
            flavors = [
                {"flavor_id": name, "flavor_name": name, "flavor_type": "CPU", "billing": {}}
                for name in self.flavor_ids
            ]
            return {"total_count": len(flavors), "flavors": flavors}
        items = [
            {"engine_id": version, "engine_name": name, "engine_version": version}
            for name, version in self.engine_versions
        ]
        return {"total": len(items), "items": items}

    def _part(self, job_id, part, request):
        """Logs, metrics and events of one training."""
        missing = refusal("ModelArts.0015", "There is no such log.", status=404)
        log = self.logs.get(job_id)
        if part == "tasks/worker-0/logs/preview":
            if log is None:
                raise missing
            content = bytes(log[-self.preview_size :]) if self.preview_size else b""
            text = content.decode("utf-8", "replace")
            return {"content": text, "current_size": len(content), "full_size": len(log)}
        calls = {"url": "tasks/worker-0/logs/url", "logs": "logs/worker-0"}
        if part in [calls[name] for name in self.log_calls]:
            if log is None:
                raise missing
            signature = "signature-" + uuid.uuid4().hex
            self.links.add(signature)
            base = self.link_base or self.modelarts_endpoint
            return {"obs_url": "%s/log-links/%s?Signature=%s" % (base, job_id, signature)}
        if part == "metrics/worker-0":
            return {"metrics": [{"metric": "cpuUsage", "value": [-1, 12.5, 80]}]}
        if part == "events":
            query = dict(parse_qsl(urlsplit(request.url).query))
            events = list(self.events.get(job_id, ()))
            if query.get("order", "desc") == "desc":
                events.reverse()
            first, limit = int(query.get("offset", 0)), int(query.get("limit", 50))
            if not 1 <= limit <= 100:
                raise refusal("ModelArts.0104", "limit must be from 1 to 100.")
            return {"total": len(events), "events": events[first : first + limit]}
        raise Refusal(404, {"error_code": "APIG.0101", "error_msg": "No such API"})

    def _object(self, job_id, request):
        """The object of a log, as an object store answers."""
        signature = dict(parse_qsl(urlsplit(request.url).query)).get("Signature")
        if signature not in self.links or request.headers.get("Authorization"):
            error = b"<Error><Code>AccessDenied</Code></Error>"
            return 403, {"Content-Type": "application/xml"}, error
        log = bytes(self.logs[job_id])
        if self.jobs[job_id]["status"]["phase"] == "Running":
            log = log[: max(0, len(log) - self.link_lags)]
        first, last = re.match(r"bytes=(\d+)-(\d+)\Z", request.headers["Range"]).groups()
        part = log[int(first) : int(last) + 1]
        if not part:
            return 416, {"Content-Range": "bytes */%d" % len(log)}, b""
        shown = "bytes %s-%d/%d" % (first, int(first) + len(part) - 1, len(log))
        return 206, {"Content-Range": shown, "Content-Type": "text/plain"}, part

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
        if body.get("kind") == "job":
            return self._create_training(body)
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

    def _create_training(self, body):
        algorithm, spec = body["algorithm"], body["spec"]
        engine = algorithm.get("engine", {})
        code, boot = algorithm.get("code_dir"), algorithm.get("boot_file")
        if code is not None and not (code.endswith("/") and (boot or "").startswith(code)):
            raise refusal("ModelArts.2791", "The boot file is not in the code folder.")
        if engine.get("image_url"):
            if not algorithm.get("command"):
                raise refusal("ModelArts.2760", "No command.")
        elif (engine.get("engine_name"), engine.get("engine_version")) not in self.engine_versions:
            raise refusal("ModelArts.2761", "No such engine.")
        names = [channel["name"] for kind in ("inputs", "outputs") for channel in algorithm[kind]]
        if len(set(names)) != len(names):
            raise refusal("ModelArts.2762", "Names are not unique.")
        for channel in algorithm["outputs"]:
            if not channel["remote"]["obs"]["obs_url"].endswith("/"):
                raise refusal("ModelArts.2791", "A folder ends with a slash.")
        if not all(isinstance(each["value"], str) for each in algorithm["parameters"]):
            raise refusal("ModelArts.2763", "The value of a parameter is a text.")
        resource = spec["resource"]
        if "pool_id" not in resource and resource.get("flavor_id") not in self.flavor_ids:
            raise refusal("ModelArts.2764", "No such flavor.")
        job_id = str(uuid.uuid4())
        self.jobs[job_id] = {
            "kind": "job",
            "metadata": {**self._metadata(job_id, ""), **body["metadata"]},
            "status": {
                "phase": "Creating",
                "secondary_phase": "Creating",
                "duration": 0,
                "start_time": int(self.now() * 1000),
                "tasks": ["worker-0"],
            },
            "algorithm": algorithm,
            "spec": spec,
        }
        self._work[job_id], self._ends[job_id] = list(self.work), self.ends
        self.logs[job_id] = bytearray()
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
