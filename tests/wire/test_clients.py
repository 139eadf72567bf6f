"""Unmodified clients of others, against the running local service."""

import json

import pytest
import requests
from huaweicloudsdkcore.auth.credentials import BasicCredentials
from huaweicloudsdkcore.sdk_request import SdkRequest
from huaweicloudsdkcore.signer.signer import Signer

from tests.support.clocks import wait_until
from tests.support.lazy import Lazy

pytestmark = pytest.mark.local

openstack = Lazy("openstack")
sdk = Lazy("otcextensions.sdk")


@pytest.fixture
def modelarts(service):
    """ModelArts as ``openstacksdk`` with ``otcextensions`` reaches it, after a login."""
    found = service.connection
    auth = {
        "auth_url": found["iam_endpoint"] + "/v3",
        "username": found["username"],
        "password": found["password"],
        "project_name": found["region_name"],
        "user_domain_name": found["account"],
        "project_domain_name": found["account"],
    }
    connection = openstack.connection.Connection(auth=auth, region_name=found["region_name"])
    sdk.register_otc_extensions(connection)
    yield connection.modelartsv1
    connection.close()


def test_otcextensions_leads_a_job_through_its_life(modelarts):
    made = modelarts.create_visualization_job(
        job_name="from-otc",
        train_url="/bucket/logs/",
        job_desc="made by otcextensions",
        schedule=[{"type": "stop", "time_unit": "HOURS", "duration": 1}],
    )
    number = made.job_id
    try:
        shown = modelarts.get_visualization_job(number)
        assert (shown.job_name, shown.job_desc) == ("from-otc", "made by otcextensions")
        assert shown.service_url.startswith("http://127.0.0.1:")
        listed = [job.job_id for job in modelarts.visualization_jobs(sort_by="job_name")]
        assert listed == [number]
        modelarts.update_visualization_job(number, description="new")
        assert modelarts.get_visualization_job(number).job_desc == "new"
        modelarts.stop_visualization_job(number)
        wait_until(lambda: modelarts.get_visualization_job(number).status == 12)
        modelarts.restart_visualization_job(number)
        assert modelarts.get_visualization_job(number).status in (7, 8)
    finally:
        modelarts.delete_visualization_job(number)
    with pytest.raises(openstack.exceptions.NotFoundException):
        modelarts.get_visualization_job(number)


def test_otcextensions_with_a_wrong_password_is_refused(service):
    found = service.connection
    auth = {
        "auth_url": found["iam_endpoint"] + "/v3",
        "username": found["username"],
        "password": "wrong",
        "project_name": found["region_name"],
        "user_domain_name": found["account"],
        "project_domain_name": found["account"],
    }
    connection = openstack.connection.Connection(auth=auth, region_name=found["region_name"])
    with pytest.raises(Exception, match="401"):
        connection.authorize()
    connection.close()


def _signed(service, body=b"", method="GET", query=()):
    """A request as ``huaweicloudsdkcore`` signs it."""
    found = service.connection
    scheme, _, host = found["modelarts_endpoint"].partition("://")
    request = SdkRequest(
        method=method,
        schema=scheme,
        host=host,
        resource_path="/v1/%s/visualization-jobs" % found["project_id"],
        query_params=list(query),
        header_params={
            "Content-Type": "application/json",
            "X-Project-Id": found["project_id"],
        },
        body=body,
    )
    return Signer(BasicCredentials(found["access_key"], found["secret_key"])).sign(request)


def _send(service, signed):
    with requests.Session() as plain:
        plain.trust_env = False
        return plain.request(
            signed.method,
            "%s://%s%s" % (signed.schema, signed.host, signed.uri),
            headers=signed.header_params,
            data=signed.body or None,
            timeout=30,
        )


BODY = json.dumps({"job_name": "from-huawei", "train_url": "/bucket/logs/"}).encode()


def test_a_call_that_huaweicloudsdkcore_signed_is_accepted(service):
    query = [("search_content", "größe &+=~/?"), ("per_page", "5"), ("status", "3|5")]
    answer = _send(service, _signed(service, query=query))
    assert (answer.status_code, answer.json()["jobs"]) == (200, [])
    made = _send(service, _signed(service, BODY, "POST"))
    assert made.status_code == 200
    with service.session() as session:
        session.request(
            "DELETE",
            "/v1/%s/visualization-jobs/%d" % (session.project_id, made.json()["job_id"]),
        )


def _flip(text):
    return text[:-1] + ("0" if text[-1] != "0" else "1")


@pytest.mark.parametrize(
    "change",
    [
        lambda signed: setattr(signed, "uri", signed.uri.replace("per_page=5", "per_page=6")),
        lambda signed: setattr(signed, "body", BODY.replace(b"from", b"fr0m")),
        lambda signed: setattr(signed, "method", "GET"),
        lambda signed: signed.header_params.update({"X-Project-Id": "f" * 32}),
        lambda signed: signed.header_params.update({"Content-Type": "application/json2"}),
        lambda signed: signed.header_params.update(
            Authorization=_flip(signed.header_params["Authorization"])
        ),
        lambda signed: signed.header_params.update(
            Authorization=signed.header_params["Authorization"].replace("x-project-id;", "")
        ),
        lambda signed: signed.header_params.update(
            {"X-Sdk-Date": signed.header_params["X-Sdk-Date"][:-2] + "xZ"}
        ),
    ],
    ids=["query", "body", "method", "header", "content-type", "signature", "signed", "date"],
)
def test_the_same_call_with_one_byte_changed_is_refused(service, change):
    signed = _signed(service, BODY, "POST", [("per_page", "5")])
    change(signed)
    answer = _send(service, signed)
    assert answer.status_code == 401
    assert answer.json()["error_code"] == "APIG.0301"
