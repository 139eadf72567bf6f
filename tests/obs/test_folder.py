"""The folder that stands for OBS: what a file system does otherwise."""

import os
import signal
import stat
import subprocess
import sys
import threading

import pytest

from modelarts._internal.clock import Clock
from modelarts.errors import (
    ApiError,
    BadRequest,
    ConfigurationError,
    InvalidArgument,
    NotFound,
    TransferError,
)
from modelarts.obs.api import Obs
from modelarts.obs.stores.base import ObjectInfo
from modelarts.obs.stores.folder import FolderStore


@pytest.fixture
def root(tmp_path):
    return tmp_path / "obs"


@pytest.fixture
def store(root):
    return FolderStore(root.as_uri())


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"content")
    return path


def _keys(store, bucket="bucket", prefix=""):
    return [found.key for found in store.list(bucket, prefix)]


def test_sent_files_are_private_under_any_umask(store, root, file):
    """Only this user can read what was sent whatever the umask."""
    before = os.umask(0)
    try:
        store.upload(str(file), "bucket", "a/b/c")
    finally:
        os.umask(before)
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in root.rglob("*")}
    assert modes == {"bucket": 0o700, "a": 0o700, "b": 0o700, "c": 0o600}


def test_later_writes_do_not_change_the_copy(store, root, file):
    store.upload(str(file), "bucket", "a")
    with open(file, "ab") as growing:
        growing.write(b" and more")
    assert (root / "bucket" / "a").read_bytes() == b"content"
    assert not os.path.samefile(file, root / "bucket" / "a")


def test_writes_to_fetched_file_do_not_change_bucket(store, root, file, tmp_path):
    store.upload(str(file), "bucket", "a")
    store.download(store.head("bucket", "a"), str(tmp_path / "back"))
    (tmp_path / "back").write_bytes(b"mine")
    assert (root / "bucket" / "a").read_bytes() == b"content"


def test_a_file_that_nobody_may_write_is_linked(store, root, file):
    file.chmod(0o444)
    moved = []
    store.upload(str(file), "bucket", "a", moved.append)
    assert os.path.samefile(file, root / "bucket" / "a")
    assert sum(moved) == 7
    file.unlink()
    file.write_bytes(b"another")
    assert (root / "bucket" / "a").read_bytes() == b"content"


def test_open_target_is_replaced_not_written(store, root, file):
    """Event files may be written where the service reads them, and then be sent there."""
    store.upload(str(file), "bucket", "logs/a")
    there, moved = root / "bucket" / "logs" / "a", []
    with open(there, "ab") as growing:
        store.upload(str(there), "bucket", "logs/a", moved.append)
        store.download(store.head("bucket", "logs/a"), str(there), moved.append)
        growing.write(b" and more")
    assert there.read_bytes() == b"content and more"
    assert moved == [7, 7]


def test_hard_link_to_object_is_separated(store, root, file):
    """A name that shares a file with the object is parted from it."""
    store.upload(str(file), "bucket", "a")
    file.unlink()
    os.link(root / "bucket" / "a", file)
    store.upload(str(file), "bucket", "a")
    file.write_bytes(b"another")
    assert (root / "bucket" / "a").read_bytes() == b"content"


@pytest.mark.parametrize("call", ["upload_dir", "sync_dir"])
def test_folder_with_service_is_sent_without_buckets(tmp_path, call):
    """As a home is, in which the service has its folder by default."""
    home, place = tmp_path / "ma-user", tmp_path / "ma-user" / ".modelarts" / "obs"
    for name in (".a", ".modelarts/a", ".modelarts/obs/other/a", "z"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(name)
    obs = Obs(lambda: FolderStore(place.as_uri()), place.as_uri, Clock())
    for options in ({"threads": 1}, {}):
        with pytest.warns(UserWarning, match="nor the folder that stands for OBS.*obs$"):
            sent = getattr(obs, call)(home, "obs://bucket/dir1/", **options)
        assert sent.skipped == (str(place),)
        assert [found.url for found in obs.list("obs://bucket/")] == [
            "obs://bucket/dir1/ma-user/" + name for name in (".a", ".modelarts/a", "z")
        ]


def test_bucket_folder_is_sent_below_itself(tmp_path):
    """A folder of a bucket is sent to below itself without what is sent."""
    obs = Obs(lambda: FolderStore(tmp_path.as_uri()), tmp_path.as_uri, Clock())
    (tmp_path / "b" / "x").mkdir(parents=True)
    (tmp_path / "b" / "x" / "a").write_text("1")
    obs.upload_dir(tmp_path / "b", "obs://b/x/")
    with pytest.warns(UserWarning, match="b/x/b$"):
        obs.sync_dir(tmp_path / "b", "obs://b/x/")
    assert [found.url for found in obs.list("obs://b/")] == ["obs://b/x/a", "obs://b/x/b/x/a"]


@pytest.mark.parametrize("call", ["upload_file", "upload_dir", "sync_dir", "watch"])
def test_a_text_that_no_path_can_be_is_told_at_once(tmp_path, call):
    obs = Obs(lambda: FolderStore(tmp_path.as_uri()), tmp_path.as_uri, Clock())
    with pytest.raises(InvalidArgument, match="which has no such names"):
        getattr(obs, call)("\ud800", "obs://b/")


def test_a_folder_is_not_fetched_into_itself(tmp_path):
    obs = Obs(lambda: FolderStore(tmp_path.as_uri()), tmp_path.as_uri, Clock())
    (tmp_path / "b" / "x").mkdir(parents=True)
    (tmp_path / "b" / "x" / "a").write_text("1")
    with pytest.raises(InvalidArgument, match="not in obs://b/ itself"):
        obs.download_dir("obs://b/", tmp_path / "b" / "x")
    obs.download_dir("obs://b/x/", tmp_path / "b")  # which is where it is
    assert [found.url for found in obs.list("obs://b/")] == ["obs://b/x/a"]


@pytest.mark.parametrize(("first", "second"), [("a", "a/b"), ("a/b", "a"), ("a/b/c", "a/b")])
def test_object_name_cannot_be_prefix_folder(store, file, first, second):
    """A folder cannot hold an object and others below its name."""
    store.upload(str(file), "bucket", first)
    with pytest.raises(BadRequest, match="cannot hold an object and") as caught:
        store.upload(str(file), "bucket", second)
    assert caught.value.error_code == "InvalidObjectName"
    assert _keys(store) == [first]


@pytest.mark.parametrize("key", ["x" * 256, "a//b", "../a", "a/", "a\0b"])
def test_a_name_that_no_file_can_have_is_refused(store, root, file, key):
    with pytest.raises(ApiError, match="HTTP 400: InvalidObjectName"):
        store.upload(str(file), "bucket", key)
    assert store.head("bucket", key) is None
    assert store.delete("bucket", [key]) == []
    assert _keys(store, prefix=key) == []
    assert not root.exists() or not list(root.rglob("*part"))


def test_nothing_is_read_written_or_deleted_through_a_link(store, root, file, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "secret").write_bytes(b"s")
    store.upload(str(file), "bucket", "a")
    (root / "bucket" / "link").symlink_to(outside)
    (root / "bucket" / "file").symlink_to(outside / "secret")
    (root / "linked").symlink_to(outside)
    assert _keys(store) == ["a"]
    assert _keys(store, "linked") == []
    assert store.has_bucket("linked") is False
    for key in ("link/secret", "file"):
        assert store.head("bucket", key) is None
        with pytest.raises(NotFound):
            store.download(ObjectInfo("bucket", key, 1), str(tmp_path / "back"))
    for bucket, key in (("bucket", "link/x"), ("linked", "x"), ("..", "outside/x")):
        with pytest.raises(ApiError):
            store.upload(str(file), bucket, key)
    store.delete("bucket", ["link/secret", "file"])
    assert [path.name for path in outside.iterdir()] == ["secret"]
    # A link in the way of an object is replaced, not written through.
    store.upload(str(file), "bucket", "file")
    assert (outside / "secret").read_bytes() == b"s"
    assert store.head("bucket", "file").size == 7


def test_the_root_itself_may_be_reached_by_a_link(root, file, tmp_path):
    root.mkdir()
    (tmp_path / "short").symlink_to(root)
    store = FolderStore((tmp_path / "short").as_uri())
    store.upload(str(file), "bucket", "a")
    assert _keys(store) == ["a"]


def test_a_list_begins_with_a_prefix_anywhere_in_a_name(store, file):
    for key in ("logs", "logs-2/a", "logs2", "logz/a", "lo/gs"):
        store.upload(str(file), "bucket", key)
    assert _keys(store) == ["lo/gs", "logs", "logs-2/a", "logs2", "logz/a"]
    assert _keys(store, prefix="logs") == ["logs", "logs-2/a", "logs2"]
    assert _keys(store, prefix="logs-2/") == ["logs-2/a"]
    assert _keys(store, prefix="x") == _keys(store, "none") == []


def test_a_folder_goes_with_its_last_object_and_the_bucket_stays(store, root, file):
    for key in ("a/b/c", "a/d"):
        store.upload(str(file), "bucket", key)
    store.delete("bucket", ["a/b/c", "nothing"])
    assert not (root / "bucket" / "a" / "b").exists()
    store.delete("bucket", ["a/d"])
    assert list((root / "bucket").iterdir()) == []
    assert store.has_bucket("bucket")


def test_a_part_that_a_killed_program_left_is_no_object(store, root, file):
    store.upload(str(file), "bucket", "a")
    (root / "bucket" / ".modelarts-0123456789abcdef.part").write_bytes(b"half")
    assert _keys(store) == ["a"]


def test_a_stop_in_the_middle_leaves_what_was_there(store, root, file):
    store.upload(str(file), "bucket", "a")
    file.write_bytes(b"x" * 100)

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.upload(str(file), "bucket", "a", stop)
    assert [path.name for path in (root / "bucket").iterdir()] == ["a"]
    assert (root / "bucket" / "a").read_bytes() == b"content"


@pytest.mark.parametrize("there", ["", "a", "a/b"])
def test_a_stop_leaves_no_folder_that_was_not_there(store, root, file, there):
    (root / "bucket" / there).mkdir(parents=True)
    before = sorted(root.rglob("*"))

    def stop(count):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.upload(str(file), "bucket", "a/b/c/d", stop)
    assert sorted(root.rglob("*")) == before
    with pytest.raises(KeyboardInterrupt):
        store.upload(str(file), "other", "a", stop)
    assert not store.has_bucket("other")


def test_read_only_file_is_sent_and_fetched(store, root, file, tmp_path):
    """Both names are one file by then, and such a rename does nothing."""
    file.chmod(0o444)
    for _ in range(2):
        store.upload(str(file), "bucket", "a")
    for _ in range(2):
        store.download(store.head("bucket", "a"), str(tmp_path / "back"))
    assert [path.name for path in (root / "bucket").iterdir()] == ["a"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["back", "file", "obs"]


KILLED = """
import os, signal, sys
from modelarts.obs.stores.folder import FolderStore
from modelarts.obs.api import Obs
store = FolderStore(sys.argv[1])
store.upload(sys.argv[2], "bucket", "a", lambda count: os.kill(os.getpid(), signal.SIGKILL))
"""


def test_what_a_killed_program_left_is_used_by_the_next(store, root, file):
    for _ in range(2):
        command = [sys.executable, "-c", KILLED, root.as_uri(), str(file)]
        assert subprocess.run(command).returncode == -signal.SIGKILL
    (part,) = (root / "bucket").iterdir()
    assert (part.name[-5:], stat.S_IMODE(part.stat().st_mode)) == (".part", 0o600)
    file.write_bytes(b"short")
    store.upload(str(file), "bucket", "a")
    assert [path.name for path in (root / "bucket").iterdir()] == ["a"]
    assert (root / "bucket" / "a").read_bytes() == b"short"


def test_leftovers_of_killed_program_are_removed(store, root, file):
    store.upload(str(file), "bucket", "a")
    found = store.head("bucket", "a")
    command = [sys.executable, "-c", KILLED, root.as_uri(), str(file)]
    assert subprocess.run(command).returncode == -signal.SIGKILL
    assert len(list((root / "bucket").iterdir())) == 2
    store.forget(str(file), found)
    assert [path.name for path in (root / "bucket").iterdir()] == ["a"]


def test_concurrent_sends_of_one_file_succeed(store, root, file, tmp_path):
    """Two that send the same at once do not disturb each other."""
    other = tmp_path / "other"
    other.write_bytes(b"the other one")
    seen = []

    def meanwhile(count):
        store.upload(str(other), "bucket", "a")
        seen.append((root / "bucket" / "a").read_bytes())

    store.upload(str(file), "bucket", "a", meanwhile)
    assert seen == [b"the other one"]
    assert (root / "bucket" / "a").read_bytes() == b"content"
    assert [path.name for path in (root / "bucket").iterdir()] == ["a"]


def test_nothing_is_written_through_what_somebody_put_in_the_way(store, root, file, tmp_path):
    """The name that a copy has first can be known beforehand."""
    command = [sys.executable, "-c", KILLED, root.as_uri(), str(file)]
    subprocess.run(command)
    (part,) = (root / "bucket").iterdir()
    precious = tmp_path / "precious"
    precious.write_bytes(b"precious")
    for put in (os.symlink, os.link):
        part.unlink()
        put(str(precious), str(part))
        store.upload(str(file), "bucket", "a")
        assert precious.read_bytes() == b"precious"
        assert not (root / "bucket" / "a").is_symlink()
        assert not os.path.samefile(root / "bucket" / "a", precious)


def test_a_file_that_shrinks_meanwhile_is_not_taken_for_whole(store, root, file, tmp_path):
    file.write_bytes(b"x" * (200 << 20))

    def shrink(count):
        os.truncate(file, 10)

    with pytest.raises(TransferError, match="became shorter"):
        store.upload(str(file), "bucket", "a", shrink)
    assert _keys(store) == []


def test_what_the_disk_refuses_is_said_as_obs_says_it(store, root, file, tmp_path):
    store.upload(str(file), "bucket", "a")
    root.rename(tmp_path / "away")
    root.write_bytes(b"a file in the place of the folder")
    with pytest.raises(ApiError) as caught:
        store.upload(str(file), "bucket", "a")
    assert caught.value.error_code
    assert caught.value.operation == "send obs://bucket/a"


def test_concurrent_send_and_delete_succeed(store, file):
    """Threads that send and delete in one folder do not disturb each other."""
    failed = []

    def work(number):
        try:
            for _ in range(100):
                store.upload(str(file), "bucket", "deep/er/%d" % number)
                store.delete("bucket", ["deep/er/%d" % number])
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert _keys(store) == []


def test_vanished_object_is_not_found(store, root, file):
    """An object that goes meanwhile is not there rather than a failure."""
    store.upload(str(file), "bucket", "a")
    found = store.head("bucket", "a")
    store.delete("bucket", ["a"])
    assert store.same(str(file), found) is False
    with pytest.raises(NotFound):
        store.download(found, str(file) + "-back")
    with pytest.raises(FileNotFoundError):
        store.same(str(root / "nothing"), found)


def test_many_that_delete_and_read_the_same_all_succeed(store, file):
    failed = []

    def work():
        try:
            for _ in range(200):
                store.upload(str(file), "bucket", "deep/same")
                found = store.open("bucket", "deep/same")
                if found is not None:
                    with found:
                        assert found.read() == b"content"
                failed.extend(store.delete("bucket", ["deep/same"]))
        except Exception as error:
            failed.append(error)

    threads = [threading.Thread(target=work) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert list(store.list("bucket")) == []


@pytest.mark.parametrize("endpoint", ["file://server/share", "file:relative", "file:"])
def test_an_endpoint_that_names_no_folder_is_refused(endpoint):
    with pytest.raises(ConfigurationError, match="file:///folder"):
        FolderStore(endpoint)
