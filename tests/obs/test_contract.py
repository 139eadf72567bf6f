"""The contract of ``session.obs``, on a folder and on OBS."""

import json
import os
import socket
import stat
import subprocess
import sys
import threading
import warnings
from datetime import datetime, timezone

import pytest

from modelarts.errors import IncompleteTransfer, InvalidArgument, NotFound
from tests.support.trees import NAMES, contents, tree, urls

pytestmark = pytest.mark.local

SETTINGS = ("access_key", "secret_key", "project_id", "region_name", "obs_endpoint")


@pytest.fixture
def deep(home):
    """A folder in ``home``; what is deeper than Python's own recursion is removed at the end.

    Left there, it would end a later run of pytest, which removes the folders of earlier ones.
    """
    yield home / "deep"
    folders = [str(home)]
    for folder in folders:  # which grows
        for entry in os.scandir(folder):
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            else:
                os.unlink(entry.path)
    for folder in reversed(folders):
        os.rmdir(folder)


# The documented four ----------------------------------------------------------------------


def test_a_file_lands_in_the_folder_and_comes_back(obs, bucket, home):
    tree(home, {"file1.txt": b"hello"})
    sent = obs.upload_file(src_local_file=str(home / "file1.txt"), dst_obs_dir=bucket + "dir1/")
    assert (sent.target, sent.files, sent.bytes) == (bucket + "dir1/file1.txt", 1, 5)
    assert urls(obs, bucket) == [bucket + "dir1/file1.txt"]
    fetched = obs.download_file(
        src_obs_file=bucket + "dir1/file1.txt", dst_local_dir=str(home / "back") + "/"
    )
    assert fetched.target == str(home / "back" / "file1.txt")
    assert (home / "back" / "file1.txt").read_bytes() == b"hello"


def test_a_folder_itself_lands_under_the_target_both_ways(obs, bucket, home):
    source = tree(home / "ma-user", {"a.txt": b"1", "deep/er/b.txt": b"22", "empty.txt": b""})
    (source / "no files").mkdir()
    sent = obs.upload_dir(src_local_dir=str(source) + "/", dst_obs_dir=bucket + "dir1/")
    assert (sent.files, sent.bytes, sent.target) == (3, 3, bucket + "dir1/ma-user/")
    assert urls(obs, bucket + "dir1/") == [
        bucket + "dir1/ma-user/" + name for name in ("a.txt", "deep/er/b.txt", "empty.txt")
    ]
    fetched = obs.download_dir(src_obs_dir=bucket + "dir1/", dst_local_dir=str(home / "data"))
    assert (fetched.files, fetched.bytes) == (3, 3)
    assert contents(home / "data" / "dir1" / "ma-user") == contents(source)


def test_a_bucket_is_fetched_into_a_folder_of_its_name(obs, place, bucket, home):
    obs.upload_file(tree(home, {"a.txt": b"1"}) / "a.txt", bucket)
    obs.download_dir(bucket, home / "data")
    assert contents(home / "data") == {place.bucket + "/a.txt": b"1"}


@pytest.mark.parametrize("name", NAMES)
def test_names_are_kept_as_they_are(obs, bucket, home, name):
    source = tree(home / "names", {name: name.encode(), "sub " + name + "/" + name: b"x"})
    obs.upload_dir(source, bucket)
    assert obs.is_obs_path_exists(bucket + "names/" + name)
    assert sorted(urls(obs, bucket)) == sorted(bucket + "names/" + key for key in contents(source))
    obs.download_dir(bucket + "names/", home / "back")
    assert contents(home / "back" / "names") == contents(source)
    obs.download_file(bucket + "names/" + name, home / "one")
    assert (home / "one" / name).read_bytes() == name.encode()


def test_a_tree_as_deep_as_keys_can_be_goes_and_comes(obs, bucket, home, deep):
    down = "/".join(["d"] * 500) + "/file"
    tree(deep, {down: b"down"})
    obs.upload_dir(deep, bucket)
    assert urls(obs, bucket) == [bucket + "deep/" + down]
    obs.download_dir(bucket + "deep/", home / "back")
    assert (home / "back" / "deep" / down).read_bytes() == b"down"
    assert obs.delete(bucket + "deep/", recursive=True) == 1


def test_too_long_keys_are_named_and_rest_sent(obs, bucket, deep):
    levels = ["d"] * 1000
    for depth in range(len(levels) + 1):
        os.mkdir(str(deep.joinpath(*levels[:depth])))
    tree(deep, {"z": b"z"})
    below = deep.joinpath(*levels, "file")
    below.write_bytes(b"")
    with pytest.raises(IncompleteTransfer, match="1024 bytes") as caught:
        obs.upload_dir(deep, bucket)
    assert [name for name, _ in caught.value.failed] == [str(below)]
    assert urls(obs, bucket) == [bucket + "deep/z"]


def test_an_object_is_replaced(obs, bucket, home):
    for content in (b"one", b"the second"):
        obs.upload_file(tree(home, {"a.txt": content}) / "a.txt", bucket)
    obs.download_file(bucket + "a.txt", home / "back")
    assert (home / "back" / "a.txt").read_bytes() == b"the second"


def test_a_file_is_replaced_by_what_is_fetched(obs, bucket, home):
    tree(home, {"a.txt": b"new", "back/a.txt": b"old"})
    obs.upload_file(home / "a.txt", bucket)
    obs.download_file(bucket + "a.txt", home / "back")
    assert (home / "back" / "a.txt").read_bytes() == b"new"


# A path without a final slash -------------------------------------------------------------


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("x/model.bin", "x/model.bin"),
        ("x/renamed.bin", "x/renamed.bin"),
        ("x/renamed.BIN", "x/renamed.BIN"),
        ("x", "x/model.bin"),
        ("v1.0", "v1.0/model.bin"),
        ("x/model.bin/", "x/model.bin/model.bin"),
        ("", "model.bin"),
        ("there", "there"),
    ],
)
def test_a_target_is_the_object_if_it_is_named_so_or_is_there(obs, bucket, home, target, lands):
    tree(home, {"model.bin": b"m", "there": b"t"})
    obs.upload_file(home / "there", bucket)
    assert obs.upload_file(home / "model.bin", bucket + target).target == bucket + lands
    assert obs.is_obs_path_exists(bucket + lands)


def test_a_bucket_needs_no_slash(obs, place, home):
    tree(home, {"a.txt": b""})
    obs.upload_file(home / "a.txt", "obs://" + place.bucket)
    assert obs.is_obs_path_exists("obs://%s/a.txt" % place.bucket)


@pytest.mark.parametrize(
    ("target", "lands"),
    [
        ("other.txt", "other.txt"),
        ("a.txt", "a.txt"),
        ("new", "new/a.txt"),
        ("new/", "new/a.txt"),
        ("there", "there/a.txt"),
        ("old.txt", "old.txt"),
    ],
)
def test_a_file_here_is_the_target_if_it_is_named_so(obs, bucket, home, target, lands):
    obs.upload_file(tree(home, {"a.txt": b"1", "old.txt": b"0"}) / "a.txt", bucket)
    (home / "there").mkdir()
    done = obs.download_file(bucket + "a.txt", str(home) + "/" + target)
    assert done.target == str(home / lands)
    assert (home / lands).read_bytes() == b"1"


def test_file_in_place_of_folder_is_refused(obs, bucket, home):
    """A file where a folder is meant is refused and left alone."""
    obs.upload_dir(tree(home / "d", {"a.txt": b"1"}), bucket)
    tree(home, {"file": b"precious"})
    with pytest.raises(InvalidArgument, match="dst_local_dir must be a folder"):
        obs.download_file(bucket + "d/a.txt", home / "file")
    with pytest.raises(InvalidArgument, match="dst_local_dir must be a folder"):
        obs.download_dir(bucket + "d/", home / "file")
    assert (home / "file").read_bytes() == b"precious"


# One taken for the other ------------------------------------------------------------------


def test_folder_and_file_are_not_confused(obs, bucket, home):
    """A folder is not taken for a file nor a file for a folder."""
    tree(home, {"d/a.txt": b"1"})
    with pytest.raises(InvalidArgument, match="upload_dir"):
        obs.upload_file(home / "d", bucket)
    with pytest.raises(InvalidArgument, match="upload_file"):
        obs.upload_dir(home / "d" / "a.txt", bucket)
    obs.upload_dir(home / "d", bucket)
    with pytest.raises(InvalidArgument, match="download_dir"):
        obs.download_file(bucket + "d/", home)
    with pytest.raises(NotFound, match="download_dir") as caught:
        obs.download_file(bucket + "d", home / "x")
    assert (caught.value.error_code, caught.value.status_code) == ("NoSuchKey", 404)
    with pytest.raises(NotFound, match="download_file"):
        obs.download_dir(bucket + "d/a.txt/", home / "x")
    assert not (home / "x").exists()


def test_what_is_not_there_is_said_to_be_missing(obs, bucket, home):
    for call in (obs.download_file, obs.download_dir):
        with pytest.raises(NotFound, match="there is no such"):
            call(bucket + "nothing", home)
    with pytest.raises(InvalidArgument, match="no such file"):
        obs.upload_file(home / "nothing", bucket)
    with pytest.raises(InvalidArgument, match="no such file"):
        obs.upload_dir(home / "nothing", bucket)
    assert urls(obs, bucket) == []


# What is no file --------------------------------------------------------------------------


def test_links_sockets_and_fifos_are_skipped_with_one_warning(obs, bucket, home, monkeypatch):
    source = tree(home / "mixed", {"a.txt": b"1", "sub/b.txt": b"2"})
    tree(home, {"outside.txt": b"secret"})
    (source / "link").symlink_to(home / "outside.txt")
    (source / "loop").symlink_to(source)
    os.mkfifo(source / "fifo")
    # Addresses have 107 bytes at the most, and paths of temporary folders may have more.
    monkeypatch.chdir(source / "sub")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind("socket")
        with pytest.warns(UserWarning, match="links, sockets") as caught:
            sent = obs.upload_dir(source, bucket)
    assert len(caught) == 1
    assert caught[0].filename == __file__
    assert sorted(sent.skipped) == [
        str(source / name) for name in ("fifo", "link", "loop", "sub/socket")
    ]
    assert urls(obs, bucket) == [bucket + "mixed/a.txt", bucket + "mixed/sub/b.txt"]


@pytest.mark.parametrize("call", ["upload_dir", "sync_dir"])
def test_what_is_skipped_is_told_though_a_file_failed(obs, bucket, home, call):
    source = tree(
        home / "mixed", {"a.txt": b"1", "/".join(["d" * 100] * 10) + "/" + "f" * 200: b""}
    )
    (source / "link").symlink_to(home)
    with pytest.warns(UserWarning, match="mixed/link"), pytest.raises(IncompleteTransfer):
        getattr(obs, call)(source, bucket)


def test_a_link_that_was_named_is_followed(obs, bucket, home):
    tree(home, {"a.txt": b"1", "d/b.txt": b"2"})
    (home / "link.txt").symlink_to(home / "a.txt")
    (home / "folder").symlink_to(home / "d")
    obs.upload_file(home / "link.txt", bucket)
    obs.upload_dir(home / "folder", bucket)
    assert urls(obs, bucket) == [bucket + "folder/b.txt", bucket + "link.txt"]


def test_a_fifo_that_was_named_is_refused_at_once(obs, bucket, home):
    os.mkfifo(home / "fifo")
    with pytest.raises(InvalidArgument, match="regular file"):
        obs.upload_file(home / "fifo", bucket)


def test_no_file_takes_the_place_of_a_fifo_or_a_device(place, obs, bucket, home):
    obs.upload_file(tree(home, {"a.txt": b"1"}) / "a.txt", bucket)
    for path in (home / "there" / "a.txt", home / "other"):
        path.parent.mkdir(exist_ok=True)
        os.mkfifo(path)
    for target in (home / "there", home / "there" / "a.txt"):
        with pytest.raises(InvalidArgument, match="regular file"):
            obs.download_file(bucket + "a.txt", target)
    with pytest.raises(InvalidArgument, match="path must be a regular file"):
        place.session.download_data(bucket + "a.txt", home / "other")
    assert (home / "there" / "a.txt").is_fifo()
    assert (home / "other").is_fifo()


# Partial success --------------------------------------------------------------------------


def test_second_call_sends_only_missing_files(obs, bucket, home):
    source = tree(home / "runs", {"%d.txt" % n: b"%d" % n for n in range(20)})
    too_long = "ü" * 120 + ".txt"
    deep = source / "/".join(["d" * 100] * 10)
    tree(deep, {too_long: b"long"})
    with pytest.raises(IncompleteTransfer) as caught:
        obs.upload_dir(source, bucket)
    assert [name for name, _ in caught.value.failed] == [str(deep / too_long)]
    assert sorted(caught.value.done) == sorted(str(source / ("%d.txt" % n)) for n in range(20))
    assert caught.value.is_success is False
    (deep / too_long).rename(source / "short.txt")
    again = obs.upload_dir(source, bucket)
    assert (again.files, again.unchanged) == (1, 20)
    assert obs.upload_dir(source, bucket).files == 21


def test_second_call_fetches_only_missing_files(obs, bucket, home):
    source = tree(home / "runs", {"%d.txt" % n: b"%d" % n for n in range(20)})
    obs.upload_dir(source, bucket)
    (home / "back" / "runs" / "7.txt").mkdir(parents=True)
    with pytest.raises(IncompleteTransfer) as caught:
        obs.download_dir(bucket + "runs/", home / "back")
    assert [name for name, _ in caught.value.failed] == [bucket + "runs/7.txt"]
    (home / "back" / "runs" / "7.txt").rmdir()
    again = obs.download_dir(bucket + "runs/", home / "back")
    assert (again.files, again.unchanged) == (1, 19)
    assert contents(home / "back" / "runs") == contents(source)


def test_changed_file_is_sent_again_after_failure(obs, bucket, home):
    """A file that was changed meanwhile is sent again after a failure."""
    source = tree(home / "runs", {"a.txt": b"old", "b.txt": b"b"})

    def stop(seen):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obs.upload_dir(source, bucket, threads=1, progress=stop)
    (source / "a.txt").write_bytes(b"new")
    obs.upload_dir(source, bucket)
    obs.download_dir(bucket + "runs/", home / "back")
    assert contents(home / "back" / "runs") == {"a.txt": b"new", "b.txt": b"b"}


def test_nothing_half_done_is_left_by_ctrl_c(obs, bucket, home):
    obs.upload_file(tree(home, {"big": b"x" * 3_000_000}) / "big", bucket)

    def stop(seen):
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        obs.download_file(bucket + "big", home / "back", progress=stop)
    assert contents(home / "back") in ({}, {"big": b"x" * 3_000_000})


FULL = """
import json, resource, sys
from modelarts.session import Session
obs = Session(**json.loads(sys.argv[1])).obs
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, resource.RLIM_INFINITY))
try:
    getattr(obs, sys.argv[2])(*sys.argv[3:])
except OSError as error:
    print(type(error).__name__, error)
"""


def test_a_disk_that_is_full_is_named_and_nothing_is_left_on_it(place, obs, bucket, home):
    """As it is where no file may be longer."""
    tree(home, {"big": b"x" * 3_000_000, "back/big": b"old"})
    obs.upload_file(home / "big", bucket)
    session = place.session
    told = {name: getattr(session, name) for name in SETTINGS}
    done = subprocess.run(
        [
            *(sys.executable, "-c", FULL, json.dumps(told)),
            *("download_file", bucket + "big", str(home / "back")),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert done.stdout == "OSError [Errno 27] File too large: %r\n" % str(home / "back" / "big")
    assert contents(home / "back") == {"big": b"old"}


# What is there ----------------------------------------------------------------------------


def test_objects_folders_and_buckets_exist_or_not(obs, place, bucket, home):
    obs.upload_dir(tree(home / "logs", {"run 1/a.txt": b"1"}), bucket)
    there = ("", "logs", "logs/", "logs/run 1", "logs/run 1/", "logs/run 1/a.txt")
    assert [obs.is_obs_path_exists(bucket + name) for name in there] == [True] * 6
    missing = ("log", "log/", "logs/run", "logs/run 1/a.txt/", "logs/run 1/a")
    assert [obs.is_obs_path_exists(bucket + name) for name in missing] == [False] * 5
    for name in ("", "a.txt", "logs/"):
        assert obs.is_obs_path_exists("obs://no-such-bucket-here/" + name) is False
    assert obs.is_obs_path_exists("/%s/logs/" % place.bucket) is True


def test_a_list_tells_url_size_and_time_and_is_lazy(obs, bucket, home):
    obs.upload_dir(
        tree(home / "d", {"b": b"22", "a-b": b"1", "a/c": b"", "a.txt": b"4444"}), bucket
    )
    listed = obs.list(bucket + "d/")
    assert iter(listed) is listed
    found = list(listed)
    # As OBS orders them: "-" and "." come before "/".
    assert [each.url for each in found] == [
        bucket + "d/" + name for name in ("a-b", "a.txt", "a/c", "b")
    ]
    assert [each.size for each in found] == [1, 4, 0, 2]
    age = datetime.now(timezone.utc) - found[0].modified
    assert abs(age.total_seconds()) < 300
    assert urls(obs, bucket + "d/a.txt") == [bucket + "d/a.txt"]
    assert urls(obs, bucket + "d") == urls(obs, bucket + "d/")
    assert urls(obs, bucket + "nothing") == []


def test_more_objects_than_fit_a_page_are_listed_and_deleted(obs, bucket, home):
    obs.calls.store.page = 10
    source = tree(home / "many", {"%04d" % n: b"" for n in range(25)})
    obs.upload_dir(source, bucket)
    assert urls(obs, bucket) == [bucket + "many/%04d" % n for n in range(25)]
    assert obs.delete(bucket + "many/", recursive=True) == 25
    assert urls(obs, bucket) == []


def test_more_than_a_thousand_objects_are_listed_and_deleted(objects_service):
    """A page of OBS has a thousand."""
    folder = objects_service.root / "obs" / ("b-" + os.urandom(6).hex()) / "many"
    folder.mkdir(parents=True)
    for number in range(1005):
        (folder / ("%04d" % number)).touch()
    url = "obs://%s/many/" % folder.parent.name
    endpoint = objects_service.connection["obs_http_endpoint"]
    with objects_service.session(obs_endpoint=endpoint) as session:
        assert urls(session.obs, url) == [url + "%04d" % number for number in range(1005)]
        assert session.obs.delete(url, recursive=True) == 1005
        assert urls(session.obs, url) == []


def test_delete_needs_recursive_and_empty_bucket(obs, bucket, home):
    """A folder is deleted only with recursive and a bucket only if said."""
    obs.upload_dir(tree(home / "d", {"a": b"1", "sub/b": b"2"}), bucket)
    obs.upload_file(tree(home, {"d2": b"neighbour"}) / "d2", bucket)
    with pytest.raises(InvalidArgument, match="recursive=True"):
        obs.delete(bucket + "d/")
    with pytest.raises(NotFound, match="recursive=True"):
        obs.delete(bucket + "d")
    with pytest.raises(InvalidArgument, match="recursive=True"):
        obs.delete(bucket)
    with pytest.raises(InvalidArgument, match="empty_bucket=True"):
        obs.delete(bucket, recursive=True)
    assert len(urls(obs, bucket)) == 3
    assert obs.delete(bucket + "d/a") == 1
    assert obs.delete(bucket + "d", recursive=True) == 1
    assert urls(obs, bucket) == [bucket + "d2"]
    for missing in ("d", "d/"):
        with pytest.raises(NotFound):
            obs.delete(bucket + missing, recursive=True)
    assert obs.delete(bucket, recursive=True, empty_bucket=True) == 1
    assert obs.is_obs_path_exists(bucket)


# Options ----------------------------------------------------------------------------------


def test_a_callback_is_told_how_far_it_is(obs, bucket, home):
    source = tree(home / "runs", {"%d.txt" % n: b"x" * 1000 for n in range(10)})
    seen = []
    obs.upload_dir(source, bucket, progress=seen.append)
    assert (seen[-1].files, seen[-1].total_files) == (10, 10)
    assert (seen[-1].bytes, seen[-1].total_bytes) == (10_000, 10_000)
    assert [one.bytes for one in seen] == sorted(one.bytes for one in seen)
    seen.clear()
    obs.download_dir(bucket + "runs/", home / "back", progress=seen.append)
    assert (seen[-1].files, seen[-1].bytes) == (10, 10_000)
    assert seen[-1].name.startswith(bucket)


def test_what_turns_out_to_be_there_is_not_waited_for(obs, bucket, home):
    source = tree(home / "runs", {"%d.txt" % n: b"x" * 1000 for n in range(3)})
    obs.upload_dir(source, bucket)
    tree(source, {"new.txt": b"x" * 500})
    seen = []
    obs.sync_dir(source, bucket, progress=seen.append)
    assert seen[-1].files == seen[-1].total_files > 0
    assert (seen[-1].bytes, seen[-1].total_bytes) == (500, 500)


def test_an_error_of_the_callback_ends_the_transfer_with_it(obs, bucket, home):
    source = tree(home / "runs", {"%d.txt" % n: b"x" for n in range(10)})

    def enough(seen):
        raise RuntimeError("enough")

    with pytest.raises(RuntimeError, match="enough"):
        obs.upload_dir(source, bucket, threads=1, progress=enough)
    assert len(urls(obs, bucket)) < 10


def test_nothing_is_shown_where_nobody_looks(obs, bucket, home, capfd):
    obs.upload_dir(tree(home / "runs", {"a.txt": b"x"}), bucket)
    assert capfd.readouterr() == ("", "")


def test_a_bar_shows_bytes_files_and_rate(obs, bucket, home, capfd):
    source = tree(home / "runs", {"%d.txt" % n: b"x" * 100_000 for n in range(5)})
    obs.upload_dir(source, bucket, progress=True)
    shown = capfd.readouterr().err
    assert "upload runs" in shown
    assert "500k/500k" in shown
    assert "5/5 files" in shown
    assert "B/s" in shown


@pytest.mark.parametrize(
    ("option", "value"),
    [("threads", 0), ("threads", 257), ("threads", "8"), ("threads", True), ("progress", "yes")],
)
def test_a_wrong_option_is_told_before_anything_is_sent(obs, bucket, home, option, value):
    source = tree(home / "runs", {"a.txt": b"x"})
    for call in (obs.upload_dir, obs.sync_dir, obs.watch):
        with pytest.raises(InvalidArgument, match=option):
            call(source, bucket, **{option: value})
    assert urls(obs, bucket) == []


def test_threads_share_a_session(obs, bucket, home):
    sources = [tree(home / ("t%d" % n), {"a": b"%d" % n}) for n in range(8)]
    threads = [threading.Thread(target=obs.upload_dir, args=(s, bucket)) for s in sources]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert urls(obs, bucket) == [bucket + "t%d/a" % n for n in range(8)]


def test_a_result_reads_as_a_sentence(obs, bucket, home):
    source = tree(home / "runs", {"a.txt": b"x" * 1500, "b.txt": b""})
    (source / "link").symlink_to(source / "a.txt")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shown = repr(obs.sync_dir(source, bucket))
    assert shown.startswith("Transferred(%sruns/: 2 files, 1.5 kB in " % bucket)
    assert shown.endswith("; 1 skipped)")


def test_a_session_that_was_closed_opens_again(place, obs, bucket, home):
    obs.upload_file(tree(home, {"a.txt": b""}) / "a.txt", bucket)
    place.session.close()
    assert urls(obs, bucket) == [bucket + "a.txt"]


def test_a_forked_process_uses_the_session_too(obs, bucket, home):
    obs.upload_file(tree(home, {"a.txt": b"", "b.txt": b""}) / "a.txt", bucket)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            obs.upload_file(home / "b.txt", bucket)
            code = 0
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert urls(obs, bucket) == [bucket + "a.txt", bucket + "b.txt"]


def test_what_is_fetched_has_the_users_own_mode(obs, bucket, home):
    obs.upload_file(tree(home, {"a.txt": b"1"}) / "a.txt", bucket)
    before = os.umask(0o027)
    try:
        obs.download_file(bucket + "a.txt", home / "back")
    finally:
        os.umask(before)
    assert stat.S_IMODE((home / "back" / "a.txt").stat().st_mode) == 0o640
