"""The folder of a new job: upload of a local folder to OBS, and the check for event files."""

import os
import warnings
from importlib.util import find_spec
from itertools import islice
from typing import TYPE_CHECKING, Any, Callable, Dict, List, Mapping, Optional, Sequence, Union

from modelarts._internal.warnings import level_of_the_caller
from modelarts._internal.wording import Worded, worded
from modelarts.errors import ConfigurationError, InvalidArgument, NoEventFiles, NotFound

if TYPE_CHECKING:
    from modelarts.obs.paths import ObsPath
    from modelarts.obs.stores.base import Store
    from modelarts.session import Session
    from modelarts.visualization.request import CreateRequest

#: The objects that are checked: the first page of a list.
_MOST = 1000
_NAMED = 5


def mounted(
    session: "Session", folders: 'Mapping[str, Union[str, "os.PathLike[str]"]]'
) -> Dict[str, Any]:
    """Let the service of this machine read folders in place.

    Args:
        folders: folders of this machine, or ``/bucket/path/`` of the service, by the names of their
            runs; a single folder has an empty name.

    Returns:
        The fields ``train_url`` and ``folders`` of the request.

    Raises:
        InvalidArgument: a folder does not exist or cannot be read in place; or the service is on
            another machine.
    """
    from modelarts import validation as arguments
    from modelarts.obs import paths

    if session.local_root is None:
        raise InvalidArgument(
            "train_url",
            list(folders),
            "one folder; several are shown by the service of this machine only: Session.local()",
        )
    paths_by_name = {}
    for name, folder in folders.items():
        if arguments.is_local(folder):
            paths_by_name[name] = os.path.realpath(paths.text_of("train_url", folder))
        elif session.obs_endpoint.startswith("file:"):
            paths_by_name[name] = os.path.join(session.local_root, "obs", str(folder).strip("/"))
        else:
            raise InvalidArgument("train_url", folder, "folders of this machine")
    try:
        url = session.mount(paths_by_name)
    except ValueError as error:
        raise InvalidArgument(
            "train_url",
            next(iter(folders.values())) if "" in folders else list(folders),
            "a folder that can be read: %s" % error,
        ) from None
    return {"train_url": url, "folders": tuple(paths_by_name.values())}


def send_folder(
    session: "Session", train_url: object, obs_path: Optional[str], argument: str = "train_url"
) -> str:
    """Send the changed files of a local folder to OBS; return its ``train_url`` there.

    Args:
        argument: the name of the argument that gives the folder, for errors.
        obs_path: the folder in OBS that it is placed in. By default a folder for the local path in
            :attr:`Session.obs_path`; without that, if the endpoint is a ``file:`` URL, in the
            bucket ``uploads``.

    Raises:
        InvalidArgument: the folder does not exist, or no setting has a folder in OBS for it.
        ConfigurationError: the setting is not a folder in OBS.
        IncompleteTransfer: some files could not be sent.
    """
    from modelarts import validation as arguments
    from modelarts.obs import paths
    from modelarts.obs.operations import Options
    from modelarts.obs.paths import parse

    allowed = "a folder in OBS, as '/bucket/path/' or 'obs://bucket/path/', or one on this machine"
    text = paths.text_of(argument, train_url)
    if not os.path.isdir(text):
        raise InvalidArgument(argument, train_url, allowed + " that exists")
    folder = paths.local_dir(argument, train_url)
    if obs_path is not None:
        target = parse("obs_path", obs_path)
    else:
        target = place_of_its_own(session, folder)
    goal = target / (os.path.basename(folder) + "/")
    try:
        url = arguments.train_url(goal.url)
    except InvalidArgument:
        raise InvalidArgument(
            argument,
            train_url,
            "%s, whose path there has no control characters or backslashes and at most 1024 bytes "
            "(it would be %r)" % (allowed, goal.url),
        ) from None
    session.obs.calls.passes(folder, target, Options())()
    return url


def place_of_its_own(session: "Session", folder: str) -> "ObsPath":
    """Return the folder in OBS for the copy of a folder of this machine.

    Raises:
        InvalidArgument: no setting has a folder in OBS for it.
        ConfigurationError: the setting is not a folder in OBS.
    """
    import hashlib

    from modelarts.obs.paths import ObsPath, parse

    if session.obs_path is not None:
        try:
            place = parse("obs_path", session.obs_path)
        except InvalidArgument as error:
            source = session.sources["obs_path"]
            raise ConfigurationError("%s: %s" % (source, error)) from None
    elif session.obs_endpoint.startswith("file:"):
        place = ObsPath("uploads", "")
    else:
        raise InvalidArgument(
            "obs_path",
            None,
            "the folder in OBS that %s is to be sent to; MODELARTS_OBS_PATH, or obs_path in a "
            "config.json, can name one for all calls" % folder,
        )
    # Many folders have the name "runs".
    number = hashlib.sha256(os.fsencode(folder)).hexdigest()[:8]
    parent = os.path.basename(os.path.dirname(folder))
    return place.as_folder() / ("%s-%s/" % (parent, number) if parent else number + "/")


def check_event_files(
    session: "Session", request: "CreateRequest", in_place: Callable[[], Sequence[str]]
) -> None:
    """Warn if the folder of a new job has no event files.

    The check sends a request, or two if the folder is empty, once each. Its errors are ignored. It
    is left out if the session has no store, or the official client is not installed.

    Args:
        request: the job that was created.
        in_place: returns the folders that the service reads in place, as far as it says so; they
            may be on another machine.
    """
    if request.job_type != "tensorboard" or request.train_url is None:
        return
    try:
        problem = _problem(session, request, in_place)
    except Exception:
        return  # an error of the check must not affect the job
    if problem is not None:
        warnings.warn(problem, NoEventFiles, stacklevel=level_of_the_caller())


def _problem(
    session: "Session", request: "CreateRequest", in_place: Callable[[], Sequence[str]]
) -> Optional[str]:
    if request.folders:
        return _what_is_in(request.folders)
    if not session.obs_endpoint.startswith("file:") and find_spec("obs") is None:
        return None
    from modelarts.obs.paths import ObsPath

    path = ObsPath(*str(request.train_url)[1:].split("/", 1))
    problem = _what_is_there(session.quick_store, path)
    # The name of a bucket may be that of a mount of the service.
    folders = in_place() if problem is not None and session.local_root is not None else ()
    if not folders:
        return problem
    on_this_machine = [folder for folder in folders if os.path.isdir(folder)]
    return _what_is_in(on_this_machine) if on_this_machine else None


def _what_is_in(folders: Sequence[str]) -> Optional[str]:
    """Return a warning if folders of this machine have no event files."""
    number = 0
    for folder in folders:
        for _, _, names in os.walk(folder, followlinks=True):
            number += 1 + len(names)
            if any(map(_is_event_file, names)) or number > _MOST:
                return None
    return (
        "%s has no event files (events.out.tfevents…), so the board will be empty until some "
        % (", ".join(folders[:_NAMED]))
        + "are written there"
    )


def _what_is_there(store: "Store", path: "ObsPath") -> Optional[str]:
    """Return a warning if a folder in OBS has no event files."""
    try:
        keys = _keys(store, path)
    except NotFound:
        return "there is no bucket %s, so the board of %s will be empty" % (path.bucket, path.url)
    if any(map(_is_event_file, keys)) or len(keys) == _MOST:
        return None
    remark = "%s has no event files (events.out.tfevents…), so the board will be empty" % path.url
    if keys:
        names = [key[len(path.key) :] for key in keys if key != path.key]
        more = " and %d more" % (len(names) - _NAMED) if len(names) > _NAMED else ""
        return "%s; what is there: %s%s" % (remark, ", ".join(names[:_NAMED]) or "nothing", more)
    remark += " until some are written there; nothing is there yet"
    if os.path.isdir("/%s/%s" % (path.bucket, path.key)):
        form = Worded("give it as a pathlib.Path", "give its path from here, such as ../runs/")
        text = "%s. This machine has a folder /%s/%s: to send that, %s"
        return worded(text, remark, path.bucket, path.key, form)
    if path.key:
        from modelarts.obs.paths import ObsPath

        above = ObsPath(path.bucket, path.key.rstrip("/").rpartition("/")[0])
        near = _keys(store, above.as_folder() if above.key else above)
        events = next(filter(_is_event_file, near), None)
        if events is not None:
            remark += ". Some are in %s" % ObsPath(path.bucket, events.rpartition("/")[0] + "/").url
    return remark


def _keys(store: "Store", path: "ObsPath") -> List[str]:
    return [info.key for info in islice(store.list(path.bucket, path.key), _MOST)]


def _is_event_file(key: str) -> bool:
    return "tfevents" in key.rpartition("/")[2]
