# mypy: disable-error-code="import-untyped"
"""The clients that are compared: each is made once and answers one call as a function.

What all have to do: ask for the job's details over a connection that is kept open and come to its
status. Each is used in the cheapest way that its documentation shows.
"""

import time
from typing import Any, Callable, ClassVar, Dict

from benchmarks.harness.answers import JOB_ID, JOBS, PROJECT_ID, TRAINING_ID, TRAINING_JOBS

__all__ = ["PEERS", "Call"]

Call = Callable[[], object]

ACCESS_KEY = "QTWAOYTTINDUT2QVKYUC"
SECRET_KEY = "MFyfvK41ba2giqM7Uio6PznpdUKGpownRZlmVmHc"
PATH = "/v1/%s/visualization-jobs" % PROJECT_ID
PAGE = 1000
_PAGES = range(1, JOBS // PAGE + 1)
TRAINING_PATH = "/v2/%s/training-jobs" % PROJECT_ID
TRAINING_PAGE = 50


def _session(address: str, api: str = "v1") -> Any:
    from modelarts.session import Session

    return Session(
        access_key=ACCESS_KEY,
        secret_key=SECRET_KEY,
        project_id=PROJECT_ID,
        region_name="eu-de",
        modelarts_endpoint=address,
        api=api,
    )


def modelarts(address: str) -> Call:
    """This package: signed, with the object and its typed status."""
    from modelarts.estimator import VisualizationJob

    job = VisualizationJob(_session(address), JOB_ID)
    return lambda: job.refresh().status


def requests(address: str) -> Call:
    """``requests.Session.get(…).json()``: not signed, a dict."""
    import requests

    session = requests.Session()
    url = "%s%s/%s" % (address, PATH, JOB_ID)
    return lambda: session.get(url).json()["status"]


def urllib3(address: str) -> Call:
    """A pool of urllib3: not signed, a dict."""
    import urllib3

    pool = urllib3.PoolManager()
    url = "%s%s/%s" % (address, PATH, JOB_ID)
    return lambda: pool.request("GET", url).json()["status"]


def http_client(address: str) -> Call:
    """A connection of http.client: not signed, a dict."""
    import http.client
    import json

    connection = http.client.HTTPConnection(address.partition("://")[2])
    path = "%s/%s" % (PATH, JOB_ID)

    def call() -> object:
        connection.request("GET", path, headers={"Accept": "application/json"})
        return json.loads(connection.getresponse().read())["status"]

    return call


def huaweicloudsdkcore(address: str) -> Call:
    """Huawei Cloud's SDK: a client and a response model as its services have; signed, an object."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.client import Client, ClientBuilder
    from huaweicloudsdkcore.sdk_response import SdkResponse

    class Details(SdkResponse):  # type: ignore[misc] # the package has no types
        """The model, without the properties and checks that generated ones have."""

        openapi_types: ClassVar[Dict[str, str]] = {
            "job_id": "int",
            "job_name": "str",
            "job_desc": "str",
            "status": "int",
            "service_url": "str",
            "train_url": "str",
            "create_time": "int",
            "duration": "int",
            "resource_id": "str",
        }
        attribute_map: ClassVar[Dict[str, str]] = {name: name for name in openapi_types}

        def __init__(self, **fields: object) -> None:
            super().__init__()
            self.__dict__.update(fields)

    client = (
        ClientBuilder(Client)
        .with_credentials(BasicCredentials(ACCESS_KEY, SECRET_KEY, PROJECT_ID))
        .with_endpoint(address)
        .build()
    )

    def call() -> object:
        answer = client.do_http_request(
            method="GET",
            resource_path="/v1/{project_id}/visualization-jobs/{job_id}",
            path_params={"job_id": JOB_ID},
            query_params=[],
            header_params={},
            collection_formats={},
            response_type=Details,
        )
        return answer.status

    return call


def otcextensions(address: str) -> Call:
    """Open Telekom Cloud's SDK, which has this API: a token (it signs nothing), an object."""
    import openstack
    from otcextensions import sdk

    connection = openstack.connect(
        load_yaml_config=False,
        load_envvars=False,
        auth_type="password",
        auth={
            "auth_url": address + "/v3",
            "username": "user",
            "password": "password",
            "project_name": "eu-de",
            "user_domain_name": "d",
        },
        region_name="eu-de",
    )
    sdk.register_otc_extensions(connection)
    service: Any = connection.modelartsv1  # type: ignore[attr-defined] # registered above
    return lambda: service.get_visualization_job(JOB_ID).status


def boto3(address: str) -> Call:
    """Amazon's SDK reads an object of the same content: signed, a dict."""
    import json

    import boto3

    client = boto3.client(
        "s3",
        endpoint_url=address,
        region_name="eu-de",
        aws_access_key_id=ACCESS_KEY,
        aws_secret_access_key=SECRET_KEY,
    )

    def call() -> object:
        return json.loads(client.get_object(Bucket="jobs", Key=JOB_ID)["Body"].read())["status"]

    return call


def modelarts_signature(address: str) -> Call:
    """From a request's parts to its date and signature."""
    from modelarts.auth.signer import sdk_date, sign

    host = address.partition("://")[2]
    path = "%s/%s" % (PATH, JOB_ID)

    def call() -> object:
        headers = {"Host": host, "X-Project-Id": PROJECT_ID, "X-Sdk-Date": sdk_date(time.time())}
        headers["Authorization"] = sign("GET", path, "", headers, b"", ACCESS_KEY, SECRET_KEY)
        return headers

    return call


def huaweicloudsdkcore_signature(address: str) -> Call:
    """The same with Huawei Cloud's signer."""
    from huaweicloudsdkcore.auth.credentials import BasicCredentials
    from huaweicloudsdkcore.sdk_request import SdkRequest
    from huaweicloudsdkcore.signer.signer import Signer

    host = address.partition("://")[2]
    signer = Signer(BasicCredentials(ACCESS_KEY, SECRET_KEY, PROJECT_ID))
    request = SdkRequest(
        method="GET",
        schema="http",
        host=host,
        resource_path="%s/%s" % (PATH, JOB_ID),
        query_params=[],
        header_params={},
        body="",
        stream=False,
    )

    def call() -> object:
        request.header_params = {"Host": host, "X-Project-Id": PROJECT_ID}
        return signer.sign(request).header_params

    return call


def modelarts_list(address: str) -> Call:
    """All jobs, through ``iter``; each one's id and typed status are read."""
    from modelarts.estimator import VisualizationJob

    session = _session(address)

    def call() -> object:
        running = 0
        for job in VisualizationJob.iter(session, per_page=PAGE):
            if job.job_id and job.status == 8:
                running += 1
        assert running == JOBS
        return running

    return call


def requests_list(address: str) -> Call:
    """All jobs as dicts, in the shortest loop over ``requests``."""
    import requests

    session = requests.Session()

    def call() -> object:
        running = 0
        for number in _PAGES:
            asked: Dict[str, Any] = {
                "page": number,
                "per_page": PAGE,
                "sortBy": "job_id",
                "order": "asc",
            }
            for job in session.get(address + PATH, params=asked).json()["jobs"]:
                if job["job_id"] and job["status"] == 8:
                    running += 1
        assert running == JOBS
        return running

    return call


def modelarts_v2(address: str) -> Call:
    """This package over the v2 API: signed, with the object and its typed status."""
    from modelarts.estimator import VisualizationJob

    job = VisualizationJob(_session(address, "v2"), TRAINING_ID)
    return lambda: job.refresh().status


def requests_v2(address: str) -> Call:
    """``requests.Session.get(…).json()``: not signed, a dict."""
    import requests

    session = requests.Session()
    url = "%s%s/%s" % (address, TRAINING_PATH, TRAINING_ID)
    return lambda: session.get(url).json()["status"]["phase"]


def modelarts_list_v2(address: str) -> Call:
    """All boards of v2, through ``iter``; each one's id and typed status are read."""
    from modelarts.estimator import VisualizationJob

    session = _session(address, "v2")

    def call() -> object:
        running = 0
        for job in VisualizationJob.iter(session):
            if job.job_id and job.status == 8:
                running += 1
        assert running == TRAINING_JOBS
        return running

    return call


def requests_list_v2(address: str) -> Call:
    """All boards of v2 as dicts, in the shortest loop over ``requests``."""
    import requests

    session = requests.Session()
    url = "%s/v2/%s/training-job-searches" % (address, PROJECT_ID)
    filters = [{"key": "kind", "operator": "in", "value": ["visualization_job"]}]

    def call() -> object:
        running = 0
        for number in range(TRAINING_JOBS // TRAINING_PAGE):
            asked = {
                "offset": number,
                "limit": TRAINING_PAGE,
                "sort_by": "create_time",
                "order": "asc",
                "filters": filters,
            }
            for job in session.post(url, json=asked).json()["items"]:
                if job["metadata"]["id"] and job["status"]["phase"] == "Running":
                    running += 1
        assert running == TRAINING_JOBS
        return running

    return call


def modelarts_kept(address: str) -> Call:
    """A list of all jobs as objects, each one's id and status read."""
    from modelarts.estimator import VisualizationJob

    session = _session(address)

    def call() -> object:
        kept = []
        for job in VisualizationJob.iter(session, per_page=PAGE):
            if job.job_id and job.status:
                kept.append(job)
        return kept

    return call


def requests_kept(address: str) -> Call:
    """A list of all jobs as dicts."""
    import requests

    session = requests.Session()

    def call() -> object:
        kept = []
        for number in _PAGES:
            asked: Dict[str, Any] = {
                "page": number,
                "per_page": PAGE,
                "sortBy": "job_id",
                "order": "asc",
            }
            for job in session.get(address + PATH, params=asked).json()["jobs"]:
                if job["job_id"] and job["status"]:
                    kept.append(job)
        return kept

    return call


#: By the name that a worker is told.
PEERS: Dict[str, Callable[[str], Call]] = {
    maker.__name__: maker
    for maker in (
        modelarts,
        requests,
        urllib3,
        http_client,
        huaweicloudsdkcore,
        otcextensions,
        boto3,
        modelarts_signature,
        huaweicloudsdkcore_signature,
        modelarts_list,
        requests_list,
        modelarts_v2,
        requests_v2,
        modelarts_list_v2,
        requests_list_v2,
        modelarts_kept,
        requests_kept,
    )
}
