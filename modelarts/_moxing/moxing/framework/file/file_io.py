"""The functions of ``mox.file``, for paths in OBS and files of this machine."""

import fnmatch
import glob as _glob
import os
import shutil
from typing import (
    Any,
    Callable,
    Dict,
    Iterable,
    Iterator,
    List,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from modelarts.errors import InvalidArgument

from . import objects
from .copying import copy_file, copy_tree
from .errors import MoxFileNotExistsException, refusals
from .file_object import File
from .paths import LocalOrUrl, Remote, is_remote, local, remote

__all__ = [
    "DirEntry",
    "FileStatistics",
    "append",
    "append_remote",
    "copy",
    "copy_parallel",
    "exists",
    "get_size",
    "glob",
    "is_directory",
    "list_directory",
    "make_dirs",
    "mk_dir",
    "read",
    "remove",
    "rename",
    "scan_dir",
    "stat",
    "walk",
    "write",
]

#: Accepted for scripts that set it: copies are made by threads.
NUMBER_OF_PROCESSES = 1

_Walked = Tuple[str, List[str], List[str]]


class FileStatistics(NamedTuple):
    """The metadata of a file, object or folder.

    Attributes:
        length: bytes; 0 for a folder of OBS.
        mtime_nsec: the time of the last change, in nanoseconds since the epoch; 0 if unknown.
        is_directory: True for a folder.
    """

    length: int
    mtime_nsec: int
    is_directory: bool

    @property
    def st_size(self) -> int:
        """The length, by its name in ``os.stat``."""
        return self.length

    @property
    def st_mtime(self) -> float:
        """The time of the last change in seconds since the epoch."""
        return self.mtime_nsec / 1e9


class DirEntry:
    """A file or folder of OBS in the result of :func:`scan_dir`, used as ``os.DirEntry`` is.

    Attributes:
        name: the last part of the path.
        path: the URL.
    """

    def __init__(self, folder: str, entry: objects.Entry) -> None:
        self.name = entry.name
        self.path = "%s/%s" % (folder, entry.name)
        self._entry = entry

    def is_dir(self, follow_symlinks: bool = True) -> bool:
        """Return True for a folder.

        Args:
            follow_symlinks: accepted; OBS has no links.

        Returns:
            True for a folder, else False.
        """
        return self._entry.is_folder

    def is_file(self, follow_symlinks: bool = True) -> bool:
        """Return True for an object.

        Args:
            follow_symlinks: accepted; OBS has no links.

        Returns:
            True for an object, else False.
        """
        return not self._entry.is_folder

    def is_symlink(self) -> bool:
        """Return False, as OBS has no links.

        Returns:
            False.
        """
        return False

    def stat(self, follow_symlinks: bool = True) -> FileStatistics:
        """Return the metadata.

        Args:
            follow_symlinks: accepted; OBS has no links.

        Returns:
            The metadata.
        """
        return _statistics(self._entry.size, self._entry.modified, self._entry.is_folder)

    def __fspath__(self) -> str:
        return self.path

    def __repr__(self) -> str:
        return "<DirEntry %r>" % self.name


# Content -----------------------------------------------------------------------------------


def read(url: LocalOrUrl, client_id: object = None, binary: bool = False) -> Any:
    """Return the content of a file.

    Args:
        url: the path or URL.
        client_id: accepted.
        binary: True to return bytes; by default False, text in UTF-8.

    Returns:
        The content.

    Raises:
        MoxFileNotExistsException: there is no such object.
        MoxFileRespException: OBS refused the request.
        FileNotFoundError: there is no such file of this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.read("obs://bucket/a.jpg", binary=True)                  # doctest: +SKIP
    """
    with File(url, "rb" if binary else "r") as file:
        return file.read()


def write(url: LocalOrUrl, data: Union[str, bytes], binary: bool = False) -> None:
    """Replace the content of a file, or make it.

    Args:
        url: the path or URL.
        data: the text; with ``binary`` the bytes.
        binary: True if ``data`` are bytes; by default False.

    Raises:
        MoxFileRespException: OBS refused the request.
        TypeError: ``data`` is not of the kind that ``binary`` names; nothing was written.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.write("obs://bucket/a.txt", "Hello")                     # doctest: +SKIP
    """
    _put(url, data, "w", binary)


def append(url: LocalOrUrl, data: Union[str, bytes], binary: bool = False) -> None:
    """Write to the end of a file, which is made if it does not exist.

    An object of OBS is fetched, and sent again with the addition.

    Args:
        url: the path or URL.
        data: the text; with ``binary`` the bytes.
        binary: True if ``data`` are bytes; by default False.

    Raises:
        MoxFileRespException: OBS refused the request.
        TypeError: ``data`` is not of the kind that ``binary`` names; nothing was written.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.append("obs://bucket/a.txt", "end of file")              # doctest: +SKIP
    """
    _put(url, data, "a", binary)


def append_remote(src_url: LocalOrUrl, dst_url: LocalOrUrl, client_id: object = None) -> None:
    """Write the content of one file to the end of another.

    Args:
        src_url: the path or URL of the file that is read.
        dst_url: the path or URL of the file that grows; it is made if it does not exist.
        client_id: accepted.

    Raises:
        MoxFileNotExistsException: there is no object ``src_url``.
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.append_remote("obs://b/part.bin", "obs://b/all.bin")     # doctest: +SKIP
    """
    with File(src_url, "rb") as source, File(dst_url, "ab") as target:
        shutil.copyfileobj(source, target)


def _put(url: LocalOrUrl, data: Union[str, bytes], mode: str, binary: bool) -> None:
    if not isinstance(data, (bytes, bytearray, memoryview) if binary else str):
        kind = "bytes, as binary=True" if binary else "a str, as binary=False"
        raise TypeError("data must be %s; it is a %s" % (kind, type(data).__name__))
    with File(url, mode + "b" if binary else mode) as file:
        file.write(data)


# Copies ------------------------------------------------------------------------------------


def copy(src_url: LocalOrUrl, dst_url: LocalOrUrl, client_id: object = None) -> None:
    """Copy one file, between OBS and this machine in any direction.

    Folders on the way to a target on this machine are made.

    Args:
        src_url: the path or URL of the file.
        dst_url: the path or URL of the copy, with its name.
        client_id: accepted.

    Raises:
        InvalidArgument: ``dst_url`` is a folder in OBS.
        MoxFileNotExistsException: there is no object ``src_url``.
        MoxFileRespException: OBS refused the request.
        IsADirectoryError: ``src_url`` or ``dst_url`` is a folder; :func:`copy_parallel` copies one.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.copy("obs://bucket/a.txt", "/tmp/a.txt")                 # doctest: +SKIP
    """
    with refusals():
        copy_file(src_url, dst_url)


def copy_parallel(
    src_url: LocalOrUrl,
    dst_url: LocalOrUrl,
    file_list: Optional[Iterable[str]] = None,
    threads: int = 16,
    is_processing: bool = True,
    use_queue: bool = True,
    **others: object,
) -> None:
    """Copy what is in a folder to another, between OBS and this machine in any direction.

    Existing files of the same names are replaced, others stay. A single file is copied to
    ``dst_url``. Links are followed.

    Args:
        src_url: the path or URL of the folder.
        dst_url: the path or URL of the other folder; it is made.
        file_list: the paths from ``src_url`` of the files to copy; by default all.
        threads: the number of files that are copied at once, 1 to 256; by default 16.
        is_processing: accepted; files are copied by threads in any case.
        use_queue: accepted.
        others: other settings; accepted.

    Raises:
        InvalidArgument: ``threads`` is not a number from 1 to 256.
        MoxFileNotExistsException: there is no such folder of OBS, or file of ``file_list``.
        MoxFileNameDuplicateException: an object and a folder of one name were to be copied to this
            machine; nothing was copied.
        MoxFileRespException: OBS refused a request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.copy_parallel("obs://bucket/data", "/cache/data")        # doctest: +SKIP
    """
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= 256:
        raise InvalidArgument("threads", threads, "a whole number from 1 to 256")
    with refusals():
        copy_tree(src_url, dst_url, None if file_list is None else list(file_list), threads)


def rename(src_url: LocalOrUrl, dst_url: LocalOrUrl) -> None:
    """Move a file or folder, between OBS and this machine in any direction.

    Args:
        src_url: the path or URL.
        dst_url: the new path or URL.

    Raises:
        InvalidArgument: the new path of a folder lies in that folder.
        MoxFileNotExistsException: there is no such object or folder of OBS.
        MoxFileRespException: OBS refused a request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.rename("/tmp/a.txt", "obs://bucket/a.txt")               # doctest: +SKIP
    """
    if not is_remote(src_url) and not is_remote(dst_url):
        shutil.move(local(src_url), local(dst_url))
        return
    if _spelling(src_url) == _spelling(dst_url):
        _require(src_url)
        return
    if is_directory(src_url):
        if _spelling(dst_url).startswith(_spelling(src_url) + "/"):
            raise InvalidArgument("dst_url", dst_url, "a path that is not in %s" % src_url)
        copy_parallel(src_url, dst_url)
        remove(src_url, recursive=True)
    else:
        copy(src_url, dst_url)
        remove(src_url)


def _spelling(url: LocalOrUrl) -> str:
    if isinstance(url, str) and is_remote(url):
        path = remote(url)
        return "obs://%s/%s" % (path.bucket, path.key)
    return os.path.abspath(local(url))


def _require(url: LocalOrUrl) -> None:
    if not exists(url):
        raise MoxFileNotExistsException.of(str(url))


# Questions ---------------------------------------------------------------------------------


def exists(url: LocalOrUrl) -> bool:
    """Return True if there is such a file, object, folder or bucket.

    Args:
        url: the path or URL.

    Returns:
        True if it exists, else False.

    Raises:
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.exists("obs://bucket/data")                              # doctest: +SKIP
        True
    """
    path = _remote(url)
    if path is None:
        return os.path.exists(local(url))
    with refusals():
        return objects.exists(path)


def is_directory(url: LocalOrUrl) -> bool:
    """Return True if there is such a folder or bucket.

    Args:
        url: the path or URL.

    Returns:
        True if it is a folder, else False.

    Raises:
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.is_directory("obs://bucket/data")                        # doctest: +SKIP
        True
    """
    path = _remote(url)
    if path is None:
        return os.path.isdir(local(url))
    with refusals():
        return objects.is_folder(path)


def get_size(url: LocalOrUrl, recursive: bool = False) -> int:
    """Return the size of a file, or of all files in a folder.

    Args:
        url: the path or URL.
        recursive: True to add up what is in a folder of OBS, which else has the size 0; by default
            False. Folders of this machine are always added up.

    Returns:
        The size in bytes.

    Raises:
        MoxFileNotExistsException: there is no such object or folder of OBS.
        MoxFileRespException: OBS refused the request.
        FileNotFoundError: there is no such file of this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.get_size("obs://bucket/data", recursive=True)            # doctest: +SKIP
    """
    path = _remote(url)
    if path is None:
        top = local(url)
        if not os.path.isdir(top):
            return os.path.getsize(top)
        files = (os.path.join(folder, name) for folder, _, names in os.walk(top) for name in names)
        return sum(os.lstat(file).st_size for file in files)
    with refusals():
        info = objects.head(path)
        if info is not None:
            return info.size
        below = objects.descendants(path)
    return sum(info.size for _, info in below) if recursive else 0


def stat(url: LocalOrUrl) -> FileStatistics:
    """Return the metadata of a file or folder.

    Args:
        url: the path or URL.

    Returns:
        ``length`` in bytes, ``mtime_nsec`` and ``is_directory``.

    Raises:
        MoxFileNotExistsException: there is nothing of that name.
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.stat("obs://bucket/a.txt").length                        # doctest: +SKIP
        12
    """
    path = _remote(url)
    if path is None:
        try:
            state = os.stat(local(url))
        except (FileNotFoundError, NotADirectoryError):
            raise MoxFileNotExistsException.of(local(url)) from None
        return FileStatistics(state.st_size, state.st_mtime_ns, os.path.isdir(local(url)))
    with refusals():
        info = objects.head(path)
        if info is not None:
            return _statistics(info.size, info.modified, False)
        if not objects.is_folder(path):
            raise MoxFileNotExistsException.of(path.url)
    return _statistics(0, None, True)


def _statistics(size: int, modified: Optional[float], is_folder: bool) -> FileStatistics:
    return FileStatistics(size, int((modified or 0) * 10**9), is_folder)


# Folders -----------------------------------------------------------------------------------


def make_dirs(url: LocalOrUrl) -> None:
    """Make a folder and those that it is in; a folder that exists stays as it is.

    Args:
        url: the path or URL.

    Raises:
        MoxFileNotExistsException: there is no such bucket.
        MoxFileRespException: OBS refused the request.
        FileExistsError: there is a file of that name on this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.make_dirs("obs://bucket/a/b")                            # doctest: +SKIP
    """
    path = _remote(url)
    if path is None:
        os.makedirs(local(url), exist_ok=True)
        return
    with refusals():
        _require_bucket(path)
        objects.make_folder(path)


def mk_dir(url: LocalOrUrl) -> None:
    """Make a folder in one that exists; a folder that exists stays as it is.

    Args:
        url: the path or URL.

    Raises:
        MoxFileNotExistsException: there is no folder that it would be in.
        MoxFileRespException: OBS refused the request.
        FileNotFoundError: likewise on this machine.
        FileExistsError: there is a file of that name on this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.mk_dir("obs://bucket/a")                                 # doctest: +SKIP
    """
    path = _remote(url)
    if path is None:
        if not os.path.isdir(local(url)):
            os.mkdir(local(url))
        return
    with refusals():
        parent = path._replace(key=path.key.rpartition("/")[0], is_folder=True)
        if not objects.is_folder(parent):
            raise MoxFileNotExistsException.of(parent.url)
        objects.make_folder(path)


def _require_bucket(path: Remote) -> None:
    bucket = path._replace(key="", is_folder=True)
    if not objects.is_folder(bucket):
        raise MoxFileNotExistsException.of(bucket.url)


def remove(url: LocalOrUrl, recursive: bool = False) -> None:
    """Delete a file, or a folder with all that is in it.

    An object or folder of OBS that does not exist is no error, nor is a folder of OBS without
    ``recursive``, which stays.

    Args:
        url: the path or URL; one of OBS that ends with a slash is a folder.
        recursive: True to delete a folder; by default False.

    Raises:
        InvalidArgument: ``url`` is a bucket.
        MoxFileRespException: OBS refused the request.
        OSError: the file of this machine does not exist, or is a folder and ``recursive`` is False.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.remove("obs://bucket/data", recursive=True)              # doctest: +SKIP
    """
    path = _remote(url)
    if path is None:
        if recursive and os.path.isdir(local(url)) and not os.path.islink(local(url)):
            shutil.rmtree(local(url))
        else:
            os.remove(local(url))
        return
    if not path.key:
        raise InvalidArgument(
            "url", url, "an object or a folder in a bucket, not the bucket itself"
        )
    with refusals():
        if objects.head(path) is not None:
            objects.remove_object(path)
        elif recursive:
            objects.remove_folder(path)


def list_directory(
    url: LocalOrUrl,
    recursive: bool = False,
    remove_sep: bool = True,
    skip_file: bool = False,
    skip_dir: bool = False,
) -> List[str]:
    """Return the paths of the files and folders in a folder, from there, by name.

    Args:
        url: the path or URL of the folder.
        recursive: True for those at any depth; by default False.
        remove_sep: False to end the names of folders with a slash; by default True.
        skip_file: True to leave out the files; by default False.
        skip_dir: True to leave out the folders; by default False.

    Returns:
        The paths, with ``/`` between their parts.

    Raises:
        MoxFileNotExistsException: there is no such folder of OBS.
        MoxFileRespException: OBS refused the request.
        OSError: there is no such folder of this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.list_directory("obs://bucket/data", recursive=True)      # doctest: +SKIP
        ['a.txt', 'sub', 'sub/b.txt']
    """
    names: Dict[str, bool] = {}
    path = _remote(url)
    if path is None:
        top = local(url)
        os.listdir(top)  # raises what is wrong with it
        for folder, folders, files in os.walk(top):
            inner = os.path.relpath(folder, top).replace(os.sep, "/")
            beginning = "" if inner == "." else inner + "/"
            names.update((beginning + name, True) for name in folders)
            names.update((beginning + name, False) for name in files)
            if not recursive:
                break
    elif recursive:
        names = _tree(path)
    else:
        with refusals():
            for entry in objects.children(path):
                names[entry.name] = entry.is_folder
    return [
        name if remove_sep or not is_folder else name + "/"
        for name, is_folder in sorted(names.items())
        if not (skip_dir if is_folder else skip_file)
    ]


def scan_dir(url: LocalOrUrl) -> Iterator[Any]:
    """Return an iterator over the files and folders in a folder.

    Args:
        url: the path or URL of the folder.

    Yields:
        An ``os.DirEntry``, or for a folder of OBS a :class:`DirEntry`.

    Raises:
        MoxFileNotExistsException: there is no such folder of OBS.
        MoxFileRespException: OBS refused the request.
        OSError: there is no such folder of this machine.

    Source: *MoXing API*, "File".

    Example:
        >>> [entry.name for entry in mox.file.scan_dir("obs://bucket/data")]  # doctest: +SKIP
        ['a.txt', 'sub']
    """
    path = _remote(url)
    if path is None:
        with os.scandir(local(url)) as entries:
            yield from entries
        return
    with refusals():
        below = objects.children(path)
    yield from (DirEntry(path.url, entry) for entry in below)


def walk(
    url: LocalOrUrl,
    topdown: bool = True,
    onerror: Optional[Callable[[OSError], object]] = None,
    followlinks: bool = False,
) -> Iterator[_Walked]:
    """Return an iterator over a folder and all folders in it, as ``os.walk`` does.

    Args:
        url: the path or URL of the folder.
        topdown: False to get a folder after those in it; by default True.
        onerror: called with the error if a folder cannot be listed; by default it is left out.
        followlinks: True to enter links to folders of this machine; by default False.

    Yields:
        The path or URL of a folder, the names of its folders, and those of its files.

    Raises:
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> for folder, folders, files in mox.file.walk("obs://bucket/data"): # doctest: +SKIP
        ...     print(folder, files)
    """
    path = _remote(url)
    if path is None:
        yield from os.walk(local(url), topdown, onerror, followlinks)
        return
    try:
        names = _tree(path)
    except MoxFileNotExistsException as error:
        if onerror is not None:
            onerror(error)
        return
    inside: Dict[str, Tuple[List[str], List[str]]] = {"": ([], [])}
    for name, is_folder in sorted(names.items()):
        parent, _, last = name.rpartition("/")
        inside[parent][0 if is_folder else 1].append(last)
        if is_folder:
            inside[name] = ([], [])
    yield from _walk(str(url), "", inside, topdown)


def _walk(
    url: str, name: str, inside: Dict[str, Tuple[List[str], List[str]]], topdown: bool
) -> Iterator[_Walked]:
    folders, files = inside[name]
    if topdown:
        yield url, folders, files
    for folder in folders:  # the caller may have removed some
        child = "%s/%s" % (name, folder) if name else folder
        if child in inside:
            yield from _walk(os.path.join(url, folder), child, inside, topdown)
    if not topdown:
        yield url, folders, files


def _tree(path: Remote) -> Dict[str, bool]:
    """Return the paths below a folder of OBS; True for folders."""
    with refusals():
        return dict(objects.tree(path))


def glob(url: LocalOrUrl) -> List[str]:
    """Return the paths that match a pattern, by name.

    Args:
        url: the path or URL, with ``*``, ``?`` and ``[…]`` in its parts but for the bucket.

    Returns:
        The paths or URLs of files and folders.

    Raises:
        MoxFileRespException: OBS refused the request.

    Source: *MoXing API*, "File".

    Example:
        >>> mox.file.glob("obs://bucket/data/*.jpg")                          # doctest: +SKIP
        ['obs://bucket/data/a.jpg', 'obs://bucket/data/b.jpg']
    """
    path = _remote(url)
    if path is None:
        return sorted(_glob.glob(local(url)))
    parts = path.key.split("/")
    fixed = next((i for i, part in enumerate(parts) if _glob.has_magic(part)), None)
    if fixed is None:
        return [path.url] if exists(path.url) else []
    folder = path._replace(key="/".join(parts[:fixed]), is_folder=True)
    try:
        names = _tree(folder)
    except MoxFileNotExistsException:
        return []
    patterns = parts[fixed:]
    return [
        "%s/%s" % (folder.url, name)
        for name, is_folder in sorted(names.items())
        if (is_folder or not path.is_folder) and _matches(name.split("/"), patterns)
    ]


def _matches(parts: Sequence[str], patterns: Sequence[str]) -> bool:
    if len(parts) != len(patterns):
        return False
    return all(
        fnmatch.fnmatchcase(part, pattern) and (part[0] != "." or pattern[0] == ".")
        for part, pattern in zip(parts, patterns)
    )


def _remote(url: LocalOrUrl) -> Optional[Remote]:
    return remote(url) if isinstance(url, str) and is_remote(url) else None
