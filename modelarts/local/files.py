"""Files that hold secrets: readable by their owner alone, written whole or not at all."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

from modelarts._internal.disk import sync_folder


def place_of(folder: Path) -> str:
    """Return a text for the place of a folder: a copy of it has another, a new name leaves it."""
    state = os.stat(folder)
    return f"{state.st_dev}-{state.st_ino}"


def read_private(path: Path) -> dict[str, Any]:
    """Return the JSON object in a file that only its owner can read.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: others can read it, or it holds no JSON object.
    """
    with open(path, "rb") as file:
        mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
        if mode & 0o077:
            raise ValueError(
                f"{path} holds secrets and others may use it (its mode is {mode:04o}): "
                f"chmod 600 {path}"
            )
        content = file.read()
    try:
        parsed = json.loads(content)
    except ValueError as error:
        raise ValueError(f"{path} is not JSON: {error}") from None
    if not isinstance(parsed, dict):
        raise ValueError(f"{path} is not a JSON object")
    return parsed


def write_private(path: Path, content: dict[str, Any]) -> None:
    """Write JSON that only its owner can read, whole or not at all."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with open(descriptor, "w") as file:
            if os.geteuid() == 0:
                # Written by root, it still belongs to the user that the service runs as.
                owner = path.stat() if path.exists() else path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            json.dump(content, file, indent=2)
            file.write("\n")
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(str(path.parent))
