"""An actor of a Ray cluster, on its node: it tells its state to all that ask for another one."""

from __future__ import annotations

import secrets
import time
from threading import Condition
from typing import Any, Mapping

#: How long a call for another state waits for one.
_WAIT_SECONDS = 60.0


class Host:
    """The actor of one process. It does not fail: what went wrong is part of its state.

    Args:
        name: that of the actor.
        spec: what the process is; part of its state.
    """

    def __init__(self, name: str, spec: Mapping[str, Any]) -> None:
        import ray

        self.name = name
        self._node_id: str = ray.get_runtime_context().get_node_id()
        self.spec = spec
        self.asked = time.monotonic()
        # Another life of an actor has other states.
        self._life = secrets.token_hex(4)
        self._number = 0
        self._changed = Condition()
        self._state: dict[str, Any] = {}
        self.tell("starting")

    def changes(self, known: str) -> dict[str, Any]:
        """Return the state, once it is not the known one; or a minute later."""
        self.asked = time.monotonic()
        with self._changed:
            self._changed.wait_for(lambda: self._state["id"] != known, _WAIT_SECONDS)
            return self._state

    def tell(self, phase: str, **more: Any) -> None:
        """Have another state from now on."""
        with self._changed:
            self._number += 1
            number = f"{self._life}-{self._number}"
            self._state = {
                "id": number,
                "phase": phase,
                "node_id": self._node_id,
                "spec": self.spec,
                **more,
            }
            self._changed.notify_all()
