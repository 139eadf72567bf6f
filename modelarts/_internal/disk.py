"""Changes that survive a power cut."""

import os


def make_folder(folder: str, mode: int = 0o700) -> None:
    """Make a folder and those above it that do not exist, and write their names to the disk.

    Raises:
        OSError: it cannot be made, or is a file.
    """
    folder, missing = os.path.abspath(folder), []
    while not os.path.isdir(folder):
        missing.append(folder)
        folder = os.path.dirname(folder)
    for each in reversed(missing):
        try:
            os.mkdir(each, mode)
        except FileExistsError:
            if not os.path.isdir(each):
                raise
        sync_folder(os.path.dirname(each))


def sync_folder(folder: str) -> None:
    """Write the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
