"""The id of a service, by which it finds what it has started on a cluster, and browsers know it.

A copy of a service's folder, or of its database, has the id of the original. It is given another
one, so that it leaves the processes of the original alone.
"""

from __future__ import annotations

import logging
import os
import secrets
from pathlib import Path

from modelarts.errors import ConfigurationError
from modelarts.local.database.front_ends import FrontEnds
from modelarts.local.files import read_private, write_private
from modelarts.local.jobs.store import Store
from modelarts.local.server.settings import Settings
from modelarts.local.training.store import TrainingStore

_LOG = logging.getLogger("modelarts.local")
#: The settings with the id, and with the place of what has it.
_ID = "service_id"
_PLACE = "place"
#: The file of ``--shared`` with the place of the database.
_OWNER = "database.json"


def service_id(root: Path, settings: Settings, store: Store, front_ends: FrontEnds) -> str:
    """Return the id of this service, which all front ends of a database have in common.

    Raises:
        ConfigurationError: the folder of ``--shared`` belongs to another database.
    """
    known, before = store.setting(_ID), store.setting(_PLACE)
    if known is not None and not front_ends.is_first:
        return known
    place = store.database.place()
    if settings.shared is not None:
        _take_shared(settings.shared, place)
    on_cluster = settings.ray_address is not None
    if on_cluster and not store.database.is_shared:
        # It may begin on another machine, which has another number for the same file system.
        place = place.rpartition("-")[2]
    if before not in (None, place):
        known = None
        # Those of a front end have its name, and are on its machine.
        number = 0 if store.database.is_shared and not on_cluster else TrainingStore(store).disown()
        _LOG.warning(
            "%s is a copy of another service's, or was moved: what that service has started "
            "is left alone, and %d trainings that had not ended are not looked for",
            store.database.name if store.database.is_shared else root,
            number,
        )
    if known is None:
        known = secrets.token_hex(8)
        store.keep_setting(_ID, known)
    if before != place:
        store.keep_setting(_PLACE, place)
    return known


def _take_shared(folder: Path, place: str) -> None:
    """Record the database that a folder in common belongs to. Raises ConfigurationError."""
    path = folder / _OWNER
    # The number that the file system gives it is the same on all machines.
    owner = {"database": place, "folder": os.stat(folder).st_ino}
    try:
        before = read_private(path)
    except FileNotFoundError:
        before = {}
    except ValueError as error:
        raise ConfigurationError(str(error)) from None
    if before == owner:
        return
    if before.get("folder") == owner["folder"]:
        raise ConfigurationError(
            f"--shared {folder}: it belongs to another database than that of --database. Give "
            f"another folder; or, if this database was moved here, and nothing uses the former "
            f"one any more, remove {path}"
        )
    write_private(path, owner)
