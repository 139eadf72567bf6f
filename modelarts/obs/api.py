"""``session.obs``: files and folders, to OBS and back."""

import sys
from threading import Event
from typing import Any, Callable, Iterator, Optional, Union

from modelarts._internal.clock import Clock
from modelarts.errors import InvalidArgument
from modelarts.obs import targets
from modelarts.obs.operations import Calls, Options
from modelarts.obs.paths import parse
from modelarts.obs.progress import ProgressOption
from modelarts.obs.results import ObsObject, Transferred
from modelarts.obs.stores.base import Store
from modelarts.obs.sync import Watch, keep_following
from modelarts.obs.targets import LocalPath

__all__ = ["Obs"]


class Obs:
    """Files and folders, to OBS and back.

    >>> session.obs.upload_dir("runs", "obs://bucket/logs/")              # doctest: +SKIP
    Transferred(obs://bucket/logs/runs/: 12 files, 3.4 MB in 1.2 s (2.8 MB/s))

    Paths in OBS are ``obs://bucket/folder/`` or ``obs://bucket/folder/object``; folders end
    with ``/``. On an endpoint that is a ``file:`` URL, as with the local service, the same calls
    copy to and from that folder. Safe for threads.

    Options that several calls have:

    - ``threads``: how many files are moved at once, 1 to 256; by default 32.
    - ``progress``: by default a bar if there is a terminal or a notebook, and ``tqdm`` is
      installed; True or False; or a function that is called, about ten times a second and after
      each file, with a :class:`~modelarts.obs.progress.TransferProgress`. If it raises, the
      transfer ends with that error.

    All calls raise :class:`~modelarts.errors.InvalidArgument` for a wrong argument, before
    anything is sent, an :class:`~modelarts.errors.ApiError` with ``error_code`` and ``error_msg``
    where OBS refuses, and :class:`~modelarts.errors.TransportError` where it does not answer.
    Those that move several files raise :class:`~modelarts.errors.IncompleteTransfer` if some of
    them could not be moved, after all others were. The same call then goes on where it ended. A
    refusal that all would meet with, as of a bucket that is not there, is raised at once.

    Source: *ModelArts SDK Reference*, "OBS Management".
    """

    def __init__(
        self, open_store: Callable[[], Store], place: Callable[[], str], clock: Clock
    ) -> None:
        self._clock = clock
        #: The same calls for who has checked the arguments already.
        self.calls = Calls(open_store, place, clock)

    # To OBS --------------------------------------------------------------------------------

    def upload_file(
        self, src_local_file: LocalPath, dst_obs_dir: str, *, progress: ProgressOption = None
    ) -> Transferred:
        """Send a file.

        ``/home/ma-user/a.txt`` to ``obs://bucket/dir/`` becomes ``obs://bucket/dir/a.txt``. A
        target without a final slash is the object itself if it is called like the file, has the
        file's extension, or is an object already; otherwise it is a folder.

        Args:
            src_local_file: the file.
            dst_obs_dir: the folder in OBS.
        """
        path = targets.local_file("src_local_file", src_local_file)
        return self.calls.upload_file(path, parse("dst_obs_dir", dst_obs_dir), progress)

    def upload_dir(
        self,
        src_local_dir: LocalPath,
        dst_obs_dir: str,
        *,
        threads: Optional[int] = None,
        progress: ProgressOption = None,
    ) -> Transferred:
        """Send a folder with all that is in it; the folder itself lands under the target.

        ``/home/ma-user/`` to ``obs://bucket/dir1/`` becomes ``obs://bucket/dir1/ma-user/…``.
        Links, sockets, FIFOs and devices are skipped with a warning. Empty folders are not made.

        Args:
            src_local_dir: the folder.
            dst_obs_dir: the folder in OBS that it is to be in.
        """
        folder = targets.local_dir("src_local_dir", src_local_dir)
        target = parse("dst_obs_dir", dst_obs_dir)
        return self.calls.upload_dir(folder, target, Options(threads, progress))

    def sync_dir(
        self,
        src_local_dir: LocalPath,
        dst_obs_dir: str,
        *,
        watch: bool = False,
        stop: Union[None, Event, Callable[[], bool]] = None,
        interval: float = 10.0,
        threads: Optional[int] = None,
        progress: ProgressOption = None,
    ) -> Transferred:
        """Send what has changed of a folder, to where :meth:`upload_dir` sends it.

        A file is left out if the object is as long and has the same checksum. What was compared
        is remembered, so that it need not be read again. Nothing is deleted in OBS.

        Args:
            src_local_dir: the folder; with ``watch`` it need not be there yet.
            dst_obs_dir: the folder in OBS that it is to be in.
            watch: go on until told to stop, and send what is written meanwhile; see also
                :meth:`watch`, which does that in the background. A pass that fails draws a
                warning, and the next one tries again.
            stop: an event that is set, or a function that is true, when to stop; Ctrl-C does the
                same. One more pass then sends the rest.
            interval: seconds between two passes, 1 at least. A pass that took longer is followed
                by as long a pause.
        """
        target = parse("dst_obs_dir", dst_obs_dir)
        options = Options(threads, progress)
        is_over, pause = _stopper(stop), _seconds(interval)
        if not watch:
            folder = targets.local_dir("src_local_dir", src_local_dir)
            return self.calls.passes(folder, target, options)()
        folder = targets.growing_dir("src_local_dir", src_local_dir)
        one_pass = self.calls.passes(folder, target, options)
        return keep_following(one_pass, folder, is_over, self._clock, pause)

    def watch(
        self,
        src_local_dir: LocalPath,
        dst_obs_dir: str,
        *,
        interval: float = 10.0,
        threads: Optional[int] = None,
        progress: ProgressOption = False,
    ) -> Watch:
        """Follow a folder in the background, as :meth:`sync_dir` does, while a block runs.

        >>> with session.obs.watch("runs", "obs://bucket/logs/"):         # doctest: +SKIP
        ...     train()

        The arguments are those of :meth:`sync_dir`.
        """
        folder = targets.growing_dir("src_local_dir", src_local_dir)
        target = parse("dst_obs_dir", dst_obs_dir)
        one_pass = self.calls.passes(folder, target, Options(threads, progress))
        return Watch(one_pass, folder, self._clock, _seconds(interval))

    # From OBS ------------------------------------------------------------------------------

    def download_file(
        self, src_obs_file: str, dst_local_dir: LocalPath, *, progress: ProgressOption = None
    ) -> Transferred:
        """Fetch an object. It is written under another name, and renamed when it is whole.

        ``obs://bucket/dir/a.txt`` to ``/home/ma-user/`` becomes ``/home/ma-user/a.txt``. A
        target that is no folder, and has no final slash, is the file itself if it is called like
        the object or has its extension; otherwise a folder is made.

        Args:
            src_obs_file: the object.
            dst_local_dir: the folder on this machine.

        Raises:
            NotFound: there is no such object; says so if it is a folder.
        """
        source = parse("src_obs_file", src_obs_file)
        if source.is_folder:
            raise InvalidArgument(
                "src_obs_file", src_obs_file, "an object; download_dir fetches a folder"
            )
        return self.calls.download_file(
            source,
            lambda name: targets.local_target("dst_local_dir", dst_local_dir, name),
            progress,
        )

    def download_dir(
        self,
        src_obs_dir: str,
        dst_local_dir: LocalPath,
        *,
        threads: Optional[int] = None,
        progress: ProgressOption = None,
    ) -> Transferred:
        """Fetch a folder with all that is in it; the folder itself lands under the target.

        ``obs://bucket/dir1/`` to ``/home/ma-user/data/`` becomes ``/home/ma-user/data/dir1/…``;
        a bucket's folder has the bucket's name.

        Args:
            src_obs_dir: the folder in OBS.
            dst_local_dir: the folder on this machine that it is to be in.

        Raises:
            NotFound: there is no such folder; says so if it is an object.
        """
        source = parse("src_obs_dir", src_obs_dir)
        folder = targets.local_folder("dst_local_dir", dst_local_dir)
        return self.calls.download_dir(source, folder, Options(threads, progress))

    # What is there -------------------------------------------------------------------------

    def is_obs_path_exists(self, url: str) -> bool:
        """Whether there is such an object, folder or bucket.

        A folder is there while something is in it. A path without a final slash may be either.
        """
        return self.calls.exists(parse("url", url))

    def list(self, obs_dir: str) -> Iterator[ObsObject]:
        """All objects below a folder, at any depth, in order of their names; read as needed.

        >>> for found in session.obs.list("obs://bucket/logs/"):          # doctest: +SKIP
        ...     print(found.url, found.size, found.modified)

        Args:
            obs_dir: the folder; an object's path lists that object.
        """
        return self.calls.list(parse("obs_dir", obs_dir))

    def delete(self, url: str, *, recursive: bool = False, empty_bucket: bool = False) -> int:
        """Delete an object, or a folder with all that is in it; answers how many objects.

        Args:
            url: the object; or, with ``recursive``, the folder.
            recursive: whether a folder may be meant.
            empty_bucket: whether all of a bucket's objects may be meant; the bucket stays.

        Raises:
            NotFound: there is nothing of that name.
            IncompleteTransfer: some objects could not be deleted; ``failed`` says which.
        """
        path = parse("url", url)
        if path.is_folder and not recursive:
            raise InvalidArgument("url", url, "an object; recursive=True deletes a folder")
        if not path.key and not empty_bucket:
            raise InvalidArgument(
                "url", url, "a folder; empty_bucket=True deletes all objects of a bucket"
            )
        return self.calls.delete(path, recursive)

    def close(self) -> None:
        """Close the connections. A call made later opens new ones."""
        self.calls.close()


def _stopper(stop: Any) -> Callable[[], bool]:
    if stop is None:
        return lambda: False
    if isinstance(stop, Event):
        return stop.is_set
    if not callable(stop):
        raise InvalidArgument("stop", stop, "a threading.Event, or a function that answers a bool")
    return lambda: bool(stop())


def _seconds(interval: Any) -> float:
    is_number = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    if not is_number or not 1 <= interval <= sys.float_info.max:
        raise InvalidArgument("interval", interval, "a number of seconds from 1 on")
    return float(interval)
