"""``/local/clock``: tests of programs move the service's time, where ``--test-clock`` is given."""

from __future__ import annotations

from typing import Callable

from werkzeug.wrappers import Request, Response

from modelarts.local.boards.supervisor import Supervisor
from modelarts.local.errors import Failure, json_of, json_response
from modelarts.local.identity.authentication import Authentication
from modelarts.local.jobs.clock import MovableClock
from modelarts.local.training.supervisor import TrainingSupervisor

_MOST_SECONDS = 10 * 366 * 86400


class TestClock:
    """Tells and moves the clock. Whoever may call the API may do so."""

    __test__ = False

    def __init__(
        self,
        clock: MovableClock,
        supervisor: Supervisor,
        trainings: TrainingSupervisor,
        authentication: Authentication,
        announce: Callable[[], None] = lambda: None,
    ) -> None:
        self._announce = announce
        self._clock = clock
        self._supervisor = supervisor
        self._trainings = trainings
        self._authentication = authentication

    def answer(self, request: Request) -> Response:
        """``GET``, or ``PUT`` with ``{"advance_seconds": 3600}``.

        What is due by then has begun when it is answered: a job whose schedule came has status 9.
        """
        self._authentication.caller(request)
        if request.method == "PUT":
            body = json_of(request)
            seconds = body.get("advance_seconds") if isinstance(body, dict) else None
            if (
                not isinstance(seconds, (int, float))
                or isinstance(seconds, bool)
                or not 0 <= seconds <= _MOST_SECONDS
            ):
                raise Failure(
                    400,
                    "ModelArts.0104",
                    f"advance_seconds must be a number from 0 to {_MOST_SECONDS}",
                )
            self._clock.advance(seconds)
            self._supervisor.stop_due()
            self._supervisor.wake()
            self._trainings.stop_due()
            self._announce()
        now = {"time": self._supervisor.timeline.wall(), "ahead_seconds": self._clock.ahead}
        return json_response(now)
