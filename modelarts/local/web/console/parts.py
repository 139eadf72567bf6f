"""The parts of the service that the pages of the console use."""

from __future__ import annotations

from pathlib import Path
from typing import Mapping

import attr

from modelarts._internal.clock import Clock
from modelarts.local.boards.supervisor import Supervisor
from modelarts.local.identity.authentication import Authentication
from modelarts.local.identity.passwords import Logins
from modelarts.local.identity.sessions import Sessions
from modelarts.local.identity.users_file import Accounts
from modelarts.local.jobs.shares import Shares
from modelarts.local.operations import Operations
from modelarts.local.training.operations import Trainings
from modelarts.local.web.hosts import Reach


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Parts:
    """The parts of the service that the pages of the console use.

    Attributes:
        service_id: that of the service; its front ends have the same.
        root: the folder of the service.
        limits: the limits of the service, for people.
    """

    operations: Operations
    supervisor: Supervisor
    trainings: Trainings
    accounts: Accounts
    authentication: Authentication
    logins: Logins
    sessions: Sessions
    reach: Reach
    clock: Clock
    service_id: str
    root: Path
    limits: Mapping[str, str]
    shares: Shares
