"""``session.obs``: transfers of files and folders to and from OBS."""

import os
import sys
from threading import Event
from typing import Any, Callable, Iterator, Optional, Union

from modelarts._internal.clock import Clock
from modelarts._internal.wording import Worded
from modelarts.errors import InvalidArgument
from modelarts.obs import paths
from modelarts.obs.operations import Calls, Options
from modelarts.obs.paths import LocalPath, parse
from modelarts.obs.progress import ProgressOption
from modelarts.obs.results import ObsObject, Transferred
from modelarts.obs.stores.base import Store
from modelarts.obs.sync import Watch, keep_following

__all__ = ["Obs"]


class Obs:
    """Transfers of files and folders to and from OBS: ``session.obs``.

    Paths in OBS are ``obs://bucket/folder/`` or ``obs://bucket/folder/object``; folders end with
    ``/``. If the endpoint is a ``file:`` URL, as with the local service, the same calls copy to and
    from that folder. Threads may share this object.

    Options of several calls:

    - ``threads``: the number of files that are transferred at once, 1 to 256; by default 32.
    - ``progress``: True for a progress bar, which requires ``tqdm``; False for none; by default a
      bar if there is a terminal or a notebook; or a function that is called, about ten times a
      second and after each file, with a :class:`~modelarts.obs.progress.TransferProgress`. If the
      function raises an error, the transfer ends with that error.

    All calls raise :class:`~modelarts.errors.InvalidArgument` for a wrong argument, before a
    request is sent; an :class:`~modelarts.errors.ApiError` with ``error_code`` and ``error_msg`` if
    OBS refuses the request; and :class:`~modelarts.errors.TransportError` if OBS does not respond.
    Calls that transfer several files raise :class:`~modelarts.errors.IncompleteTransfer` if some of
    them could not be transferred, after all others were. The same call, made again, transfers the
    rest. A refusal that applies to all files, such as a missing bucket, is raised at once.

    Source: *ModelArts SDK Reference*, "OBS Management".

    Example:
        >>> session.obs.upload_dir("runs", "obs://bucket/logs/")              # doctest: +SKIP
        Transferred(obs://bucket/logs/runs/: 12 files, 3.4 MB in 1.2 s (2.8 MB/s))
    """

    def __init__(
        self,
        open_store: Callable[[], Store],
        place: Callable[[], str],
        clock: Clock,
        default_bucket: Callable[[], str] = lambda: "uploads",
    ) -> None:
        """Make the object of one session; users take it from ``session.obs``.

        Args:
            open_store: the function that opens the store; called on first use.
            place: the function that returns the address of OBS.
            clock: the source of time.
            default_bucket: the function that returns the name of the default bucket.
        """
        self._clock = clock
        self._default_bucket = default_bucket
        #: The same calls on arguments that are checked already.
        self.calls = Calls(open_store, place, clock)

    # To OBS --------------------------------------------------------------------------------

    def upload_file(
        self, src_local_file: LocalPath, dst_obs_dir: str, *, progress: ProgressOption = None
    ) -> Transferred:
        """Upload a file.

        ``/home/ma-user/a.txt`` to ``obs://bucket/dir/`` becomes ``obs://bucket/dir/a.txt``. A
        target without a final slash is the object itself if it has the name or the extension of the
        file, or if it is an existing object; otherwise it is a folder.

        Args:
            src_local_file: the file, a str or a path object.
            dst_obs_dir: the folder in OBS, or the object.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: OBS refused the request.
            TransferError: the file changed during the upload, or its checksum is different.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "OBS Management".

        Example:
            >>> session.obs.upload_file("a.txt", "obs://bucket/dir/").target      # doctest: +SKIP
            'obs://bucket/dir/a.txt'
        """
        path = paths.local_file("src_local_file", src_local_file)
        return self.calls.upload_file(path, parse("dst_obs_dir", dst_obs_dir), progress)

    def upload_dir(
        self,
        src_local_dir: LocalPath,
        dst_obs_dir: str,
        *,
        threads: Optional[int] = None,
        progress: ProgressOption = None,
    ) -> Transferred:
        """Upload a folder with all files in it; the folder itself is placed in the target.

        ``/home/ma-user/`` to ``obs://bucket/dir1/`` becomes ``obs://bucket/dir1/ma-user/…``. Links,
        sockets, FIFOs and devices are skipped with a warning. Empty folders are not created.

        Args:
            src_local_dir: the folder, a str or a path object.
            dst_obs_dir: the folder in OBS that it is placed in.
            threads: the number of files that are transferred at once, 1 to 256; by default 32.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: some files could not be sent; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "OBS Management".

        Example:
            >>> session.obs.upload_dir("runs", "obs://bucket/logs/")              # doctest: +SKIP
            Transferred(obs://bucket/logs/runs/: 12 files, 3.4 MB in 1.2 s (2.8 MB/s))
        """
        folder = paths.local_dir("src_local_dir", src_local_dir)
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
        """Upload the files of a folder that have changed, to the target of :meth:`upload_dir`.

        A file is left out if the object has the same size and checksum. The results of these
        comparisons are kept, so that unchanged files are not read again. Nothing is deleted in OBS.

        Args:
            src_local_dir: the folder, a str or a path object; with ``watch`` it need not exist yet.
            dst_obs_dir: the folder in OBS that it is placed in.
            watch: True to go on until ``stop``, and to upload what is written meanwhile; by default
                False. :meth:`watch` does the same in the background. A pass that fails warns, and
                the next one tries again.
            stop: a ``threading.Event`` that is set, or a function that returns True, to end
                ``watch``; Ctrl-C ends it too. A last pass then uploads the rest.
            interval: the seconds between two passes, 1 or more; by default 10. A pass that took
                longer is followed by a pause of the same length.
            threads: the number of files that are transferred at once, 1 to 256; by default 32.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred, in all passes.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            IncompleteTransfer: some files could not be sent; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Example:
            >>> session.obs.sync_dir("runs", "obs://bucket/logs/").unchanged      # doctest: +SKIP
            12
        """
        target = parse("dst_obs_dir", dst_obs_dir)
        options = Options(threads, progress)
        is_over, pause = _stopper(stop), _seconds(interval)
        if not watch:
            folder = paths.local_dir("src_local_dir", src_local_dir)
            return self.calls.passes(folder, target, options)()
        folder = paths.growing_dir("src_local_dir", src_local_dir)
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

        Args:
            src_local_dir: the folder, a str or a path object; it need not exist yet.
            dst_obs_dir: the folder in OBS that it is placed in.
            interval: the seconds between two passes, 1 or more; by default 10. A pass that took
                longer is followed by a pause of the same length.
            threads: the number of files that are transferred at once, 1 to 256; by default 32.
            progress: True, False or a function, see :class:`Obs`; by default False.

        Returns:
            The context manager; it starts at the beginning of the block.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.

        Example:
            >>> with session.obs.watch("runs", "obs://bucket/logs/"):             # doctest: +SKIP
            ...     train()
        """
        folder = paths.growing_dir("src_local_dir", src_local_dir)
        target = parse("dst_obs_dir", dst_obs_dir)
        one_pass = self.calls.passes(folder, target, Options(threads, progress))
        return Watch(one_pass, folder, self._clock, _seconds(interval))

    # From OBS ------------------------------------------------------------------------------

    def download_file(
        self, src_obs_file: str, dst_local_dir: LocalPath, *, progress: ProgressOption = None
    ) -> Transferred:
        """Download an object.

        The file is written under another name, and renamed when it is complete.

        ``obs://bucket/dir/a.txt`` to ``/home/ma-user/`` becomes ``/home/ma-user/a.txt``. A target
        that is not a folder, and has no final slash, is the file itself if it has the name or the
        extension of the object; otherwise a folder is created.

        Args:
            src_obs_file: the object.
            dst_local_dir: the folder on this machine, or the file; a str or a path object.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; no request was sent.
            NotFound: there is no such object; the hint names the call for a folder if it is one.
            ApiError: OBS refused the request.
            TransferError: the checksum of the file is different.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "OBS Management".

        Example:
            >>> session.obs.download_file("obs://bucket/dir/a.txt", "data/")      # doctest: +SKIP
        """
        source = parse("src_obs_file", src_obs_file)
        if source.is_folder:
            raise InvalidArgument(
                "src_obs_file",
                src_obs_file,
                Worded(
                    "an object; download_dir fetches a folder",
                    "an object; a folder, or bucket, ends with a slash",
                ),
            )
        return self.calls.download_file(
            source,
            lambda name: paths.local_target("dst_local_dir", dst_local_dir, name),
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
        """Download a folder with all objects in it; the folder itself is placed in the target.

        ``obs://bucket/dir1/`` to ``/home/ma-user/data/`` becomes ``/home/ma-user/data/dir1/…``; the
        folder of a bucket has the bucket's name.

        Args:
            src_obs_dir: the folder in OBS.
            dst_local_dir: the folder on this machine that it is placed in; a str or a path object.
            threads: the number of files that are transferred at once, 1 to 256; by default 32.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong; no request was sent.
            NotFound: there is no such folder; the hint names the call for an object if it is one.
            IncompleteTransfer: some files could not be downloaded; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "OBS Management".

        Example:
            >>> session.obs.download_dir("obs://bucket/dir1/", "data/").target    # doctest: +SKIP
            'data/dir1'
        """
        source = parse("src_obs_dir", src_obs_dir)
        folder = paths.local_folder("dst_local_dir", dst_local_dir)
        return self.calls.download_dir(source, folder, Options(threads, progress))

    def copy(
        self,
        src: LocalPath,
        dst: LocalPath,
        *,
        threads: Optional[int] = None,
        progress: ProgressOption = None,
    ) -> Transferred:
        """Copy a file or a folder: to OBS, from OBS, or within OBS.

        Paths that begin with ``obs://`` are in OBS, others on this machine; at least one is in OBS.
        The rules are those of :meth:`upload_file`, :meth:`upload_dir`, :meth:`download_file` and
        :meth:`download_dir`: a folder itself is placed in the target. Within OBS the content is
        copied by OBS.

        Args:
            src: the file, object or folder.
            dst: the folder that it is placed in; or, for a file or an object, its new path.
            threads: the number of files that are transferred at once, 1 to 256; by default 32.
            progress: True, False or a function; see :class:`Obs`.

        Returns:
            What was transferred.

        Raises:
            InvalidArgument: an argument is wrong, neither is in OBS, or a folder would be copied
                into itself; nothing was sent.
            NotFound: there is no such object or folder.
            IncompleteTransfer: some files could not be transferred; all others were.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts User Guide*, "Uploading a Local File Larger Than 5 GB to JupyterLab".

        Example:
            >>> session.obs.copy("obs://bucket/obs_file.txt", "/home/ma-user/work/")
            ...                                                                   # doctest: +SKIP
        """
        options = Options(threads, progress)
        source = parse("src", src) if _is_in_obs(src) else None
        target = parse("dst", dst) if _is_in_obs(dst) else None
        if source is not None and target is not None:
            return self.calls.copy(source, target, options)
        if target is not None:
            if os.path.isdir(paths.text_of("src", src)):
                return self.calls.upload_dir(paths.local_dir("src", src), target, options)
            return self.calls.upload_file(paths.local_file("src", src), target, progress)
        if source is None:
            raise InvalidArgument("dst", dst, "a path such as 'obs://bucket/folder/', or src is")
        if not source.is_folder and self.calls.store.head(source.bucket, source.key) is None:
            folder = source.as_folder()
            source = folder if self.calls.exists(folder) else source
        if source.is_folder:
            return self.calls.download_dir(source, paths.local_folder("dst", dst), options)
        return self.calls.download_file(
            source, lambda name: paths.local_target("dst", dst, name), progress
        )

    def get_default_bucket(self) -> str:
        """Return the name of the bucket for files that belong nowhere else; make it if missing.

        It is that of ``Session(obs_path=…)`` if there is one; otherwise
        ``modelarts-<region>-<project id>``, a name that is this package's own choice.

        Returns:
            The name, without ``obs://``.

        Raises:
            PermissionDenied: the bucket is another user's.
            ApiError: OBS or IAM refused the request.
            TransportError: no response.

        Source: public scripts that call it; it is in no published reference.

        Example:
            >>> session.obs.get_default_bucket()                                  # doctest: +SKIP
            'modelarts-eu-de-0123456789abcdef0123456789abcdef'
        """
        bucket = self._default_bucket()
        self.calls.make_bucket(bucket)
        return bucket

    # Objects -------------------------------------------------------------------------------

    def is_obs_path_exists(self, url: str) -> bool:
        """Return True if there is such an object, folder or bucket.

        A folder exists while there are objects in it. A path without a final slash may be an object
        or a folder.

        Args:
            url: the path in OBS.

        Returns:
            True if it exists, else False.

        Raises:
            InvalidArgument: ``url`` is not a path in OBS; no request was sent.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Source: *ModelArts SDK Reference*, "OBS Management".

        Example:
            >>> session.obs.is_obs_path_exists("obs://bucket/logs/")              # doctest: +SKIP
            True
        """
        return self.calls.exists(parse("url", url))

    def list(self, obs_dir: str) -> Iterator[ObsObject]:
        """Return an iterator over all objects below a folder, at any depth, by name.

        The order is that of the names. A page of the list is requested when its first object is
        needed.

        Args:
            obs_dir: the folder; the path of an object lists that object.

        Returns:
            An iterator of :class:`~modelarts.obs.results.ObsObject`.

        Raises:
            InvalidArgument: ``obs_dir`` is not a path in OBS; no request was sent.
            ApiError: OBS refused the request; raised by the iterator.
            TransportError: no response from OBS; raised by the iterator.

        Example:
            >>> for found in session.obs.list("obs://bucket/logs/"):              # doctest: +SKIP
            ...     print(found.url, found.size, found.modified)
        """
        return self.calls.list(parse("obs_dir", obs_dir))

    def delete(self, url: str, *, recursive: bool = False, empty_bucket: bool = False) -> int:
        """Delete an object, or a folder with all objects in it.

        Args:
            url: the object; or, with ``recursive``, the folder.
            recursive: True if ``url`` may be a folder; by default False.
            empty_bucket: True if ``url`` may be a bucket, whose objects are all deleted; the bucket
                stays. By default False.

        Returns:
            The number of objects that were deleted.

        Raises:
            InvalidArgument: ``url`` is not a path in OBS, or is a folder or bucket without the
                option for it; nothing was deleted.
            NotFound: there is nothing of that name.
            IncompleteTransfer: some objects could not be deleted; ``failed`` has their names.
            ApiError: OBS refused the request.
            TransportError: no response from OBS.

        Example:
            >>> session.obs.delete("obs://bucket/logs/old/", recursive=True)      # doctest: +SKIP
            12
        """
        path = parse("url", url)
        if path.is_folder and not recursive:
            raise InvalidArgument(
                "url",
                url,
                Worded(
                    "an object; recursive=True deletes a folder",
                    "an object; --recursive deletes a folder",
                ),
            )
        if not path.key and not empty_bucket:
            raise InvalidArgument(
                "url",
                url,
                Worded(
                    "a folder; empty_bucket=True deletes all objects of a bucket",
                    "a folder; --empty-bucket deletes all objects of a bucket",
                ),
            )
        return self.calls.delete(path, recursive)

    def close(self) -> None:
        """Close the connections. A later call opens new ones."""
        self.calls.close()


def _is_in_obs(path: object) -> bool:
    return isinstance(path, str) and path.startswith("obs:/")


def _stopper(stop: Any) -> Callable[[], bool]:
    if stop is None:
        return lambda: False
    if isinstance(stop, Event):
        return stop.is_set
    if not callable(stop):
        raise InvalidArgument("stop", stop, "a threading.Event, or a function that returns a bool")
    return lambda: bool(stop())


def _seconds(interval: Any) -> float:
    is_number = isinstance(interval, (int, float)) and not isinstance(interval, bool)
    if not is_number or not 1 <= interval <= sys.float_info.max:
        raise InvalidArgument("interval", interval, "a number of seconds from 1 on")
    return float(interval)
