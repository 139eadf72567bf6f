"""ModelArts with the v1 API of trainings, as its historical reference describes it.

Written from "Training Management (Old Version)" of the API reference, and from nothing of the
package. A version takes one step each time it is looked at. Numbers come as texts where the samples
show them so.
"""

import json
import re
from urllib.parse import parse_qsl, urlsplit

from tests.servers.cloud import Cloud, Refusal, refusal

SPECS = [
    {"spec_id": 2, "core": "2", "cpu": "8", "gpu_num": 0, "spec_code": "modelarts.vm.cpu.2u"},
    {"spec_id": 4, "core": "8", "cpu": "64", "gpu_num": 1, "spec_code": "modelarts.vm.gpu.p100"},
]
ENGINES = [
    {
        "engine_type": 1,
        "engine_name": "TensorFlow",
        "engine_id": 3,
        "engine_version": "TF-1.8.0-python2.7",
    },
    {
        "engine_type": 10,
        "engine_name": "PyTorch",
        "engine_id": 51,
        "engine_version": "PyTorch-1.0.0-python3.6",
    },
]
_NEXT = {1: 7, 7: 8, 8: 10, 9: 12}
_ROUTES = [
    (r"training-jobs", "jobs"),
    (r"training-jobs/(\d+)", "job"),
    (r"training-jobs/(\d+)/versions/?", "versions"),
    (r"training-jobs/(\d+)/versions/(\d+)", "version"),
    (r"training-jobs/(\d+)/versions/(\d+)/(stop)", "stop"),
    (r"training-jobs/(\d+)/versions/(\d+)/log/file-names", "names"),
    (r"training-jobs/(\d+)/versions/(\d+)/aom-log", "log"),
    (r"training-job-configs", "configs"),
    (r"training-job-configs/([\w-]+)", "config"),
    (r"job/resource-specs", "specs"),
    (r"job/ai-engines", "engines"),
    (r"built-in-algorithms", "algorithms"),
]


class V1Trainings(Cloud):
    """A region with v1; ``trainings`` are jobs by number, each with its ``versions``."""

    def __init__(self, **options):
        super().__init__(**options)
        self.trainings = {}
        self.configurations = {}
        self.logs = {}
        self.number = 182625
        self.next_status = dict(_NEXT)
        self.lose = lambda request: None

    def _modelarts(self, request):
        self._authenticate(request)
        parts = urlsplit(request.url)
        prefix = "/v1/%s/" % self.project_id
        assert parts.path.startswith(prefix), parts.path
        matches = [
            (re.match(pattern + r"\Z", parts.path[len(prefix) :]), name)
            for pattern, name in _ROUTES
        ]
        match, name = next((each for each in matches if each[0]), (None, ""))
        if match is None:
            raise Refusal(404, {"error_code": "APIG.0101", "error_msg": "No such API"})
        query = dict(parse_qsl(parts.query))
        body = json.loads(request.body) if request.body else {}
        method = "%s_%s" % (request.method.lower(), name)
        numbers = [int(text) if text.isdigit() else text for text in match.groups()]
        numbers = [number for number in numbers if number != "stop"]
        self.by_token = "X-Auth-Token" in request.headers
        answer = getattr(self, method)(*numbers, query=query, body=body)
        self.lose(request)
        return 200, {}, {"is_success": True, **answer}

    # Jobs -----------------------------------------------------------------------------------

    def post_jobs(self, query, body):
        name = body["job_name"]
        if not re.match(r"[\w-]{1,64}\Z", name):
            raise refusal("ModelArts.0104", "Illegal name: " + name)
        if any(job["job_name"] == name for job in self.trainings.values()):
            raise refusal("ModelArts.0103", "Job name:%s is existed" % name)
        self.number += 1
        number = self.number
        job = {
            "job_id": number,
            "job_name": name,
            "job_desc": body.get("job_desc", ""),
            "versions": {},
        }
        version = self._add_version(job, body["config"], 0)
        self.trainings[number] = job
        return {name: str(value) for name, value in self._created(job, version).items()}

    def get_jobs(self, query, body):
        assert ("sortBy" if self.by_token else "sort_by") not in query
        jobs = [self._summary(job) for job in self.trainings.values()]
        if "status" in query:
            jobs = [job for job in jobs if str(job["status"]) in query["status"].split("|")]
        jobs = [job for job in jobs if query.get("search_content", "") in job["job_name"]]
        key = query.get("sort_by" if self.by_token else "sortBy", "job_name")
        jobs.sort(key=lambda job: job[key], reverse=query.get("order") == "desc")
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        return {
            "quotas": 5,
            "job_total_count": len(jobs),
            "job_count_limit": 3,
            "jobs": jobs[(page - 1) * size : page * size],
        }

    def put_job(self, number, query, body):
        self._job(number)["job_desc"] = body["job_desc"]
        return {}

    def delete_job(self, number, query, body):
        self._job(number)
        del self.trainings[number]
        return {}

    # Versions -------------------------------------------------------------------------------

    def post_versions(self, number, query, body):
        job, before = self._job(number), body["config"]["pre_version_id"]
        if before not in job["versions"]:
            raise refusal("ModelArts.0105", "There is no version %s" % before)
        return self._created(job, self._add_version(job, body["config"], before))

    def get_versions(self, number, query, body):
        job = self._job(number)
        return {
            "job_id": number,
            "job_name": job["job_name"],
            "job_desc": job["job_desc"],
            "version_count": len(job["versions"]),
            "versions": [dict(version) for version in reversed(list(job["versions"].values()))],
        }

    def get_version(self, number, version, query, body):
        job, shown = self._job(number), self._version(number, version)
        names = ("job_id", "job_name", "job_desc")
        answer = {**{name: job[name] for name in names}, **shown}
        shown["status"] = self.next_status.get(shown["status"], shown["status"])
        shown["duration"] += 61_000
        return answer

    def delete_version(self, number, version, query, body):
        self._version(number, version)
        del self.trainings[number]["versions"][version]
        return {}

    def post_stop(self, number, version, query, body):
        shown = self._version(number, version)
        if shown["status"] not in (1, 7, 8):
            raise refusal(
                "ModelArts.0105", "This job can't be stop. job status: %d" % shown["status"]
            )
        shown["status"] = 9
        return {}

    # Logs -----------------------------------------------------------------------------------

    def get_names(self, number, version, query, body):
        self._version(number, version)
        return {"log_file_list": ["job-%s.0" % self.trainings[number]["job_name"]]}

    def get_log(self, number, version, query, body):
        """Lines are numbered by nanoseconds; the newest come without a base line."""
        lines = self.logs.get(version, [])
        end = len(lines)
        if "base_line" in query:
            assert query["order"] == "asc"
            end = int(query["base_line"]) - 1_551_252_759_254_000_000
        begin = max(0, end - int(query.get("lines", 50)))
        shown = lines[begin:end]
        return {
            "content": "\n".join(shown),
            "lines": str(len(shown)),
            "start_line": 1_551_252_759_254_000_000 + begin,
            "end_line": str(1_551_252_759_254_000_000 + end),
        }

    # Parameter configurations and resources ----------------------------------------------------

    def post_configs(self, query, body):
        name = body["config_name"]
        if name in self.configurations:
            raise refusal("ModelArts.0103", "Config name:%s is existed" % name)
        self.configurations[name] = {**body, "create_time": str(int(self.now() * 1000))}
        return {}

    def get_configs(self, query, body):
        names = [name for name in self.configurations if query.get("search_content", "") in name]
        names.sort(reverse=query.get("order") == "desc")
        return {
            "config_total_count": str(len(names)),
            "configs": [
                {"config_name": name, "config_desc": self.configurations[name]["config_desc"]}
                for name in names
            ],
        }

    def get_config(self, name, query, body):
        return self._config(name)

    def put_config(self, name, query, body):
        self._config(name).update(body)
        return {}

    def delete_config(self, name, query, body):
        self._config(name)
        del self.configurations[name]
        return {}

    def get_specs(self, query, body):
        assert query["job_type"] == "train"
        return {"specs": SPECS, "spec_total_count": len(SPECS)}

    def get_engines(self, query, body):
        return {"engines": ENGINES}

    def get_algorithms(self, query, body):
        models = [{"model_id": 4, "model_name": "ResNet_v2_50", "create_time": 1522218780025}]
        size, page = int(query.get("per_page", 10)), int(query.get("page", 1))
        return {
            "models": models[(page - 1) * size : page * size],
            "model_total_count": len(models),
        }

    # Inside -----------------------------------------------------------------------------------

    def _add_version(self, job, config, before):
        for name in ("worker_server_num", "spec_id", "engine_id", "model_id"):
            assert isinstance(config.get(name, 0), int), name
        data = [name for name in ("data_url", "dataset_id", "data_source") if name in config]
        assert len(data) == 1, data
        if "app_url" in config:
            assert config["boot_file_url"].startswith(config["app_url"])
        assert all(isinstance(each["value"], str) for each in config["parameter"])
        self.number += 1
        version = {
            **{name: value for name, value in config.items() if name != "pre_version_id"},
            "version_id": self.number,
            "version_name": "V%04d" % (len(job["versions"]) + 1),
            "pre_version_id": before,
            "status": 1,
            "create_time": int(self.now() * 1000),
            "duration": 0,
        }
        job["versions"][self.number] = version
        return version

    def _created(self, job, version):
        names = ("version_id", "version_name", "status", "create_time")
        return {
            "job_id": job["job_id"],
            "job_name": job["job_name"],
            **{name: version[name] for name in names},
        }

    def _summary(self, job):
        newest = list(job["versions"].values())[-1]
        names = ("version_id", "status", "create_time", "duration")
        return {
            **{name: job[name] for name in ("job_id", "job_name", "job_desc")},
            **{name: newest[name] for name in names},
            "version_count": len(job["versions"]),
        }

    def _job(self, number):
        if number not in self.trainings:
            raise refusal("ModelArts.0015", "The job does not exist.", 404)
        return self.trainings[number]

    def _version(self, number, version):
        versions = self._job(number)["versions"]
        if version not in versions:
            raise refusal("ModelArts.0015", "The version does not exist.", 404)
        return versions[version]

    def _config(self, name):
        if name not in self.configurations:
            raise refusal("ModelArts.0015", "The config does not exist.", 404)
        return self.configurations[name]
