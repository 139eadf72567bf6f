"""Many files at once: what fails is named, what is done stays, and nothing runs on."""

import pickle
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from modelarts.errors import IncompleteTransfer, InvalidArgument, PermissionDenied
from modelarts.obs.executor import Helper, Task, Watcher, run
from tests.servers.obs_server import ObsServer, Refusal
from tests.support.transfers import AK, SK, make_store

pytestmark = pytest.mark.obs


class Recorder(Watcher):
    """Remembers what it is told, and whether two threads tell it something at the same time."""

    def __init__(self):
        self.told = []
        self.bytes = 0
        self.inside = 0

    def began(self, task):
        self.told.append(("began", task.name))

    def moved(self, task, count):
        self.inside += 1
        assert self.inside == 1
        self.bytes += count
        self.inside -= 1

    def ended(self, task, error):
        self.told.append(("ended", task.name, error))


def tasks_of(count, run):
    return (
        Task(str(number), lambda progress, n=number: run(n, progress)) for number in range(count)
    )


@pytest.mark.parametrize("threads", [1, 2, 32])
def test_all_are_moved_and_named_in_their_order(threads):
    recorder = Recorder()
    done = run(tasks_of(500, lambda number, progress: progress(number)), threads, recorder)
    assert done == [str(number) for number in range(500)]
    assert recorder.bytes == sum(range(500))
    assert len(recorder.told) == 1000


@pytest.mark.parametrize("given", [0, 1, 3])
def test_as_many_threads_as_the_system_gives_will_do(given, monkeypatch):
    left, start = iter(range(given)), threading.Thread.start

    def start_while_some_are_left(thread):
        if next(left, None) is None:
            raise RuntimeError("can't start new thread")
        start(thread)

    monkeypatch.setattr(threading.Thread, "start", start_while_some_are_left)
    moved = []
    done = run(tasks_of(100, lambda number, progress: moved.append(number)), 8)
    assert done == [str(number) for number in range(100)]
    assert sorted(moved) == list(range(100))


def test_nothing_to_do_is_nothing_done():
    assert run([]) == []


@pytest.mark.parametrize("threads", [1, 8])
def test_those_that_fail_are_named_and_the_others_are_done(threads):
    recorder, moved = Recorder(), []

    def move(number, progress):
        if number % 100 == 7:
            raise PermissionDenied("no", status_code=403, error_code="AccessDenied")
        moved.append(number)

    with pytest.raises(
        IncompleteTransfer, match="5 of 500 files are missing; call again"
    ) as caught:
        run(tasks_of(500, move), threads, recorder)
    error = pickle.loads(pickle.dumps(caught.value))
    assert [name for name, _ in error.failed] == ["7", "107", "207", "307", "407"]
    assert len(error.done) == len(moved) == 495
    assert error.as_dict() == {
        "is_success": False,
        "error_code": "AccessDenied",
        "error_msg": "no",
        "error_message": "no",
    }
    assert "and 2 more" in str(error)
    assert len([entry for entry in recorder.told if entry[0] == "ended" and entry[2]]) == 5


def test_files_are_taken_when_there_is_a_thread_for_them():
    """However many there are, no more are held than are moved."""
    most, taken, moved = [0], [0], [0]

    def tasks():
        for number in range(20_000):
            taken[0] += 1
            most[0] = max(most[0], taken[0] - moved[0])
            yield Task(str(number), move)

    lock = threading.Lock()

    def move(progress):
        with lock:
            moved[0] += 1

    run(tasks(), 8)
    assert moved[0] == 20_000
    assert most[0] <= 20


@pytest.mark.parametrize("where", ["tasks", "watcher"])
@pytest.mark.parametrize("threads", [1, 8])
def test_an_error_where_files_come_from_ends_it_all(where, threads):
    class Failing(Watcher):
        def began(self, task):
            if where == "watcher" and task.name == "50":
                raise KeyError("broken")

    def tasks():
        yield from tasks_of(50, lambda number, progress: None)
        if where == "tasks":
            raise KeyError("broken")
        yield from tasks_of(51, lambda number, progress: None)
        yield from tasks_of(10**9, lambda number, progress: None)

    before = set(threading.enumerate())
    with pytest.raises(KeyError, match="broken"):
        run(tasks(), threads, Failing())
    # Their work is over; to be gone they need a moment more.
    started = set(threading.enumerate()) - before
    for thread in started:
        thread.join(timeout=30)
    assert not any(thread.is_alive() for thread in started)


def test_calling_again_brings_the_rest(tmp_path):
    server = ObsServer({AK: (SK, None)})
    try:
        store, paths = make_store(server), []
        for number in range(50):
            paths.append(tmp_path / ("%d" % number))
            paths[-1].write_bytes(b"%d" % number * 1000)

        def refuse(call):
            if call.key in ("3", "33"):
                raise Refusal(403, "AccessDenied")

        def upload(wanted):
            def move(path):
                return lambda progress: store.upload(str(path), "b", path.name, progress)

            return run(Task(path.name, move(path)) for path in wanted)

        server.before = refuse
        with pytest.raises(IncompleteTransfer) as caught:
            upload(paths)
        assert [name for name, _ in caught.value.failed] == ["3", "33"]
        server.before = lambda call: None
        upload([path for path in paths if path.name not in caught.value.done])
        assert {key: content for key, (content, _) in server.buckets["b"].items()} == {
            path.name: path.read_bytes() for path in paths
        }
    finally:
        server.close()


PROGRAM = """
import sys, threading
from modelarts.obs.executor import Task, run
from tests.servers.obs_server import ObsServer
from tests.support.transfers import AK, SK, make_store
server = ObsServer({AK: (SK, None)})
server.chunk = 1024
server.buckets["b"] = {"%03d" % n: (b"x" * 80_000, '"e"') for n in range(200)}
store, folder = make_store(server), sys.argv[1]
calls = []
def fetch(found):
    def move(progress):
        calls.append(found)
        if len(calls) == 20:
            print("go", flush=True)
        store.download(found, folder + "/" + found.key, progress)
    return move
def throttle(call, content):
    threading.Event().wait(0.001)
server.during = throttle
try:
    run((Task(found.key, fetch(found)) for found in store.list("b")), 8)
except KeyboardInterrupt:
    print("interrupted", threading.active_count(), flush=True)
server.close()
"""


def test_ctrl_c_ends_it_promptly_and_leaves_nothing_half_done(tmp_path):
    folder = tmp_path / "folder"
    folder.mkdir()
    process = subprocess.Popen(
        [sys.executable, "-c", PROGRAM, str(folder)],
        cwd=str(Path(__file__).parents[2]),
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "go\n"
    process.send_signal(signal.SIGINT)
    out, _ = process.communicate(timeout=30)
    assert out.startswith("interrupted")
    names = [path.name for path in folder.iterdir()]
    assert all(not name.startswith(".") for name in names)
    assert all((folder / name).stat().st_size == 80_000 for name in names)
    assert len(names) < 200


def test_a_wait_that_is_interrupted_can_be_taken_up_again():
    """It does not take the thread for ended, as ``Thread.join`` does on Python 3.8 to 3.12."""
    main, caught, interrupts = threading.main_thread().ident, threading.Semaphore(0), 0

    def work():
        for _ in range(3):
            signal.pthread_kill(main, signal.SIGINT)
            caught.acquire(timeout=10)
        over.set()

    def interrupt(number, frame):
        # Not where the wait is over already, as it must not be.
        if waits:
            raise KeyboardInterrupt

    helper, waits, over = Helper(work, "helper"), True, threading.Event()
    before = signal.signal(signal.SIGINT, interrupt)
    try:
        while waits:
            try:
                if interrupts:
                    caught.release()
                else:
                    helper.start()
                helper.wait()
                waits = False
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        for _ in range(3):
            caught.release()
        over.wait(10)
        signal.signal(signal.SIGINT, before)
    assert interrupts == 3


def test_errors_without_words_are_told_too():
    def fail(progress):
        raise TimeoutError

    with pytest.raises(IncompleteTransfer, match="TimeoutError") as caught:
        run([Task("a", fail)])
    assert caught.value.error_msg == "TimeoutError"
    assert caught.value.error_code is None


def test_a_bad_name_among_many_is_one_that_failed(tmp_path):
    server = ObsServer({AK: (SK, None)})
    try:
        store = make_store(server)
        path = tmp_path / "file"
        path.write_bytes(b"x")
        names = ["good", "k" * 1025, "better"]

        def move(name):
            return lambda progress: store.upload(str(path), "b", name, progress)

        with pytest.raises(IncompleteTransfer) as caught:
            run(Task(name, move(name)) for name in names)
        assert caught.value.done == ("good", "better")
        assert isinstance(caught.value.failed[0][1], InvalidArgument)
    finally:
        server.close()
