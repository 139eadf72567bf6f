"""Changes that survive a power cut."""

import os


def sync_folder(folder: str) -> None:
    """Write the names in a folder to the disk, where the system can."""
    if os.name == "nt":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
