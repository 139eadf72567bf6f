"""Sends the code and the data of a training to OBS, and looks at what has to be there."""

import hashlib
import os
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Dict, List, Optional, Sequence, Tuple

import attr

from modelarts.errors import (
    BadRequest,
    ConfigurationError,
    IncompleteTransfer,
    InvalidArgument,
    ModelArtsError,
    NotFound,
    PermissionDenied,
)
from modelarts.obs.directory import Comparison, LocalFile, files_below, folders_in
from modelarts.obs.operations import Options
from modelarts.obs.paths import ObsPath, parse
from modelarts.obs.stores.base import Store
from modelarts.training.request import Channel, TrainingRequest
from modelarts.visualization.logs import place_of_its_own, send_folder

if TYPE_CHECKING:
    from modelarts.session import Session

#: Folders in a code folder that are no code, and are not sent.
_NOT_CODE = frozenset(("__pycache__", ".git", ".hg", ".svn", ".ipynb_checkpoints", ".venv"))
_CHUNK = 1024 * 1024


def located(session: "Session", request: TrainingRequest) -> TrainingRequest:
    """Return a request whose paths are all in OBS; files of this machine are sent there.

    Raises:
        InvalidArgument: a folder is missing, or no setting says where it is to go.
        ConfigurationError: the setting names no folder in OBS.
        IncompleteTransfer: some files could not be sent.
    """
    outputs = tuple(
        attr.evolve(channel, url=_in_place(session, "outputs", channel.url))
        for channel in request.outputs
    )
    folder = request.tensorboard
    for before, channel in zip(request.outputs, outputs):
        if folder in (before.name, before.url):
            folder = str(channel.url)
    code_dir = request.code_dir
    if isinstance(code_dir, Path):
        code_dir = _send_code(session, str(code_dir), request.code_path)
    return attr.evolve(
        request,
        code_dir=code_dir,
        inputs=tuple(_sent(session, channel) for channel in request.inputs),
        outputs=outputs,
        log_url=None if request.log_url is None else _in_place(session, "log_url", request.log_url),
        tensorboard=None if folder is None else _in_place(session, "tensorboard", folder),
    )


def _in_place(session: "Session", argument: str, url: object) -> str:
    """Return ``/bucket/path/`` for a folder in OBS, which may be relative."""
    text = str(url)
    if text.startswith("/"):
        return text
    try:
        place = place_of_its_own(session, os.path.abspath(text))
    except InvalidArgument as error:
        allowed = "a folder in OBS such as 'obs://bucket/%s'" % text
        raise InvalidArgument(
            argument, url, "%s; MODELARTS_OBS_PATH can name one for relative paths" % allowed
        ) from error
    target = place / text
    if session.obs_endpoint.startswith("file:"):
        # The bucket has to be there before anything is written to it.
        os.makedirs(
            session.obs.calls.store.own_folders(target.bucket, target.key)[-1], exist_ok=True
        )
    return "/%s/%s" % (target.bucket, target.key)


def _sent(session: "Session", channel: Channel) -> Channel:
    """Return an input in OBS; one of this machine is sent, what has changed of it."""
    if not isinstance(channel.url, Path):
        return channel
    path = str(channel.url)
    if channel.url.is_dir():
        url = send_folder(session, channel.url, channel.target, "inputs")
        return attr.evolve(channel, url=url, target=None)
    if channel.target is not None:
        place = parse("inputs", "obs:/" + channel.target)
    else:
        place = place_of_its_own(session, os.path.dirname(path))
    goal = place.as_folder() / os.path.basename(path)
    session.obs.calls.upload_file(path, goal, None)
    return attr.evolve(channel, url="/%s/%s" % (goal.bucket, goal.key), target=None)


def _send_code(session: "Session", folder: str, obs_path: Optional[str]) -> str:
    """Send a code folder; returns its path in OBS.

    In the session's own place it gets a folder whose name is made from its content: a training that
    waits still finds the code that it was created with, whatever is sent after it.
    """
    if obs_path is not None:
        target = parse("obs_path", "obs:/" + obs_path)
    else:
        target = place_of_its_own(session, folder)
    store = session.obs.calls.store
    apart = folders_in(folder, store.own_folders(target.bucket, target.key))
    files = [
        file
        for file in files_below(folder, _ignore, apart)
        if not _NOT_CODE.intersection(file.relative.split("/")[:-1])
    ]
    unreadable = [(file.path, file.error) for file in files if file.error is not None]
    if unreadable:
        raise IncompleteTransfer(unreadable)
    name = os.path.basename(folder) or "code"
    known: Comparison = Comparison()
    if obs_path is None:
        target = target.as_folder() / (_digest(files) + "/")
        known = _Kept(store, target / (name + "/"))
    goal = target.as_folder() / (name + "/")
    session.obs.calls.upload_selected(files, goal, known, Options())
    return "/%s/%s" % (goal.bucket, goal.key)


def _ignore(path: str) -> None:
    """Take no notice of what is no regular file."""


def _digest(files: Sequence[LocalFile]) -> str:
    """Return 12 hexadecimal digits of the names and the contents of files."""
    whole = hashlib.sha256()
    for file in files:
        content = hashlib.sha256()
        with open(file.path, "rb") as stream:
            for chunk in iter(lambda: stream.read(_CHUNK), b""):
                content.update(chunk)
        whole.update(os.fsencode(file.relative) + b"\0" + content.digest())
    return whole.hexdigest()[:12]


class _Kept(Comparison):
    """The files that a folder, whose name stands for its content, has already."""

    def __init__(self, store: Store, goal: ObsPath) -> None:
        self._sizes: Dict[str, int] = {}
        try:
            for info in store.list(goal.bucket, goal.key):
                self._sizes[info.key[len(goal.key) :]] = info.size
        except (NotFound, PermissionDenied):
            pass  # no bucket yet, or one that may be written to and not listed

    def quick(self, file: LocalFile) -> Optional[bool]:
        """Return True if the file is there."""
        return self._sizes.get(file.relative) == file.size


# What has to be there -----------------------------------------------------------------------------


def check_places(session: "Session", request: TrainingRequest) -> None:
    """Raise InvalidArgument for inputs, code or buckets that are not in OBS.

    Paths that cannot be checked, as without the official client or without the permission, are left
    to the service.
    """
    try:
        endpoint = session.obs_endpoint
    except ConfigurationError:
        return
    if not endpoint.startswith("file:") and find_spec("obs") is None:
        return
    for argument, url, allowed, is_bucket in _places(request):
        path = parse(argument, "obs:/" + url)
        if is_bucket:
            path = ObsPath(path.bucket, "")
        try:
            exists = session.obs.calls.exists(path)
        except BadRequest:
            exists = False  # no name of an object
        except ModelArtsError:
            return
        if not exists:
            raise InvalidArgument(argument, path.url, allowed)


def _places(request: TrainingRequest) -> List[Tuple[str, str, str, bool]]:
    """Return argument, path, what is allowed, and whether the bucket alone has to be there."""
    places: List[Tuple[str, str, str, bool]] = []
    if isinstance(request.code_dir, str):
        code = request.code_dir
        if request.boot_file is not None:
            allowed = "a script that is in the code folder"
            places.append(("boot_file", code + request.boot_file, allowed, False))
        else:
            places.append(("code_dir", code, "a folder in OBS that exists", False))
    for channel in request.inputs:
        if isinstance(channel.url, str):
            allowed = "folders or objects in OBS that exist"
            places.append(("inputs", channel.url, allowed, False))
    for argument, url in (
        *(("outputs", channel.url) for channel in request.outputs),
        ("log_url", request.log_url),
        ("tensorboard", request.tensorboard),
    ):
        if url is not None and str(url).startswith("/"):
            places.append((argument, str(url), "in a bucket that exists", True))
    return places
