"""Confines a board to the logs of its job: by the kernel where it can, and by code in any case.

Event files, and the configurations that lie beside them, are written by whoever trains; what they
name must not be opened by a service that has the keys of all users.
"""

from __future__ import annotations

import builtins
import errno
import io
import mimetypes
import os
import site
import stat
import sys
import sysconfig
from functools import lru_cache
from typing import Any, Callable, Iterable

import attr

from modelarts.local.boards import landlock
from modelarts.local.identity.users_file import Accounts

#: Read by the C library and by Python, and of no interest to anybody.
SYSTEM: tuple[str, ...] = (
    "/lib",
    "/lib64",
    "/usr/lib",
    "/usr/lib64",
    "/usr/share/zoneinfo",
    "/etc/ld.so.cache",
    "/etc/localtime",
    *(str(path) for path in mimetypes.knownfiles),  # kinds of files by their endings
    "/dev/urandom",
)
DEVICES = ("/dev/null", "/dev/zero")
#: Never the target of a link that is followed.
_NEVER = ("/dev", "/proc", "/sys", "/run")
#: What a board keeps of its environment; the rest can hold keys.
_ENVIRONMENT = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "MALLOC_ARENA_MAX")
#: TensorBoard takes a file for an event file by this part of its name.
EVENT_FILE = "tfevents"
_PROJECTOR = "projector_config.pbtxt"
#: How many links of one folder are followed at most.
_MAX_LINKS = 1000
#: How many folders are looked at for links: a link may lead to a whole disk.
_MAX_FOLDERS = 10_000
_STARTS_PROGRAMS = frozenset(
    ("subprocess.Popen", "os.exec", "os.posix_spawn", "os.spawn", "os.system", "os.startfile")
)


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Confinement:
    """The files that the processes of one board can reach.

    Args:
        folder: the folder of the job's logs, without links in its path.
        links: where the links in it lead that the board follows for event files.
        by_kernel: use Landlock; where the kernel has none, the owner of the service has been told.
        identity: device and inode of the folder, and of those that are linked, None where one does
            not exist.
        linked: where links in the folder lead that the service has made; all below is of the job.
    """

    folder: str
    links: tuple[str, ...] = ()
    by_kernel: bool = True
    identity: tuple[tuple[int, int] | None, ...] = ()
    linked: tuple[str, ...] = ()

    @property
    def own(self) -> tuple[str, ...]:
        """The folders of the job."""
        return (self.folder, *self.linked)

    @property
    def is_enforced(self) -> bool:
        """True if the kernel enforces it."""
        return self.by_kernel and landlock.abi() > 0

    def follows(self, target: str) -> bool:
        """Return True if a link with this target, a path without links, is followed."""
        return _within(target, [*self.own, *self.links])

    def begin(self) -> None:
        """Confine this process, and the data server that it starts, to signals to each other.

        Raises:
            OSError: the kernel refused.
        """
        if self.is_enforced:
            landlock.restrict_signals()

    def apply(self, connect: Iterable[int] = ()) -> None:
        """Confine this process, which has begun so and must not have other threads yet.

        Args:
            connect: the ports that it may connect to.

        Raises:
            OSError: the kernel refused.
        """
        if self.is_enforced:
            landlock.restrict(
                read=installed_paths(),
                logs=[*self.own, *self.links],
                write=DEVICES,
                connect=connect,
                keep_signals=True,
            )

    def guard(self, refused: Callable[[str], None]) -> None:
        """Have Python itself refuse to open what is not of the board, in this process.

        Args:
            refused: is called once for each path that was refused.

        Unlike the kernel, this also keeps configurations in the logs from naming files that links
        in the logs lead to: through links only event files are read.
        """
        _Guard(self, refused).install()


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Confiner:
    """How the boards of one service are confined.

    Args:
        root: the root folder of the service.
        accounts: the users of the service. Where there is one, who made the links in the logs, they
            may lead out of their folder.
        by_kernel: use Landlock, if the kernel has it.
        on_cluster: boards run on several machines, each of which has numbers of its own for file
            systems: a folder is known by its inode.
        front_end: another folder with files of the service, to which no link is followed.
    """

    root: str
    accounts: Accounts
    by_kernel: bool = True
    on_cluster: bool = False
    front_end: str | None = None

    @property
    def is_shared(self) -> bool:
        """True if the service has several users, now."""
        return self.accounts.users().is_shared

    @property
    def confines_programs(self) -> bool:
        """True if a program that is not Python can be kept from the files of other users."""
        return not self.is_shared or (self.by_kernel and landlock.abi() > 0)

    def of(self, folder: str, linked: tuple[str, ...] = ()) -> Confinement:
        """Return the confinement of a board over a folder, which need not exist.

        Args:
            folder: without links in its path.
            linked: where links in it lead that the service has made.

        Raises:
            ValueError: the service has several users now, and its kernel confines no board.
        """
        if not self._suffices:
            raise ValueError(
                "the service has several users now, and this system cannot confine boards to the "
                "logs of their jobs; whoever runs it has to restart it with --unconfined-boards"
            )
        links = self._links(folder)
        identity = self._identities((folder, *linked))
        return Confinement(folder, links, self.by_kernel, identity, linked)

    def is_current(self, confinement: Confinement, links_too: bool) -> bool:
        """Return True if a board with this confinement can still read its logs.

        It cannot once its folder was made, or made anew, after the board started, or a link was
        added: the kernel's rules are about the folders that were there. It may not once there is a
        second user, if it follows links, or if nothing but its own code confines it.
        """
        if not self._suffices or (confinement.links and self.is_shared):
            return False
        if self._identities(confinement.own) != confinement.identity:
            return False
        return not links_too or self._links(confinement.folder) == confinement.links

    @property
    def _suffices(self) -> bool:
        """True if boards are confined well enough for the users that there are now."""
        return not self.by_kernel or landlock.abi() > 0 or not self.is_shared

    def _links(self, folder: str) -> tuple[str, ...]:
        if self.is_shared:
            return ()
        private = os.path.realpath(self.root)
        own = os.path.realpath(self.front_end or self.root)
        return tuple(
            target
            for target in _link_targets(folder, private)
            if own == private or not (_within(target, [own]) or _within(own, [target]))
        )

    def _identities(self, folders: Iterable[str]) -> tuple[tuple[int, int] | None, ...]:
        identities = tuple(map(_identity, folders))
        if not self.on_cluster:
            return identities
        return tuple(each and (0, each[1]) for each in identities)


@lru_cache(maxsize=None)
def installed_paths() -> tuple[str, ...]:
    """Return the files and folders of the installed Python, its packages, and the C library."""
    paths = {*sysconfig.get_paths().values(), *site.getsitepackages()}
    user = site.getusersitepackages()
    if user in sys.path:
        paths.add(user)
    paths.update(os.path.dirname(module.__file__ or "") for module in _imported())
    base = os.path.join(sys.base_prefix, "lib")
    paths.update((base, os.path.dirname(os.__file__), sysconfig.get_config_var("LIBDIR") or base))
    for name in ("include", "scripts", "data"):
        paths.discard(sysconfig.get_paths().get(name, ""))
    return tuple(sorted({os.path.realpath(path) for path in paths if path} | set(SYSTEM)))


def real_path(path: str) -> str | None:
    """Return a path without its links; None where one became something else while it was read."""
    try:
        return os.path.realpath(path)
    except OSError:
        return None


def clear_environment() -> None:
    """Remove from this process's environment all that a board does not need, which can hold keys.

    What is left out also holds proxies, by which a board would look for its data server.
    """
    for name in [name for name in os.environ if name not in _ENVIRONMENT]:
        del os.environ[name]


def _imported() -> Iterable[Any]:
    # Wherever these were imported from: an editable install, or PYTHONPATH.
    names = ("modelarts", "tensorboard", "numpy", "google.protobuf", "werkzeug")
    return [sys.modules[name] for name in names if name in sys.modules]


def _link_targets(folder: str, private: str) -> tuple[str, ...]:
    """Return where the links in a folder lead, those of folders behind links too.

    Folders are followed, and files only to event files. Nothing is followed into the service's own
    files, to a folder that holds them, or to devices and processes; nor links beyond the first
    10,000 folders.

    Args:
        folder: the folder.
        private: the root folder of the service; its ``obs`` folder is not private.
    """
    links: list[str] = []
    looked = 0
    seen, left = {folder}, [folder]
    while left and len(links) < _MAX_LINKS and looked < _MAX_FOLDERS:
        looked += 1
        try:
            with os.scandir(left.pop()) as entries:
                inside = list(entries)
        except OSError:  # it went meanwhile, or is not ours
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                left.append(entry.path)
                continue
            target = real_path(entry.path) if entry.is_symlink() else None
            if target is None or target in seen or _within(target, [folder, *links]):
                continue
            seen.add(target)
            if _may_follow(target, private):
                links.append(target)
                if os.path.isdir(target):
                    left.append(target)
    return tuple(sorted(links[:_MAX_LINKS]))


def _identity(folder: str) -> tuple[int, int] | None:
    try:
        status = os.stat(folder)
    except OSError:
        return None
    return status.st_dev, status.st_ino


def _may_follow(target: str, private: str) -> bool:
    buckets = os.path.join(private, "obs")
    if _within(target, _NEVER) or target == os.sep or _within(private, [target]):
        return False
    if _within(target, [private]) and not _within(target, [buckets]):
        return False
    if os.path.isdir(target):
        return True
    return EVENT_FILE in os.path.basename(target) and os.path.isfile(target)


class _Guard:
    """The audit hook of a board's process, and the ``open`` that looks again at what it opened."""

    def __init__(self, confinement: Confinement, refused: Callable[[str], None]) -> None:
        self._folders = confinement.own
        self._links = confinement.links
        self._installed = installed_paths()
        self._plain = tuple(path + os.sep for path in self._installed)
        self._refused = refused
        self._seen: set[str] = set()

    def install(self) -> None:
        """Put both in place, for good."""
        plain_open: Any = io.open

        def checked_open(file: Any, mode: str = "r", *rest: Any, **options: Any) -> Any:
            if isinstance(file, int) or len(rest) > 5 or options.get("opener") is not None:
                return plain_open(file, mode, *rest, **options)
            try:
                return plain_open(file, mode, *rest, **options, opener=self._open)
            except PermissionError:
                # To TensorBoard one of these that cannot be read is an error of all runs.
                name = os.fsdecode(file)
                base = os.path.basename(name)
                if (EVENT_FILE not in base and base != _PROJECTOR) or set(mode) & set("wax+"):
                    raise
                self._report(name)
                return plain_open(os.devnull, mode, *rest, **options)

        plain_listdir: Any = os.listdir

        def tolerant_listdir(path: Any = None) -> Any:
            # TensorBoard's walk over the logs ends the board at the first folder it cannot read,
            # and at the first name that is not UTF-8.
            try:
                return [name for name in plain_listdir(path) if self._is_text(path, name)]
            except PermissionError:
                self._report(os.fsdecode(path) if isinstance(path, (str, bytes)) else str(path))
                return []
            except (FileNotFoundError, NotADirectoryError):  # it went meanwhile
                return []

        sys.addaudithook(self._audit)
        os.listdir = tolerant_listdir
        io.open = checked_open
        builtins.open = checked_open

    def _audit(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event in ("open", "os.listdir", "os.scandir"):
            path = arguments[0]
            if isinstance(path, (str, bytes, os.PathLike)):
                self._check(os.fsdecode(path))
        elif event == "socket.connect" or event in _STARTS_PROGRAMS:
            self._refuse(event)

    def _open(self, path: Any, flags: int) -> int:
        """Open a file, and see that it is the one that was checked: links can change meanwhile."""
        # A FIFO would keep the thread waiting for a writer.
        name = os.fsdecode(path)
        try:
            descriptor = os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)
        except OSError as error:
            if error.errno in (errno.ENXIO, errno.ENODEV):  # a socket, or no device
                self._refuse(name)
            raise
        try:
            if not self._is_installed(name):
                if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                    self._refuse(name)
                opened = _path_of(descriptor)
                if opened is not None and not self._is_allowed(name, opened):
                    self._refuse(name)
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def _check(self, path: str) -> None:
        if self._is_installed(path):
            return
        real = real_path(path)
        if real is None or not self._is_allowed(path, real):
            self._refuse(path)

    def _is_installed(self, path: str) -> bool:
        return path.startswith(self._plain) and os.pardir not in path

    def _is_allowed(self, path: str, real: str) -> bool:
        if _within(real, self._folders) or _within(real, self._installed) or real in DEVICES:
            return True
        is_log = EVENT_FILE in os.path.basename(real) or os.path.isdir(real)
        return is_log and _within(real, self._links)

    def _is_text(self, folder: Any, name: Any) -> bool:
        text = os.fsdecode(name)
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            self._report(text if folder is None else os.path.join(os.fsdecode(folder), text))
            return False
        return True

    def _report(self, what: str) -> None:
        if what not in self._seen and len(self._seen) < _MAX_LINKS:
            self._seen.add(what)
            self._refused(what)

    def _refuse(self, what: str) -> None:
        self._report(what)
        raise PermissionError(f"{what}: a board opens nothing but the logs of its job")


def _path_of(descriptor: int) -> str | None:
    """Return the path of an open file, None where the system does not tell."""
    if sys.platform == "linux":
        return os.readlink(f"/proc/self/fd/{descriptor}")
    if sys.platform == "darwin":
        import fcntl

        path = fcntl.fcntl(descriptor, 50, bytes(1024))  # F_GETPATH
        return os.fsdecode(path.rstrip(b"\0"))
    return None


def _within(path: str, folders: Iterable[str]) -> bool:
    return any(path == each or path.startswith(each.rstrip(os.sep) + os.sep) for each in folders)
