"""``session.upload_data``, ``download_data`` and ``create_directory``: the calls before
``session.obs``."""

import os
import sys
from functools import partial
from typing import Any

from modelarts._internal.terminal import writable
from modelarts.errors import InvalidArgument
from modelarts.obs import paths
from modelarts.obs.operations import Calls, Options
from modelarts.obs.paths import parse
from modelarts.obs.results import Transferred
from modelarts.obs.stores.base import ObjectInfo


def upload_data(calls: Calls, bucket_path: Any, path: Any) -> Transferred:
    """Send a file, several, or a folder."""
    target = parse("bucket_path", bucket_path, older=True)
    if not isinstance(path, (list, tuple)):
        if os.path.isdir(paths.text_of("path", path)):
            return calls.upload_dir(paths.local_dir("path", path), target, Options())
        return calls.upload_file(paths.local_file("path", path), target, None)
    files = [paths.local_file("path", each) for each in path]
    names = [os.path.basename(file) for file in files]
    if not files or len(set(names)) < len(names):
        raise InvalidArgument("path", path, "a file, or a list of files with different names")
    return calls.upload_files(files, target, Options())


def download_data(calls: Calls, bucket_path: Any, path: Any) -> Transferred:
    """Fetch an object or a folder, and print a line for each file."""
    source = parse("bucket_path", bucket_path, older=True)
    if not source.is_folder and calls.store.head(source.bucket, source.key) is None:
        folder = source.as_folder()
        if calls.exists(folder):  # the slash was forgotten
            source = folder
    if source.is_folder:
        goal = paths.local_folder("path", path)
        return calls.download_dir(source, goal, Options(), tell=_say)
    target = partial(paths.local_target, "path", path, is_path=True)
    done = calls.download_file(source, target, None)
    _say(ObjectInfo(source.bucket, source.key, done.bytes), done.target)
    return done


def create_directory(calls: Calls, bucket: Any, directory: Any) -> str:
    """Make a folder; return its URL."""
    if not isinstance(bucket, str) or "/" in bucket:
        raise InvalidArgument("bucket", bucket, "the name of a bucket")
    if not isinstance(directory, str) or not directory.strip("/"):
        raise InvalidArgument("directory", directory, "a folder such as '/dir1/dir2/'")
    folder = parse("directory", "obs://%s/%s/" % (bucket, directory.strip("/")))
    calls.store.make_folder(folder.bucket, folder.key)
    return folder.url


def _say(info: ObjectInfo, path: str) -> None:
    message = "Successfully download file %s/%s from OBS to local %s"
    # Otherwise a terminal that cannot show a name would raise an error.
    print(writable(message % (info.bucket, info.key, path), sys.stdout))
