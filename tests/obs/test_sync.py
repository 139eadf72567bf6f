"""Folders that are kept in OBS as they are here, while they grow."""

import multiprocessing
import os
import shutil
import sys
import threading
import time
import warnings
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from modelarts.errors import ApiError, IncompleteTransfer, InvalidArgument
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.servers.obs_server import ObsServer, Refusal
from tests.support.boards import curve
from tests.support.clocks import FakeClock
from tests.support.places import FolderPlace, ObsPlace
from tests.support.transfers import AK, SK, settings
from tests.support.trees import contents, tree, urls

pytestmark = pytest.mark.local


class StepClock(FakeClock):
    """Does the next step of a story at each sleep; it is later than any file's time."""

    def __init__(self, *steps):
        super().__init__(time.time() + 3600)
        self.steps = list(steps)

    def sleep(self, seconds):
        super().sleep(seconds)
        if self.steps:
            self.steps.pop(0)()


@pytest.fixture(params=[FolderPlace, ObsPlace], ids=["folder", "obs"])
def place(request, tmp_path):
    place = request.param(request, tmp_path)
    place.session.clock = StepClock()
    yield place
    place.close()


@pytest.fixture
def runs(tmp_path):
    return tree(tmp_path / "runs", {"a": b"1", "sub/b": b"22", "sub/c": b"333"})


# Who may send and nothing else ------------------------------------------------------------


@pytest.fixture
def server():
    server = ObsServer({AK: (SK, None)})
    yield server
    server.close()


def test_who_may_not_list_can_call_again_to_go_on(server, runs):
    def refuse(call):
        if call.method != "PUT" or "sub/b" in call.key:
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    with Session(**settings(server)) as session:
        with pytest.raises(IncompleteTransfer, match="1 of 3 files"):
            session.obs.upload_dir(runs, "obs://b/")
        server.before = lambda call: call.method == "PUT" or refuse(call)
        assert session.obs.upload_dir(runs, "obs://b/").files == 3
    assert len(server.buckets["b"]) == 3


def test_who_may_list_and_not_look_can_follow_a_folder(server, runs):
    """A file that was just written is looked at once more, in case it has changed since."""

    def refuse(call):
        if call.method == "HEAD":
            raise Refusal(403, "AccessDenied")

    server.before = refuse
    clock = FakeClock(time.time())
    with Session(**settings(server, clock=clock)) as session:
        told = iter([False, False, True])
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            session.obs.sync_dir(runs, "obs://b/", watch=True, stop=lambda: next(told, True))
    assert len(server.buckets["b"]) == 3


# One pass ---------------------------------------------------------------------------------


def test_a_sync_leads_to_the_same_place_as_an_upload(obs, bucket, runs):
    assert obs.sync_dir(runs, bucket + "x/").target == obs.upload_dir(runs, bucket + "x/").target


def test_only_what_changed_is_sent(obs, bucket, runs):
    first = obs.sync_dir(runs, bucket)
    assert (first.files, first.unchanged) == (3, 0)
    again = obs.sync_dir(runs, bucket)
    assert (again.files, again.bytes, again.unchanged) == (0, 0, 3)
    (runs / "a").write_bytes(b"longer")
    (runs / "new").write_bytes(b"n")
    third = obs.sync_dir(runs, bucket)
    assert (third.files, third.bytes, third.unchanged) == (2, 7, 2)


def test_checksum_finds_change_of_same_size_and_time(obs, bucket, runs):
    """A change that keeps size and time is found by the checksum."""
    obs.sync_dir(runs, bucket)
    before = (runs / "sub" / "c").stat()
    (runs / "sub" / "c").write_bytes(b"abc")
    os.utime(runs / "sub" / "c", ns=(before.st_atime_ns, before.st_mtime_ns))
    assert obs.sync_dir(runs, bucket).files == 1


def test_what_somebody_else_changed_in_obs_is_put_right(obs, bucket, runs, tmp_path):
    obs.sync_dir(runs, bucket)
    obs.sync_dir(runs, bucket)
    obs.upload_file(tree(tmp_path, {"c": b"XYZ"}) / "c", bucket + "runs/sub/")
    obs.delete(bucket + "runs/a")
    assert obs.sync_dir(runs, bucket).files == 2
    obs.download_dir(bucket + "runs/", tmp_path / "back")
    assert contents(tmp_path / "back" / "runs") == contents(runs)


def test_what_was_compared_once_is_not_read_again(obs, bucket, runs):
    obs.sync_dir(runs, bucket)
    obs.sync_dir(runs, bucket)
    opened, looking = [], [True]
    # There is no way to take it away again.
    sys.addaudithook(lambda event, given: looking and event == "open" and opened.append(given[0]))
    assert obs.sync_dir(runs, bucket).unchanged == 3
    looking.clear()
    assert opened
    assert not {str(path) for path in runs.rglob("*")} & set(map(str, opened))


@pytest.mark.parametrize("way", ["calls", "watch"])
def test_compared_file_with_same_stat_is_checked(obs, bucket, runs, way):
    """A change that keeps size and time is found after it was compared."""
    path = runs / "sub" / "c"
    times = path.stat()

    def change(content):
        with open(path, "r+b") as file:
            file.write(content)
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    if way == "calls":
        obs.sync_dir(runs, bucket)
        assert obs.sync_dir(runs, bucket).unchanged == 3
        change(b"444")
        assert obs.sync_dir(runs, bucket).files == 1
    else:
        told = iter([False, False, True])

        def stop():
            change(b"444")
            return next(told, True)

        obs.sync_dir(runs, bucket, watch=True, stop=stop)
    obs.download_dir(bucket + "runs/", runs.parent / "back")
    assert (runs.parent / "back" / "runs" / "sub" / "c").read_bytes() == b"444"


def test_changed_mode_is_compared_not_sent(obs, bucket, runs):
    """A file that has another mode is compared and not sent again."""
    obs.sync_dir(runs, bucket)
    assert obs.sync_dir(runs, bucket).unchanged == 3
    (runs / "a").chmod(0o600)
    assert obs.sync_dir(runs, bucket).unchanged == 3


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"files": 5}', b'{"files": {"a": null}}'])
def test_lost_cache_costs_one_comparison(obs, bucket, runs, damage):
    """A lost or broken memory costs a comparison and nothing else."""
    obs.sync_dir(runs, bucket)
    obs.sync_dir(runs, bucket)
    (memory,) = Path(os.environ["HOME"], ".cache/modelarts/transfers").iterdir()
    assert memory.stat().st_mode & 0o077 == 0
    memory.write_bytes(damage)
    assert obs.sync_dir(runs, bucket).unchanged == 3


def test_without_a_place_to_remember_it_works(obs, bucket, runs, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", "/dev/null")
    obs.sync_dir(runs, bucket)
    assert obs.sync_dir(runs, bucket).unchanged == 3


def test_what_cannot_be_remembered_leaves_nothing_behind(obs, bucket, runs):
    obs.sync_dir(runs, bucket)
    obs.sync_dir(runs, bucket)
    (memory,) = Path(os.environ["HOME"], ".cache/modelarts/transfers").iterdir()
    memory.unlink()
    memory.mkdir()  # so that no file can take its place
    obs.sync_dir(runs, bucket)
    assert list(memory.parent.iterdir()) == [memory]


def test_nothing_is_deleted_in_obs(obs, bucket, runs):
    obs.sync_dir(runs, bucket)
    (runs / "a").unlink()
    obs.sync_dir(runs, bucket)
    assert obs.is_obs_path_exists(bucket + "runs/a")


# Following --------------------------------------------------------------------------------


def test_growing_file_is_followed_to_the_end(place, obs, bucket, runs, tmp_path):
    """A growing file is followed until told to stop and the rest is sent then."""
    stop = threading.Event()

    def grow(text):
        with open(runs / "a", "ab") as file:
            file.write(text)

    def last():
        grow(b"4")
        stop.set()

    pause = [lambda: None] * 60
    place.session.clock.steps = [lambda: grow(b"2"), *pause, lambda: grow(b"3"), *pause, last]
    done = obs.sync_dir(runs, bucket, watch=True, stop=stop)
    assert done.files == 3 + 3
    obs.download_file(bucket + "runs/a", tmp_path / "back")
    assert (tmp_path / "back" / "a").read_bytes() == b"1234"


def test_between_two_passes_there_is_the_interval(place, obs, bucket, runs):
    clock = place.session.clock
    began = clock.now
    seen = []

    def is_over():
        seen.append(round(clock.now - began, 3))
        return clock.now - began >= 60

    obs.sync_dir(runs, bucket, watch=True, stop=is_over, interval=20)
    assert clock.now - began <= 61
    assert max(clock.sleeps) <= 0.2


def test_ctrl_c_ends_it_after_one_more_pass(place, obs, bucket, runs):
    def interrupt():
        (runs / "last").write_bytes(b"words")
        raise KeyboardInterrupt

    place.session.clock.steps = [interrupt]
    done = obs.sync_dir(runs, bucket, watch=True)
    assert done.files == 4
    assert obs.is_obs_path_exists(bucket + "runs/last")


def test_unsendable_file_is_retried_then_raised(place, obs, bucket, runs):
    """A file that cannot be sent is tried again and in the end raised."""
    bad = runs / ("ü" * 100) / ("d" * 200) / ("d" * 200) / ("d" * 200) / ("d" * 200)
    tree(bad, {"deep" * 10: b"x"})
    stop = threading.Event()
    place.session.clock.steps = [stop.set]
    with pytest.warns(UserWarning, match="tries again"), pytest.raises(IncompleteTransfer):
        obs.sync_dir(runs, bucket, watch=True, stop=stop)
    assert len(urls(obs, bucket)) == 3


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("interval", 0.5),
        ("interval", "10"),
        ("interval", float("nan")),
        pytest.param("interval", 10**400, id="interval-huge"),
        ("stop", 5),
    ],
)
def test_a_wrong_argument_of_watching_is_told_at_once(obs, bucket, runs, argument, value):
    for watch in (True, False):
        with pytest.raises(InvalidArgument, match=argument):
            obs.sync_dir(runs, bucket, watch=watch, **{argument: value})
    assert urls(obs, bucket) == []


def test_background_watch_sends_the_end(obs, bucket, tmp_path):
    runs = tmp_path / "runs"
    with obs.watch(runs, bucket) as watch:
        tree(runs, {"written/later": b"1"})
        with open(runs / "written" / "later", "ab") as file:
            file.write(b"2")
    assert watch.result.target == bucket + "runs/"
    assert watch.errors == []
    obs.download_dir(bucket + "runs/", tmp_path / "back")
    assert contents(tmp_path / "back" / "runs") == {"written/later": b"12"}


def test_failing_block_is_sent_and_reraised(obs, bucket, runs):
    """A failing block is sent too and its error is the one raised."""

    def train():
        (runs / "crash.log").write_bytes(b"nan")
        raise RuntimeError("diverged")

    with pytest.raises(RuntimeError, match="diverged"), obs.watch(runs, bucket):
        train()
    assert obs.is_obs_path_exists(bucket + "runs/crash.log")


def test_warning_as_error_stops_no_transfer(obs, bucket, runs):
    """It ends the following, so the end of the block is all the more to send what is left."""
    (runs / "link").symlink_to(runs / "a")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        watch = obs.watch(runs, bucket).start()
        for thread in threading.enumerate():
            if thread.name == "modelarts-watch":
                thread.join(60)
        (runs / "later").write_bytes(b"1")
        with pytest.raises(UserWarning, match="runs/link"):
            watch.stop()
    assert obs.is_obs_path_exists(bucket + "runs/later")


def test_what_the_last_pass_cannot_send_is_raised(obs, bucket, runs):
    long = runs / ("ü" * 100) / ("d" * 200) / ("d" * 200) / ("d" * 200) / ("d" * 200)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of passes in between, if there were any
        with pytest.raises(IncompleteTransfer), obs.watch(runs, bucket):
            tree(long, {"deep" * 10: b"x"})


def test_a_folder_that_never_came_draws_a_warning(obs, bucket, tmp_path):
    with pytest.warns(UserWarning, match="no folder"), obs.watch(tmp_path / "rnus", bucket):
        pass


def test_following_what_never_came_draws_that_warning_too(obs, bucket, tmp_path):
    with pytest.warns(UserWarning, match="no folder") as caught:
        obs.sync_dir(tmp_path / "rnus", bucket, watch=True, stop=lambda: True)
    assert [each.filename for each in caught] == [__file__]


def test_a_folder_that_went_when_it_was_sent_draws_none(obs, bucket, runs, recwarn):
    watch = obs.watch(runs, bucket).start()
    watch.stop()
    shutil.rmtree(runs)
    assert (watch.stop().files, len(recwarn)) == (3, 0)


def test_a_process_forked_off_in_the_block_may_leave_it(obs, bucket, runs):
    with obs.watch(runs, bucket) as watch:
        fork = multiprocessing.get_context("fork").Process
        child = fork(target=_leave, args=(watch,), daemon=True)
        child.start()
        child.join(60)
        assert child.exitcode == 0
        (runs / "later").write_bytes(b"1")
    assert obs.is_obs_path_exists(bucket + "runs/later")


def _leave(watch):
    watch.__exit__(None, None, None)
    with pytest.raises(RuntimeError, match="another process"):
        watch.stop()


def test_a_bucket_that_is_missing_ends_the_watching_at_once(request, tmp_path, runs):
    place = ObsPlace(request, tmp_path)
    try:
        with pytest.raises(ApiError) as caught:
            place.session.obs.sync_dir(runs, "obs://no-such-bucket-here/", watch=True)
        assert caught.value.error_code == "NoSuchBucket"
    finally:
        place.close()


# To the board -----------------------------------------------------------------------------


def test_scalars_of_a_growing_event_file_come_to_the_board(service, tmp_path):
    """Training writes here, the watch brings it there, the real TensorBoard shows it."""
    with SummaryWriter(str(tmp_path / "written")) as writer:
        for step in range(1, 9):
            writer.add_scalar("loss", 1.0 / step, step)
    (written,) = (tmp_path / "written").iterdir()
    content = written.read_bytes()
    growing = tmp_path / "runs" / "run" / written.name
    growing.parent.mkdir(parents=True)
    target = "obs://watched-%s/" % os.urandom(4).hex()
    with Session.local(service.root) as session:
        job = VisualizationJob.create(target + "runs/", session=session, check=False).wait()
        with session.obs.watch(tmp_path / "runs", target, interval=1), open(growing, "ab") as file:
            # The first part ends in the middle of a record.
            middle = len(content) * 2 // 3
            for part, least in ((content[:middle], 2), (content[middle:], 8)):
                file.write(part)
                file.flush()
                curve(job, least, "run")
        assert [step for step, _ in curve(job, 8, "run")] == list(range(1, 9))
        job.delete()
