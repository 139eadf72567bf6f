"""A spare process of Ray on each node, so that the next board there does not wait for one.

A process of Ray takes a second of a processor to load, and runs one actor only. Ray starts some
with a node; here it is asked for another one after those of a node were used.
"""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any

#: How long Ray keeps a process that nothing uses; then, as many as there are free processors.
_KEPT_SECONDS = 600
_CALL_SECONDS = 10


class Spares:
    """The spare processes of a cluster, as far as one service starts actors.

    After several starts at once there is one for each node that they came to, and not one for each.

    Args:
        pool: its threads ask Ray.
    """

    def __init__(self, pool: ThreadPoolExecutor) -> None:
        self._pool = pool
        self._lock = Lock()
        self._starting: set[str] = set()
        self._used: set[str] = set()

    def open(self, node_id: str) -> None:
        """Have one on each node but this one, where Ray starts some for a service that joins."""
        self._pool.submit(self._add, None, node_id)

    def starts(self, name: str) -> None:
        """Note that an actor is being started."""
        with self._lock:
            self._starting.add(name)

    def has_started(self, name: str, node_id: str | None = None) -> None:
        """Note that an actor has started on a node; None: that it will not.

        When none is being started any more, the nodes get spare processes.
        """
        with self._lock:
            if name not in self._starting:
                return
            self._starting.remove(name)
            if node_id is not None:
                self._used.add(node_id)
            if self._starting:
                return
            used, self._used = self._used, set()
        self._pool.submit(self._add, used)

    def _add(self, node_ids: set[str] | None, but: str | None = None) -> None:
        import ray

        try:
            for node in ray.nodes():
                is_meant = node_ids is None or node["NodeID"] in node_ids
                if node["Alive"] and is_meant and node["NodeID"] != but:
                    _add(f"{node['NodeManagerAddress']}:{node['NodeManagerPort']}")
        except Exception as error:  # boards start without, a second later
            print(f"no spare process: {type(error).__name__}: {error}", file=sys.stderr, flush=True)


def _add(address: str) -> None:
    """Have the node manager at an address start a process.

    Source: ``PrestartWorkers`` in *ray/src/ray/protobuf/node_manager.proto*.
    """
    from ray._private.grpc_utils import init_grpc_channel
    from ray.core.generated import common_pb2, node_manager_pb2, node_manager_pb2_grpc

    request: Any = node_manager_pb2.PrestartWorkersRequest(
        language=common_pb2.Language.Value("PYTHON"),
        keep_alive_duration_secs=_KEPT_SECONDS,
        num_workers=1,
    )
    with init_grpc_channel(address) as channel:
        stub = node_manager_pb2_grpc.NodeManagerServiceStub(channel)
        stub.PrestartWorkers(request, timeout=_CALL_SECONDS)
