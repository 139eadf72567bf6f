"""Training jobs of the kind ``job`` in the form of the v2 API.

Source: *ModelArts API Reference*, "Training Management".
"""

from __future__ import annotations

import codecs
import io
import json
import os
import secrets
from threading import Lock
from typing import Any, BinaryIO, Iterator

from werkzeug.utils import send_file
from werkzeug.wrappers import Request, Response

from modelarts._status import phases_by_status
from modelarts.local.errors import GatewayFailure, json_response
from modelarts.local.jobs.clock import ServiceClock
from modelarts.local.training.metrics import METRICS
from modelarts.local.training.operations import Trainings
from modelarts.local.training.store import Training
from modelarts.local.training.workspace import TASK

#: The phase of each status that jobs of this service have.
PHASES = phases_by_status()
#: The beginning of the paths of links to logs; the rest is a key that has to be known.
LOGS = "/local/logs/"
_MAX_PREVIEW = 5 * 1024 * 1024
_PIECE = 64 * 1024
_DECODER = codecs.getincrementaldecoder("utf-8")
_LINK_SECONDS = 3600.0
_MAX_LINKS = 10_000


def shown(trainings: Trainings, training: Training) -> dict[str, Any]:
    """Return a training as the API shows it."""
    definition = training.definition
    phase = PHASES[training.status]
    status: dict[str, Any] = {
        "phase": phase,
        "secondary_phase": "Queuing" if phase == "Pending" else phase,
        "duration": trainings.duration(training),
        "start_time": training.start_time or 0,
        "tasks": [TASK],
        "node_count_metrics": [[training.start_time, 1]] if training.start_time else [],
    }
    if training.reason is not None or training.exit_code is not None:
        status["task_statuses"] = [
            {
                "task": TASK,
                "exit_code": training.exit_code if training.exit_code is not None else -1,
                "message": training.reason or "",
            }
        ]
    spec = definition.get("spec") or {}
    resource = {"flavor_id": "local", "node_count": 1, **(spec.get("resource") or {})}
    metadata = definition.get("metadata") or {}
    return {
        "kind": "job",
        "metadata": {
            "id": training.job_id,
            "name": training.name,
            "description": training.description,
            "create_time": training.create_time,
            "workspace_id": training.workspace_id,
            "user_name": training.user_name,
            "annotations": metadata.get("annotations") or {},
        },
        "status": status,
        "algorithm": definition.get("algorithm") or {},
        "spec": {**spec, "resource": resource},
        "endpoints": {},
    }


def preview(path: "os.PathLike[str]") -> Response:
    """Return the response with the newest part of a log.

    It is written in pieces, as the JSON of five megabytes at once takes five times as much memory.
    """
    try:
        file: BinaryIO = open(path, "rb")  # noqa: SIM115 - closed with the response
    except FileNotFoundError:
        file = io.BytesIO()
    size = file.seek(0, os.SEEK_END)
    begin = file.seek(max(0, size - _MAX_PREVIEW))
    response = Response(_preview(file, size - begin, size), content_type="application/json")
    response.call_on_close(file.close)
    return response


def _preview(file: BinaryIO, length: int, size: int) -> Iterator[str]:
    yield '{"content": "'
    decoder, left = _DECODER("replace"), length
    while left:
        piece = file.read(min(left, _PIECE))
        if not piece:
            break  # it has become shorter
        left -= len(piece)
        yield json.dumps(decoder.decode(piece))[1:-1]
    yield json.dumps(decoder.decode(b"", True))[1:-1]
    yield f'", "current_size": {length - left}, "full_size": {size}}}'


def metrics_of(trainings: Trainings, training: Training) -> list[dict[str, Any]]:
    """Return the metrics of a training: a mean a minute, -1 where there is none."""
    known = trainings.metrics(training)
    minutes = max(map(len, known.values()), default=0)
    return [{"metric": name, "value": known.get(name, [-1] * minutes)} for name in METRICS]


class LogLinks:
    """Links to logs, which work without a signature for an hour; kept in memory only.

    Args:
        clock: by which they end.
    """

    def __init__(self, clock: ServiceClock) -> None:
        self._clock = clock
        self._lock = Lock()
        self._links: dict[str, tuple[float, str]] = {}

    def make(self, path: "os.PathLike[str]") -> str:
        """Return the path of a new link to a file."""
        key = secrets.token_urlsafe(24)
        now = self._clock.monotonic()
        with self._lock:
            # In the order in which they end.
            while self._links and (
                len(self._links) >= _MAX_LINKS or next(iter(self._links.values()))[0] < now
            ):
                del self._links[next(iter(self._links))]
            self._links[key] = (now + _LINK_SECONDS, os.fspath(path))
        return LOGS + key

    def send(self, request: Request, key: str) -> Response:
        """Return the file of a link, or the part of it that the request asks for."""
        with self._lock:
            ends, path = self._links.get(key, (0.0, ""))
        if ends < self._clock.monotonic():
            raise GatewayFailure(403, "APIG.0301", "The link has ended, or never was one.")
        if not os.path.exists(path):
            return json_response({"error_msg": "The log is gone.", "error_code": "404"}, 404)
        return send_file(
            path,
            request.environ,
            mimetype="text/plain; charset=utf-8",
            conditional=True,
            etag=False,
            max_age=0,
        )
