"""ModelArts and IAM in memory, at the edge of ``requests``."""

import json
import os
import re
import secrets
import threading
import time
from collections import defaultdict, deque
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Deque, Dict, List, Mapping, Optional, Sequence, Tuple, Union

import requests
import responses

from modelarts._internal.clock import stand_in
from modelarts.errors import InvalidArgument
from modelarts.models import JobStatus
from modelarts.session import Session
from modelarts.testing.clocks import FakeClock
from modelarts.testing.environment import environment, variables
from modelarts.testing.fake_iam import FakeIdentity
from modelarts.testing.fake_jobs import FakeJobs, Refusal
from modelarts.testing.fake_training_jobs import FakeTrainingJobs
from modelarts.testing.faults import Fault
from modelarts.testing.payloads import (
    gateway_failure_payload,
    iam_failure_payload,
)
from modelarts.testing.requests import Malformed, Recorded, read_call

#: The operations of :meth:`FakeModelArts.fail`.
OPERATIONS = (
    "create",
    "list",
    "show",
    "update",
    "stop",
    "restart",
    "delete",
    "token",
    "keys",
    "projects",
    "other",
)
_Answer = Tuple[int, Mapping[str, str], Any]


class FakeModelArts:
    """A region with one user and one project in memory, for tests that take milliseconds.

    In its ``with`` block ``Session()`` finds it in the environment, waits and retries take no time
    (:func:`~modelarts.testing.no_sleep`), and ``requests`` can reach no other address. A request
    that the API does not know fails the test, even if the code under test catches the error.

    It has both APIs over the same jobs: ``Session()`` uses v1, ``Session(api="v2")`` v2.

    Args:
        statuses: the statuses of a new job in their order. Each response that shows the job is one
            step, beginning with the response to its create; a list is none. The last one stays.
        stop_statuses: the statuses after a stop, likewise.
        restart_statuses: the statuses after a restart, likewise.
        most_active: the number of jobs that may be active at once; the next one exceeds the quota.
            By default 100.
        obs: a folder that takes the place of OBS; ``session.obs`` then works on it. By default
            None: there is no OBS.
        mock: an active ``responses.RequestsMock`` to use; by default a new one.

    Attributes:
        clock: the source of time; ``fake.clock.now += 3600`` lets an hour pass.
        requests: all requests that were received, in order.
        answers: bodies for other paths, as ``answers["GET", "/v1/…"] = {…}``.

    Example:
        >>> from modelarts.estimator import VisualizationJob
        >>> with FakeModelArts() as fake:
        ...     job = VisualizationJob.create("/bucket/logs/", session=fake.session()).wait()
        >>> job.status
        <JobStatus.RUNNING: 8>
        >>> fake.operations
        ['create', 'show', 'show']
    """

    region_name = "region-1"
    project_id = "0123456789abcdef0123456789abcdef"
    access_key, secret_key = "FAKEACCESSKEY", "fake-secret-key"
    account, username, password = "fake-account", "fake-user", "fake-password"
    modelarts_endpoint = "https://modelarts.region-1.example.com"
    iam_endpoint = "https://iam.region-1.example.com"

    def __init__(
        self,
        statuses: Sequence[int] = (JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING),
        stop_statuses: Sequence[int] = (JobStatus.KILLING, JobStatus.KILLED),
        restart_statuses: Sequence[int] = (JobStatus.WAITING, JobStatus.RUNNING),
        most_active: int = 100,
        obs: Union[None, str, "os.PathLike[str]"] = None,
        mock: Optional[responses.RequestsMock] = None,
    ) -> None:
        self.statuses = statuses
        self.stop_statuses = stop_statuses
        self.restart_statuses = restart_statuses
        self.obs = None if obs is None else Path(obs)
        self.clock = FakeClock(time.time())
        self.requests: List[Recorded] = []
        self.answers: Dict[Tuple[str, str], Any] = {}
        self._mock = mock
        self._faults: Dict[str, Deque[Union[Fault, Exception]]] = defaultdict(deque)
        self._identity = FakeIdentity(
            self.clock,
            (self.account, self.username, self.password),
            (self.access_key, self.secret_key),
            {"id": self.project_id, "name": self.region_name},
        )
        self._malformed: List[Malformed] = []
        self._lock = threading.Lock()
        self._entered = ExitStack()
        board = "%s/modelarts/tensorboard/%s/%%d/" % (
            self.modelarts_endpoint,
            secrets.token_hex(16),
        )
        self._jobs = FakeJobs(self.clock, board, most_active)
        self._training_jobs = FakeTrainingJobs(self._jobs)

    # For tests -----------------------------------------------------------------------------

    def session(self, **changes: Any) -> Session:
        """Return a session with AK/SK.

        Args:
            changes: arguments of ``Session``, by name, in addition or in place of the usual ones.

        Returns:
            The session.
        """
        return Session(
            **{
                "access_key": self.access_key,
                "secret_key": self.secret_key,
                "project_id": self.project_id,
                **self._place(),
                **changes,
            }
        )

    def password_session(self, **changes: Any) -> Session:
        """Return a session with a user's name and password, which requests a token.

        Args:
            changes: arguments of ``Session``, by name, in addition or in place of the usual ones.

        Returns:
            The session.
        """
        names = ("account", "username", "password")
        return Session(**{**{n: getattr(self, n) for n in names}, **self._place(), **changes})

    def add_job(self, statuses: Sequence[int] = (JobStatus.RUNNING,), **fields: Any) -> str:
        """Add a job, without a request.

        Args:
            statuses: the statuses of the job, one step for each response that shows it; by default
                ``RUNNING`` only.
            fields: fields of :func:`~modelarts.testing.job_payload`, by name.

        Returns:
            The job's id.

        Raises:
            InvalidArgument: there is no status, a job with that id exists, or the API has no such
                field.
        """
        with self._lock:
            return str(self._jobs.add(statuses, **fields))

    def add_training(self, folder: str, name: str = "training") -> str:
        """Add a training, without a request: a board of v2 can show it.

        Args:
            folder: the folder in OBS that it has written its summary to, ``'obs://bucket/logs/'``.
                ``create("/bucket/logs/")`` over v2 finds it by this folder.
            name: its name; by default ``"training"``.

        Returns:
            The id of the training, for ``training_jobs=[…]``.

        Raises:
            InvalidArgument: the folder is not one in OBS.

        Example:
            >>> from modelarts.estimator import VisualizationJob
            >>> with FakeModelArts() as fake:
            ...     training = fake.add_training("obs://bucket/logs/")
            ...     job = VisualizationJob.create(
            ...         training_jobs=[training], session=fake.session(api="v2"))
            >>> job.status
            <JobStatus.INIT: 1>
        """
        with self._lock:
            return self._training_jobs.add_training(folder, name)

    def fail(self, operation: str, fault: Union[Fault, Exception], times: int = 1) -> None:
        """Let the next requests of an operation fail.

        Args:
            operation: the name of the operation, as in :class:`~modelarts.testing.Recorded`.
            fault: a :class:`~modelarts.testing.Fault`, or an error that ``requests`` is to raise.
            times: the number of requests that fail, by default 1; several faults of an operation
                take effect in their order.

        Raises:
            InvalidArgument: there is no such operation.

        Example:
            >>> from modelarts.estimator import VisualizationJob
            >>> from modelarts.testing import rate_limited
            >>> with FakeModelArts() as fake:
            ...     fake.fail("list", rate_limited(retry_after=7))
            ...     jobs = VisualizationJob.list(fake.session())
            >>> fake.clock.sleeps
            [7.0]
        """
        if operation not in OPERATIONS:
            raise InvalidArgument("operation", operation, "one of " + ", ".join(OPERATIONS))
        with self._lock:
            self._faults[operation].extend([fault] * times)

    def expire_credentials(self) -> None:
        """Refuse all tokens and temporary keys that were issued until now."""
        with self._lock:
            self._identity.forget()

    @property
    def operations(self) -> List[str]:
        """The operations of all requests that were received, in order."""
        return [request.operation for request in self.requests]

    @property
    def environ(self) -> Dict[str, str]:
        """The environment variables by which ``Session()`` finds the fake."""
        place = {"access_key": self.access_key, "secret_key": self.secret_key, **self._place()}
        return variables(project_id=self.project_id, **place)

    def __enter__(self) -> "FakeModelArts":
        with ExitStack() as stack:
            mock = self._mock
            if mock is None:
                mock = responses.RequestsMock(assert_all_requests_are_fired=False)
                stack.enter_context(mock)
            self.install(mock)
            stack.enter_context(environment(self.environ))
            stack.enter_context(stand_in(self.clock))
            self._entered = stack.pop_all()
        return self

    def __exit__(self, kind: object, error: Optional[BaseException], trace: object) -> None:
        self._entered.close()
        if self._malformed and error is None:
            raise self._malformed[0]

    def install(self, mock: responses.RequestsMock) -> None:
        """Register the fake for both addresses, without the other effects of its ``with`` block.

        Args:
            mock: the ``responses.RequestsMock`` that is to call the fake.
        """
        for method in ("GET", "POST", "PUT", "DELETE"):
            for endpoint in (self.modelarts_endpoint, self.iam_endpoint):
                mock.add_callback(method, re.compile(re.escape(endpoint) + "/"), self._callback)

    # Responses -----------------------------------------------------------------------------

    def _callback(self, request: requests.PreparedRequest) -> Tuple[int, Mapping[str, str], str]:
        with self._lock:
            status, headers, body = self._answer(request)
        return status, {"Content-Type": "application/json", **headers}, json.dumps(body)

    def _answer(self, request: requests.PreparedRequest) -> _Answer:
        content = request.body
        data = content.encode() if isinstance(content, str) else content or b""
        try:
            call = read_call(str(request.method), str(request.url), data, self.project_id)
        except Malformed as error:
            self._malformed.append(error)
            raise
        self.requests.append(call)
        waiting = self._faults[call.operation]
        fault = waiting.popleft() if waiting else None
        if isinstance(fault, Exception):
            raise fault
        if fault is None or fault.arrives:
            answer = self._perform(call, request, data)
            if fault is None:
                return answer
        if fault.error is not None:
            raise fault.error
        return fault.status, fault.headers, fault.body

    def _perform(self, call: Recorded, request: requests.PreparedRequest, data: bytes) -> _Answer:
        identity = self._identity
        if call.operation == "token":
            issued = identity.token(json.loads(data))
            if issued is None:
                return 401, {}, iam_failure_payload()
            return 201, {"X-Subject-Token": issued[0]}, issued[1]
        by_token = "X-Auth-Token" in request.headers
        if not identity.knows(str(request.method), str(request.url), request.headers, data):
            return 401, {}, gateway_failure_payload()
        if call.operation == "keys":
            return 201, {}, identity.temporary_keys()
        if call.operation == "projects":
            return 200, {}, identity.projects(call.query.get("name"))
        try:
            if call.path.startswith("/v2/"):
                status, body = self._operate_v2(call)
                return status, {}, body
            return 200, {}, self._operate(call, by_token)
        except Refusal as refusal:
            return refusal.fault.status, {}, refusal.fault.body

    def _operate_v2(self, call: Recorded) -> Tuple[int, Any]:
        if (call.method, call.path) in self.answers:
            return 200, self.answers[call.method, call.path]
        if call.operation != "other":
            return self._training_jobs.operate(
                call.operation, call.training_id, call.body, self.statuses, self.stop_statuses
            )
        if "/training-job" in call.path and self.project_id not in call.path:
            body = {
                "error_code": "ModelArts.2786",
                "error_msg": "The project ID in the request does not match that in the token.",
                "error_solution": "Change the project ID in the request.",
            }
            raise Refusal(Fault(status=404, body=body))
        raise Refusal(Fault(status=404, body=gateway_failure_payload("APIG.0101", "No such API")))

    def _operate(self, call: Recorded, by_token: bool) -> Any:
        jobs, number = self._jobs, call.job_id or 0
        if call.operation == "create":
            return jobs.create(call.body, self.statuses)
        if call.operation == "list":
            name = "sort_by" if by_token else "sortBy"
            return jobs.page(call.query, call.query.get(name, "job_id"))
        if call.operation == "update":
            return jobs.update(number, call.body)
        if call.operation == "stop":
            return jobs.stop(number, self.stop_statuses)
        if call.operation == "restart":
            return jobs.restart(number, self.restart_statuses)
        if call.operation in ("show", "delete"):
            return getattr(jobs, call.operation)(number)
        if (call.method, call.path) in self.answers:
            return self.answers[call.method, call.path]
        if "/visualization-jobs" in call.path:
            body = gateway_failure_payload("ModelArts.0210", "The project id is not the token's.")
            raise Refusal(Fault(status=403, body=body))
        raise Refusal(Fault(status=404, body=gateway_failure_payload("APIG.0101", "No such API")))

    def _place(self) -> Dict[str, str]:
        place = {
            "region_name": self.region_name,
            "modelarts_endpoint": self.modelarts_endpoint,
            "iam_endpoint": self.iam_endpoint,
        }
        if self.obs is not None:
            place["obs_endpoint"] = self.obs.resolve().as_uri()
        return place
