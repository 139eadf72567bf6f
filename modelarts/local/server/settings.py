"""The settings of a service."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Callable, Sequence

import attr

from modelarts.local.server.network import Network

if TYPE_CHECKING:
    from modelarts.local.logs.remote import Source
    from modelarts.local.logs.sent_keys import SentKeys


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Settings:
    """The settings of a service: the options of ``modelarts serve``, which ``--help`` explains.

    Args:
        network: where to listen; by default any free port on loopback.
        users: the users file; by default ``users.json`` in the root, made with one user.
        board_memory: the most that a board may allocate, in bytes.
        sleep_after: how many seconds a board that nobody looks at goes on; 0: for ever.
        stop_after: how many seconds a job without a visit goes on; 0: for ever.
        test_clock: the clock can be moved, and begins so many seconds ahead.
        source: the OBS that jobs read; by default, ``obs`` in the root stands for it.
        obs_keys: the keys that programs send for ``source``; None: they come from elsewhere.
        max_cached: how many bytes of it are kept on this machine at most.
        obs_api: the port at which the folder is offered through OBS's API too, 0 for that of last
            time or any that is free; None: it is not.
        training_memory: the most that each may use, in bytes; None: nine tenths of the machine's.
        show_link: is called with the address of the console, and whether it signs in the user
            ``local``, once; None: no such link is made.
    """

    network: Network = attr.ib(factory=Network)
    while_used: bool = False
    max_running: int = 200
    users: Path | None = None
    rate: float = 500.0
    board_memory: int = 2048 * 1024 * 1024
    sleep_after: float = 3600.0
    stop_after: float = 0.0
    test_clock: float | None = None
    source: Source | None = None
    obs_keys: SentKeys | None = None
    max_cached: int = 10 * 1024**3
    obs_api: int | None = None
    mindinsight: str | None = None
    mounts: Sequence[str] = ()
    max_trainings: int | None = None
    training_memory: int | None = None
    engines: Sequence[str] = ()
    flavors: Sequence[str] = ()
    max_share_hours: int = 720
    max_shares: int = 100
    datasets: Sequence[str] = ()
    database: str | None = attr.ib(default=None, repr=False)
    unconfined_boards: bool = False
    ray_address: str | None = None
    load_late: bool = False
    shared: Path | None = None
    show_link: Callable[[str, bool], None] | None = None
