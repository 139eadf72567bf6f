"""ModelArts and IAM as their documents show them, on the wire, in memory.

It speaks the documents' dialects where they differ from the local service: numbers as strings,
``error_message`` beside ``error_msg``, details without ``is_success``. Signatures are verified by
``huaweicloudsdkcore``, not by our own signer. A job takes one step each time it is looked at.
"""

import json
import re
import secrets
import time
from contextlib import contextmanager
from types import MappingProxyType
from urllib.parse import parse_qsl, urlsplit

import responses
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from modelarts.session import Session

HOST = "modelarts.region-9.example.com"
IAM = "iam.region-9.example.com"
#: The keys of a job that the documents name.
DOCUMENTED = (
    "job_id",
    "job_name",
    "job_desc",
    "status",
    "service_url",
    "train_url",
    "create_time",
    "duration",
    "resource_id",
)
_JOBS = re.compile(r"/v1/(?P<project>[^/]+)/visualization-jobs(/(?P<id>\d+)(/(?P<action>\w+))?)?\Z")
_NEXT = {1: 7, 7: 8, 9: 12}
_ACTIVE = (1, 7, 8)


class Refusal(Exception):
    def __init__(self, status, body):
        super().__init__(body)
        self.status = status
        self.body = body


def refusal(code, message, status=400):
    return Refusal(status, {"is_success": False, "error_code": code, "error_message": message})


def gateway(message):
    return Refusal(401, {"error_code": "APIG.0301", "error_msg": message, "request_id": "f" * 32})


class Cloud:
    """A region with one user and one project."""

    region_name = "region-9"
    project_id = "0123456789abcdef0123456789abcdef"
    access_key = "CLOUDACCESSKEY"
    secret_key = "cloud-secret-key"
    account, username, password = "company", "ann", "ann's password"
    application = MappingProxyType(
        {"id": "a" * 32, "name": "boards", "secret": "secret-of-the-application"}
    )
    modelarts_endpoint = "https://" + HOST
    iam_endpoint = "https://" + IAM

    def __init__(self, now=time.time):
        self.now = now
        self.jobs = {}
        self.tokens = set()
        self.calls = []

    def install(self, mock):
        """Answer for both hosts."""
        for method in (responses.GET, responses.POST, responses.PUT, responses.DELETE):
            for host, answer in ((HOST, self._modelarts), (IAM, self._iam)):
                url = re.compile(r"https://%s/.*" % re.escape(host))
                mock.add_callback(method, url, callback=self._recorded(answer))

    def add(self, **fields):
        """A job that is there already."""
        number = max(self.jobs, default=100) + 1
        self.jobs[number] = {
            "job_id": number,
            "job_name": "job%d" % number,
            "job_desc": "",
            "status": 12,
            "create_time": 1_565_149_736_000 + number,
            "duration": 33000,
            "train_url": "/bucket/logs/",
            "resource_id": "e17dd874-b5e0-4e9b-aaf0-22b045ad8571",
            "service_url": "https://%s/modelarts/tensorboard/04f679b17380d32a/%d/" % (HOST, number),
            **fields,
        }
        return number

    def _recorded(self, answer):
        def callback(request):
            self.calls.append(request)
            try:
                status, headers, body = answer(request)
            except Refusal as said:
                status, headers, body = said.status, {}, said.body
            return status, headers, body if isinstance(body, bytes) else json.dumps(body)

        return callback

    def _iam(self, request):
        path = urlsplit(request.url).path
        if path == "/v3/projects":
            self._authenticate(request)
            name = dict(parse_qsl(urlsplit(request.url).query)).get("name")
            mine = [{"id": self.project_id, "name": self.region_name}]
            return 200, {}, {"projects": [p for p in mine if p["name"] == name]}
        if request.method == "GET":
            self._authenticate(request)
            return 200, {}, self._token()[2]
        auth = json.loads(request.body)["auth"]
        if auth["identity"]["methods"] == ["application_credential"]:
            self._check_application(auth)
            return self._token()
        user = auth["identity"]["password"]["user"]
        scope = auth["scope"]["project"]
        if (user["name"], user["password"], user["domain"]["name"]) != (
            self.username,
            self.password,
            self.account,
        ) or scope not in ({"id": self.project_id}, {"name": self.region_name}):
            error = {"code": 401, "title": "Unauthorized", "message": "The password is wrong."}
            raise Refusal(401, {"error": error})
        return self._token()

    def _check_application(self, auth):
        """The credential is for one project, so that a scope is refused beside it."""
        given = dict(auth["identity"]["application_credential"])
        by_name = {"name": self.username, "domain": {"name": self.account}}
        user = given.pop("user", by_name)
        known = dict(self.application)
        known.pop("name" if "id" in given else "id")
        if given != known or "scope" in auth or user not in (by_name, {"id": "u" * 32}):
            error = {"code": 401, "title": "Unauthorized", "message": "The credential is wrong."}
            raise Refusal(401, {"error": error})

    def _token(self):
        token = secrets.token_hex(32)
        self.tokens.add(token)
        body = {
            "expires_at": "2099-01-04T09:05:22.701000Z",
            "issued_at": "2020-01-03T09:05:22.701000Z",
            "project": {"id": self.project_id, "name": self.region_name},
            "user": {"id": "u" * 32, "name": self.username},
            "catalog": [],
        }
        return 201, {"X-Subject-Token": token}, {"token": body}

    def _modelarts(self, request):
        self._authenticate(request)
        parts = urlsplit(request.url)
        match = _JOBS.match(parts.path)
        if match is None:
            raise Refusal(404, {"error_code": "APIG.0101", "error_msg": "No such API"})
        if match.group("project") != self.project_id:
            raise refusal("ModelArts.0210", "The project id does not match the token.", 403)
        if match.group("id") is None:
            if request.method == "POST":
                return 200, {}, self._create(json.loads(request.body))
            return (
                200,
                {},
                self._list(dict(parse_qsl(parts.query, keep_blank_values=True)), request),
            )
        job = self.jobs.get(int(match.group("id")))
        if job is None:
            raise refusal("ModelArts.0015", "The job does not exist.", 404)
        act = match.group("action") or request.method.lower()
        return 200, {}, getattr(self, "_" + act)(job, request)

    def _authenticate(self, request):
        token = request.headers.get("X-Auth-Token")
        if token is not None:
            if token not in self.tokens:
                raise gateway("Incorrect IAM authentication information: token unknown")
            return
        parts = urlsplit(request.url)
        given = request.headers.get("Authorization", "")
        signed = re.search(r"SignedHeaders=([^,]+)", given)
        if signed is None:
            raise gateway("Incorrect IAM authentication information: x-auth-token not found")
        body = request.body or b""
        again = SdkRequest(
            method=request.method,
            schema=parts.scheme,
            host=parts.netloc,
            resource_path=parts.path,
            query_params=parse_qsl(parts.query, keep_blank_values=True),
            header_params={n: request.headers[n] for n in signed.group(1).split(";")},
            body=body if isinstance(body, bytes) else body.encode(),
        )
        signer = Signer(BasicCredentials(self.access_key, self.secret_key))
        if signer.sign(again).header_params["Authorization"] != given:
            raise gateway("Incorrect IAM authentication information: verify aksk signature fail")

    def _create(self, body):
        if not re.match(r"[0-9A-Za-z_-]{1,20}\Z", body["job_name"]):
            raise refusal("ModelArts.0104", "Illegal name: " + body["job_name"])
        assert isinstance(body.get("schedule", []), list)
        number = self.add(
            job_name=body["job_name"],
            job_desc=body.get("job_desc", ""),
            train_url=body["train_url"],
            status=1,
            create_time=int(self.now() * 1000),
        )
        return {
            "is_success": True,
            "job_id": str(number),
            "job_name": body["job_name"],
            "status": "1",
            "create_time": str(self.jobs[number]["create_time"]),
        }

    def _list(self, query, request):
        # Which name a client may use depends on how it shows who it is.
        by_token = "X-Auth-Token" in request.headers
        assert ("sortBy" if by_token else "sort_by") not in query
        if len(query.get("search_content", "")) > 100:
            raise refusal("ModelArts.0104", "The length of search content should be in [0,100]")
        jobs = list(self.jobs.values())
        if query.get("status"):
            wanted = {int(number) for number in query["status"].split("|")}
            jobs = [job for job in jobs if job["status"] in wanted]
        jobs = [job for job in jobs if query.get("search_content", "") in job["job_name"]]
        key = query.get("sort_by" if by_token else "sortBy", "job_id")
        key = "train_url" if key == "log_dir" else key
        jobs.sort(key=lambda job: (job[key], job["job_id"]), reverse=query.get("order") == "desc")
        page, per_page = int(query.get("page", 1)), int(query.get("per_page", 10))
        return {
            "quotas": 100,
            "is_success": True,
            "job_total_count": len(jobs),
            "job_count_limit": 999,
            "jobs": jobs[(page - 1) * per_page : page * per_page],
        }

    def _get(self, job, request):
        shown = dict(job)
        job["status"] = _NEXT.get(job["status"], job["status"])
        return shown

    def _put(self, job, request):
        job["job_desc"] = json.loads(request.body)["job_desc"]
        return {"is_success": True}

    def _stop(self, job, request):
        self._allow(job, _ACTIVE, "stop")
        job["status"] = 9
        return {"is_success": True}

    def _restart(self, job, request):
        self._allow(job, (10, 11, 12, 13), "resubmit")
        job["status"] = 7
        return {"is_success": True}

    def _delete(self, job, request):
        self._allow(job, (*_ACTIVE, 10, 11, 12, 13), "delete")
        del self.jobs[job["job_id"]]
        return {"is_success": True}

    def _allow(self, job, statuses, verb):
        if job["status"] not in statuses:
            raise refusal(
                "ModelArts.0105", "This job can't be %s. job status: %d" % (verb, job["status"])
            )


def connect(cloud, **changes):
    """Return a session with AK/SK for a cloud.

    Args:
        changes: other arguments of the session.
    """
    names = ("access_key", "secret_key", "project_id", "region_name")
    endpoints = ("modelarts_endpoint", "iam_endpoint")
    return Session(**{**{name: getattr(cloud, name) for name in names + endpoints}, **changes})


def with_keys(**changes):
    """Return a session with the keys AK and SK, of the project p in the region r-1.

    Args:
        changes: arguments of the session, in addition or in place of these.
    """
    keys = {"access_key": "AK", "secret_key": "SK", "project_id": "p", "region_name": "r-1"}
    return Session(**{**keys, **changes})


@contextmanager
def installed(cloud):
    """Answer requests by a cloud while a block runs."""
    with responses.RequestsMock(assert_all_requests_are_fired=False) as mock:
        cloud.install(mock)
        yield cloud
