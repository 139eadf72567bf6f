"""The answers of the loopback server: the documented bodies, made once, as bytes."""

import json
import math
from typing import Any, Dict, List

__all__ = ["JOBS", "JOB_ID", "PROJECT_ID", "details", "page", "token"]

#: How many jobs there are.
JOBS = 10_000
#: The job whose details are asked for.
JOB_ID = "197"
PROJECT_ID = "04f679b17380d32a2f32c00335c4b5ba"


def details(job_id: int) -> Dict[str, Any]:
    """A job as in *API Reference*, "Querying Details About a Visualization Job"."""
    return {
        "duration": 33000 + job_id,
        "job_id": job_id,
        "job_name": "visualization-%05d" % job_id,
        "job_desc": "this is a visualization job",
        "status": 8,
        "service_url": "https://xxx/modelarts/tensorboard/%032x/%d/" % (job_id * 7919, job_id),
        "train_url": "/obs-bucket/training/run-%d/logs/" % job_id,
        "create_time": 1502175569000 + job_id,
        "resource_id": "%08x-0000-4000-8000-%012x" % (job_id * 104729, job_id),
        "remaining_duration": None,
    }


def page(number: int, per_page: int) -> bytes:
    """One page of the list of all :data:`JOBS`."""
    first = (number - 1) * per_page
    jobs: List[Any] = [details(i + 1) for i in range(first, min(first + per_page, JOBS))]
    return _encoded(
        {
            "is_success": True,
            "quotas": 20_000,
            "job_total_count": JOBS,
            "job_count_limit": 20_000 - JOBS,
            "pages": math.ceil(JOBS / per_page),
            "jobs": jobs,
        }
    )


def one_job() -> bytes:
    """The details of :data:`JOB_ID`."""
    return _encoded(details(int(JOB_ID)))


def token(address: str) -> bytes:
    """A token's description, as IAM answers it, with this server as the only service."""
    endpoint = {
        "id": "1",
        "interface": "public",
        "region": "eu-de",
        "region_id": "eu-de",
        "url": "%s/v1/%s" % (address, PROJECT_ID),
    }
    services = ("modelarts", "modelartsv1")
    return _encoded(
        {
            "token": {
                "methods": ["password"],
                "issued_at": "2030-01-01T00:00:00.000000Z",
                "expires_at": "2099-01-01T00:00:00.000000Z",
                "project": {"id": PROJECT_ID, "name": "eu-de", "domain": {"id": "d", "name": "d"}},
                "user": {"id": "u", "name": "user", "domain": {"id": "d", "name": "d"}},
                "roles": [{"id": "r", "name": "te_admin"}],
                "catalog": [
                    {"id": name, "name": name, "type": name, "endpoints": [endpoint]}
                    for name in services
                ],
            }
        }
    )


def _encoded(body: Any) -> bytes:
    # As a JVM writes it: no blanks.
    return json.dumps(body, separators=(",", ":")).encode("utf-8")
