"""Objects and folders of OBS, as the file calls need them."""

import os
import tempfile
from contextlib import contextmanager
from typing import Dict, Iterator, List, NamedTuple, Optional, Tuple

from modelarts.errors import ApiError, NotFound
from modelarts.obs.stores.base import ObjectInfo

from .errors import MoxFileNotExistsException
from .paths import Remote
from .session import FOLDERS, store


class Entry(NamedTuple):
    """A file or folder in a folder; the size of a folder is 0."""

    name: str
    is_folder: bool
    size: int
    modified: Optional[float]


def head(path: Remote) -> Optional[ObjectInfo]:
    """Return the metadata of an object; None if there is no such object."""
    if path.is_folder:
        return None
    return store().head(path.bucket, path.key)


def is_folder(path: Remote) -> bool:
    """Return True if there is such a folder or bucket."""
    if not path.key:
        return store().has_bucket(path.bucket)
    if (path.bucket, path.key) in FOLDERS or os.path.isdir(_own_folder(path)):
        return True
    try:
        return next(store().list(path.bucket, path.prefix), None) is not None
    except NotFound:
        return False  # there is no such bucket


def exists(path: Remote) -> bool:
    """Return True if there is such an object, folder or bucket."""
    return head(path) is not None or is_folder(path)


def descendants(path: Remote) -> List[Tuple[str, ObjectInfo]]:
    """Return all objects below a folder with their paths from there, by name.

    The paths of folders end with ``/``.

    Raises:
        MoxFileNotExistsException: there is no such folder.
    """
    length = len(path.prefix)
    try:
        objects = [(info.key[length:], info) for info in store().list(path.bucket, path.prefix)]
    except NotFound:
        raise MoxFileNotExistsException.of(path.url) from None
    if not objects and not is_folder(path):
        raise MoxFileNotExistsException.of(path.url)
    return [(name, info) for name, info in objects if name]


def tree(path: Remote) -> List[Tuple[str, bool]]:
    """Return the paths of all objects and folders below a folder; True for folders.

    Raises:
        MoxFileNotExistsException: there is no such folder.
    """
    names = {}
    for name, _ in descendants(path):
        parts = name.split("/")
        for count in range(1, len(parts)):
            names["/".join(parts[:count])] = True
        if parts[-1]:
            names.setdefault(name, False)
    for name in _made_below(path):
        names.setdefault(name, True)
    return sorted(names.items())


def children(path: Remote) -> List[Entry]:
    """Return the files and folders at the top of a folder, by name.

    Raises:
        MoxFileNotExistsException: there is no such folder.
    """
    entries: Dict[Tuple[str, bool], Entry] = {}
    for relative, info in descendants(path):
        name, slash, _ = relative.partition("/")
        if name:
            entry = Entry(name, bool(slash), 0 if slash else info.size, info.modified)
            entries.setdefault((name, bool(slash)), entry)
    for name in _made_below(path):
        if "/" not in name:
            entries.setdefault((name, True), Entry(name, True, 0, None))
    return [entries[key] for key in sorted(entries)]


def make_folder(path: Remote) -> None:
    """Make a folder without objects."""
    folder = _own_folder(path)
    if folder:
        os.makedirs(folder, 0o700, exist_ok=True)
        return
    if not path.key or is_folder(path):
        return
    with private_file() as empty:
        try:
            store().upload(empty, path.bucket, path.prefix)
        except ApiError as error:
            # A store on a disk has no objects of that name.
            if error.error_code != "InvalidObjectName":
                raise
            FOLDERS.add((path.bucket, path.key))


def remove_object(path: Remote) -> None:
    """Delete an object."""
    _delete(path.bucket, [path.key])


def remove_folder(path: Remote) -> None:
    """Delete all objects below a folder, and the folder."""
    keys = [info.key for info in store().list(path.bucket, path.prefix)]
    if keys:
        _delete(path.bucket, keys)
    for made in [made for made in FOLDERS if _is_below(made, path)]:
        FOLDERS.discard(made)
    folder = _own_folder(path)
    if folder and path.key:
        _remove_empty(folder)


def download(path: Remote, target: str, info: Optional[ObjectInfo] = None) -> None:
    """Fetch an object to a file of this machine.

    Raises:
        MoxFileNotExistsException: there is no such object.
    """
    info = info or head(path)
    if info is None:
        raise MoxFileNotExistsException.of(path.url)
    store().download(info, target)


def upload(source: str, path: Remote) -> None:
    """Send a file of this machine to an object."""
    store().upload(source, path.bucket, path.key)


def copy(source: ObjectInfo, path: Remote) -> None:
    """Copy an object to another, within OBS."""
    store().copy(source, path.bucket, path.key)


@contextmanager
def private_file() -> Iterator[str]:
    """The path of an empty temporary file, which is removed at the end of the block."""
    descriptor, path = tempfile.mkstemp(prefix="moxing-")
    os.close(descriptor)
    try:
        yield path
    finally:
        os.unlink(path)


def _delete(bucket: str, keys: List[str]) -> None:
    for _, error in store().delete(bucket, keys):
        raise error


def _own_folder(path: Remote) -> str:
    """Return the folder of this machine that holds the objects; "" if the store has none."""
    return next(iter(store().own_folders(path.bucket, path.key)[-1:]), "")


def _is_below(made: Tuple[str, str], path: Remote) -> bool:
    bucket, key = made
    return bucket == path.bucket and (key + "/").startswith(path.prefix)


def _made_below(path: Remote) -> List[str]:
    """Return the folders below a folder that the store does not list, as they have no objects."""
    names = {
        key[len(path.prefix) :]
        for bucket, key in list(FOLDERS)
        if _is_below((bucket, key), path) and key != path.key
    }
    top = _own_folder(path)
    for folder, folders, _ in os.walk(top) if os.path.isdir(top) else ():
        for name in folders:
            full = os.path.join(folder, name)
            if not os.path.islink(full):
                names.add(os.path.relpath(full, top).replace(os.sep, "/"))
    return sorted(names)


def _remove_empty(folder: str) -> None:
    for each, _, _ in os.walk(folder, topdown=False):
        try:
            os.rmdir(each)
        except OSError:
            pass  # another process has written to it
