"""The answers of the loopback server: the documented bodies, made once, as bytes."""

import json
import math
from typing import Any, Dict, List

__all__ = [
    "JOBS",
    "JOB_ID",
    "PROJECT_ID",
    "TRAINING_ID",
    "TRAINING_JOBS",
    "details",
    "page",
    "token",
    "training_job",
    "training_jobs",
]

#: How many jobs there are.
JOBS = 10_000
#: The job whose details are asked for.
JOB_ID = "197"
PROJECT_ID = "04f679b17380d32a2f32c00335c4b5ba"
#: The same of the v2 API, where a page has 50 jobs at most.
TRAINING_JOBS = 5000
TRAINING_ID = "00000000-0000-4000-8000-0000000000c5"


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


def training_job(number: int) -> Dict[str, Any]:
    """A board of v2 as in *API Reference*, "Querying the Details About a Training Job"."""
    return {
        "kind": "visualization_job",
        "metadata": {
            "id": "00000000-0000-4000-8000-%012x" % number,
            "name": "visualization-%05d" % number,
            "description": "this is a visualization job",
            "create_time": 1636515222282 + number,
            "workspace_id": "0",
            "user_name": "ei_modelarts_q00357245_01",
            "annotations": {"job_template": "Template DL", "key_task": "worker"},
        },
        "status": {
            "phase": "Running",
            "secondary_phase": "Running",
            "duration": 33000 + number,
            "start_time": 1636515236000 + number,
            "node_count_metrics": [[1636515236000 + number, 1]],
            "tasks": ["worker-0"],
        },
        "algorithm": {
            "parameters": [],
            "inputs": [],
            "outputs": [],
            "engine": {},
            "environments": [],
            "summary": {
                "log_type": "tensorboard",
                "data_sources": [{"job": {"job_id": "%032x" % (number * 7919)}}],
            },
        },
        "spec": {
            "resource": {
                "policy": "regular",
                "flavor_id": "modelarts.vm.cpu.2u",
                "flavor_name": "Computing CPU(2U)",
                "node_count": 1,
                "flavor_detail": {
                    "flavor_type": "CPU",
                    "billing": {"code": "modelarts.vm.cpu.2u", "unit_num": 1},
                    "flavor_info": {
                        "cpu": {"arch": "x86", "core_num": 2},
                        "memory": {"size": 8, "unit": "GB"},
                    },
                },
            },
            "volumes": [],
            "log_export_path": {},
        },
        "endpoints": {
            "tensorboard": {
                "url": "https://xxx/tensorboard/%032x/" % (number * 104729),
                "token": "%064x" % (number * 1299709),
            }
        },
    }


def one_training_job() -> bytes:
    """The details of :data:`TRAINING_ID`."""
    return _encoded(training_job(197))


def training_jobs(offset: int, limit: int) -> bytes:
    """One page of the list of all :data:`TRAINING_JOBS`."""
    first = offset * limit
    items = [training_job(i + 1) for i in range(first, min(first + limit, TRAINING_JOBS))]
    told: Dict[str, Any] = {"total": TRAINING_JOBS, "count": len(items), "limit": limit}
    told.update(offset=offset, sort_by="create_time", order="asc", group_by="")
    return _encoded({**told, "workspace_id": "0", "ai_project": "default", "items": items})


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
