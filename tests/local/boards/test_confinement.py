"""A board reads the logs of its job and nothing else: by the kernel, and by its own code."""

import json
import os
import shutil
import socket
import subprocess
import sys
import textwrap
from contextlib import ExitStack

import attr
import pytest
from tensorboardX import SummaryWriter

from modelarts.errors import BadRequest, ConfigurationError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.boards import confinement as confinement_module
from modelarts.local.boards import landlock
from modelarts.local.boards.confinement import Confinement, Confiner
from modelarts.local.identity.users_file import Accounts, edit, prepare
from modelarts.local.server import main
from modelarts.local.server.network import Network
from modelarts.local.server.settings import Settings
from tests.local.boards.hostile import MARK, make_targets, secrets_of
from tests.local.web import client
from tests.servers.service import Service
from tests.support.clocks import wait_until
from tests.support.races import exchanged

pytestmark = pytest.mark.local

#: The routes of TensorBoard's plugins; a new one has to be looked at, then added here.
ROUTES = {
    "audio": {"/audio", "/individualAudio", "/tags"},
    "core": {
        *("/___rPc_sWiTcH___", "/audio", "/events", "/favicon.ico", "/graphs", "/histograms"),
        *("/images", "/data/environment", "/data/experiment_runs", "/data/experiments"),
        *("/data/logdir", "/data/notifications", "/data/runs", "/data/window_properties"),
    },
    "custom_scalars": {"/download_data", "/layout", "/scalars"},
    "debugger-v2": {
        *("/alerts", "/execution/data", "/execution/digests", "/graph_execution/data"),
        *("/graph_execution/digests", "/graphs/graph_info", "/graphs/op_info", "/runs"),
        *("/source_files/file", "/source_files/list", "/stack_frames/stack_frames"),
    },
    "distributions": {"/distributions", "/tags"},
    "graphs": {"/graph", "/info", "/run_metadata"},
    "histograms": {"/histograms", "/tags"},
    "hparams": {"/download_data", "/experiment", "/metric_evals", "/session_groups"},
    "images": {"/images", "/individualImage", "/tags"},
    "mesh": {"/data", "/meshes", "/tags"},
    "pr_curves": {"/pr_curves", "/tags"},
    "projector": {
        *("/bookmarks", "/info", "/metadata", "/runs", "/sprite_image", "/tensor"),
        *("/index.js", "/projector_binary.html", "/projector_binary.js"),
    },
    "scalars": {"/scalars", "/scalars_multirun", "/tags"},
    "text": {"/tags", "/text"},
    "timeseries": {"/imageData", "/tags", "/timeSeries"},
}
#: The routes of other plugins than core that read neither a run nor a tag nor a name.
WITHOUT_RUN = {
    *("/index.js", "/projector_binary.html", "/projector_binary.js"),
    *("/experiment", "/layout", "/runs", "/session_groups", "/tags"),
}
SHAPES = ("absolute", "relative", "link", "folder-link", "event-file")
CONFIG = "projector_config.pbtxt"


#: How a board is confined, and the numbers of the targets that its routes are asked for: some of
#: each kind, and fewer by the kernel, which does not know one file from another.
OF_MODES = {
    "by the kernel": (0, 3, 6, 9, 13),
    "by the kernel, with a data server": (0, 9, 11, 12, 14),
    "by code alone": (0, 4, 8, 10, 12, 14, 16),
}
EXTENTS = pytest.mark.parametrize(
    "extent", ["some", pytest.param("all", marks=pytest.mark.extended)]
)


MODES = [
    pytest.param("by the kernel", marks=pytest.mark.extended),
    *("by the kernel, with a data server", "by code alone"),
]


@pytest.fixture(scope="module", params=MODES)
def hostile(request, tmp_path_factory):
    """A service with secrets, a board over a hostile folder, and what must not be read."""
    by_kernel = request.param != "by code alone"
    if by_kernel and not landlock.abi():
        pytest.fail("this machine has no Landlock, so nothing was tested")
    root = tmp_path_factory.mktemp("confined") / "root"
    extra = [] if by_kernel else ["--unconfined-boards"]
    service = Service(root, *extra, environ={"TRAINER": MARK}, is_forked=False)
    logs = root / "obs" / "bucket" / "logs"
    targets = make_targets(service)
    _log(logs / "good", 0.5)
    (events,) = (logs / "good").iterdir()
    runs = [
        run for number, path in enumerate(targets) for run in _attack(logs, number, path, events)
    ]
    if request.param == "by the kernel":
        # The data server is chosen for so many runs, unless it would wait for a writer.
        os.mkfifo(logs / "good" / "events.out.tfevents.2")
    with service.session() as session:
        job = VisualizationJob.create("/bucket/logs/", session=session).wait()
        wait_until(lambda: set(_tags(job)) >= {"good", *runs})
        reader = "data server" if "data server" in request.param else "Python reader"
        assert job.refresh().raw["reader"] == "TensorBoard's %s" % reader
        yield service, job, runs, targets
    assert service.end() == 0


def _attack(logs, number, target, events):
    """Runs of every shape that lead to one target; returns their names."""
    for shape in SHAPES:
        run = logs / ("%s-%d" % (shape, number))
        run.mkdir(parents=True)
        shutil.copy(str(events), str(run))  # without one it is no run to TensorBoard
        path = target
        if shape == "relative":
            path = os.path.relpath(target, run)
        elif shape == "link":
            (run / "to").symlink_to(target)
            path = "to"
        elif shape == "folder-link":
            (run / "to").symlink_to(os.path.dirname(target))
            path = "to/" + os.path.basename(target)
        if shape == "event-file":
            (run / "events.out.tfevents.1").symlink_to(target)
        else:
            config = (
                'embeddings { tensor_name: "x:0" metadata_path: "%s" bookmarks_path: "%s" '
                'sprite { image_path: "%s" } } model_checkpoint_path: "%s"'
            )
            (run / CONFIG).write_text(config % ((path,) * 4))
        yield run.name


def _get(job, path, **query):
    url = "%sdata/plugin/%s" % (job.service_url, path)
    return client.get(url, query)


def _tags(job):
    """The tags of all runs; none where the board cannot tell them now."""
    answer = _get(job, "scalars/tags")
    return answer.json() if answer.status_code == 200 else {}


@pytest.fixture
def numbers(request, hostile, extent):
    """The numbers of the targets that the board is asked for."""
    mode = request.node.callspec.params["hostile"]
    return range(20) if extent == "all" else OF_MODES[mode]


@EXTENTS
def test_projector_returns_no_byte_from_outside(hostile, numbers):
    service, job, runs, targets = hostile
    secrets = secrets_of(service, targets)
    read, refused = 0, 0
    for run in [run for run in runs if int(run.rpartition("-")[2]) in numbers]:
        for route in ("metadata", "bookmarks", "sprite_image", "tensor", "info", "runs"):
            answer = _get(job, "projector/" + route, run=run, name="x:0", num_rows=10)
            assert [piece for piece in secrets if piece in answer.content] == [], (run, route)
            read += 1
            # 400 where TensorBoard itself, from 2.21 on, refuses a path outside of the run.
            refused += answer.status_code in (400, 403)
    assert read == len(SHAPES) * len(numbers) * 6
    # Each file that exists is refused in three ways of four, not just unknown: a folder is no file.
    assert refused >= 3 * 3 * len(numbers) / 2
    assert job.refresh().status == 8


def test_projector_configuration_leads_nowhere(hostile):
    """The projector of the board goes on, without the configurations that lead out."""
    service, _, _, targets = hostile
    secrets = secrets_of(service, targets)
    folder = service.root / "obs" / "bucket" / "configurations"
    tensors = 'embeddings { tensor_name: "x:0" tensor_path: "%s" }'
    for number in (0, 5, 9, 11, 12):
        for shape in ("link", "tensors"):
            _log(folder / ("%s-%d" % (shape, number)), 0.5)
        (folder / ("link-%d" % number) / CONFIG).symlink_to(targets[number])
        (folder / ("tensors-%d" % number) / CONFIG).write_text(tensors % targets[number])
    _log(folder / "own", 0.5)
    (folder / "own" / "own.tsv").write_text("1\t2\n3\t4\n")
    (folder / "own" / CONFIG).write_text(tensors % "own.tsv")
    names = {each.name for each in folder.iterdir()}
    with service.session() as session:
        job = VisualizationJob.create("/bucket/configurations/", session=session).wait()
        wait_until(lambda: set(_tags(job)) == names)
        shown = _get(job, "projector/runs")
        answers = [shown]
        for run in sorted(names - {"own"}):
            info, tensor = (
                _get(job, "projector/" + route, run=run, name="x:0") for route in ("info", "tensor")
            )
            assert tensor.status_code in (400, 403), run
            answers += [info, tensor]
        assert [p for p in secrets for answer in answers if p in answer.content] == []
        assert (shown.status_code, "own" in shown.json()) == (200, True)
        assert not any(run.startswith("link") for run in shown.json())
        assert _get(job, "projector/tensor", run="own", name="x:0").status_code == 200
        assert job.refresh().status == 8
        job.delete()


def test_board_log_names_each_refused_path_once(hostile):
    service, job, _, _ = hostile
    for _ in range(2):
        _get(job, "projector/metadata", run="link-0", name="x:0")
        _get(job, "scalars/tags")
    log = (service.root / "logs" / ("job-%s.log" % job.visualization_id)).read_text()
    logs = service.root / "obs" / "bucket" / "logs"
    link = str(logs / "event-file-0" / "events.out.tfevents.1")
    if job.raw["reader"] == "TensorBoard's data server":
        _log(logs / "later", 0.25)
        wait_until(lambda: "later" in _tags(job))  # the logs were read once more
        log = (service.root / "logs" / ("job-%s.log" % job.visualization_id)).read_text()
        lines = [line.partition(" ")[2] for line in log.splitlines() if line.startswith("[")]
        assert any(link in line and "PermissionDenied" in line for line in lines)  # by the kernel
        assert len(set(lines)) == len(lines)
    else:
        assert log.count("refused: %r" % link) == 1


@EXTENTS
def test_every_route_returns_no_byte_from_outside(hostile, numbers):
    service, job, _, targets = hostile
    secrets = secrets_of(service, targets)
    logs = service.root / "obs" / "bucket" / "logs"
    assert len(targets) == 20
    queries = [{"run": "good", "tag": "loss", "name": "x:0"}, {"run": "../../other"}]
    for number in numbers:
        # An event file that is a link, then the path itself in place of a run and of a tag.
        queries.append({"run": "event-file-%d" % number, "tag": "loss", "name": "x:0"})
        path = targets[number] if number % 2 else os.path.relpath(targets[number], str(logs))
        queries.append({"run": path, "tag": path, "name": "x:0"})
    clean = set()  # the same pages come many times
    for plugin, routes in ROUTES.items():
        for route in sorted(routes):
            is_page = plugin == "core"
            path = route if is_page else "/data/plugin/%s%s" % (plugin, route)
            for query in queries[:4] if is_page or route in WITHOUT_RUN else queries:
                url = job.service_url.rstrip("/") + path
                query = {"index": 0, "sample": 0, **query}
                answer = client.get(url, query, packed=is_page)
                if answer.content not in clean:
                    leaked = [piece for piece in secrets if piece in answer.content]
                    assert leaked == [], (path, query)
                    clean.add(answer.content)
    answer = _get(job, "scalars/scalars", run="good", tag="loss")
    assert answer.json()[0][2] == 0.5
    # The pages that look at all runs and plugins work in spite of the hostile ones.
    assert "good" in client.get(job.service_url + "data/runs").json()
    listing = client.get(job.service_url + "data/plugins_listing")
    assert listing.json()["scalars"]["enabled"] is True
    assert job.refresh().status == 8


def test_every_route_of_every_plugin_is_known():
    """A plugin or a route that TensorBoard adds is looked at before boards offer it."""
    from tensorboard import default, program
    from tensorboard.backend.event_processing import data_provider, plugin_event_multiplexer
    from tensorboard.plugins import base_plugin

    board = program.TensorBoard(default.get_plugins())
    board.configure(logdir="/nowhere", load_fast="false")
    multiplexer = plugin_event_multiplexer.EventMultiplexer()
    context = base_plugin.TBContext(
        data_provider=data_provider.MultiplexerDataProvider(multiplexer, "/nowhere"),
        flags=board.flags,
        logdir="/nowhere",
        multiplexer=multiplexer,
    )
    plugins = [loader.load(context) for loader in board.plugin_loaders]
    routes = {p.plugin_name: set(p.get_plugin_apps()) for p in plugins if p is not None}
    new = {
        name: sorted(found - ROUTES.get(name, set()))
        for name, found in routes.items()
        if found - ROUTES.get(name, set())
    }
    assert new == {}
    assert set(ROUTES) <= set(routes)


# The two halves, each by itself -----------------------------------------------------------------


def _run_confined(folder, program, guard=False, **changes):
    """Run a program in a process that is confined to a folder; returns what it prints, as JSON."""
    confinement = Confinement(str(folder), by_kernel=not guard)
    lines = """
        import json, os, socket, sys, io
        from modelarts.local.boards.confinement import Confinement, clear_environment
        confinement = Confinement(%r, by_kernel=%r)
        clear_environment()
        confinement.apply()
        if %r:
            confinement.guard(lambda path: None)

        def outcome(call, *arguments):
            try:
                call(*arguments)
            except OSError as error:
                return type(error).__name__
            return "done"
    """ % (confinement.folder, confinement.by_kernel, guard)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(lines) + textwrap.dedent(program)],
        env={**os.environ, "A_KEY": MARK, **changes},
        stdout=subprocess.PIPE,
        timeout=60,
        check=True,
    )
    return json.loads(done.stdout)


READS = """
    paths = %r
    calls = [open, io.open, lambda p: os.open(p, os.O_RDONLY), lambda p: open(p, "a")]
    print(json.dumps([[outcome(call, path) for call in calls] for path in paths]))
"""


@pytest.mark.parametrize("guard", [False, True])
def test_files_outside_cannot_be_opened(tmp_path, guard):
    folder = tmp_path / "logs"
    folder.mkdir()
    (folder / "inside").write_text("1")
    (tmp_path / "outside").write_text("2")
    (folder / "link").symlink_to(tmp_path / "outside")
    paths = [folder / "link", tmp_path / "outside", folder / ".." / "outside", "/etc/passwd"]
    paths += ["/proc/self/environ", "/proc/%d/environ" % os.getpid(), "/proc/1/maps"]
    outcomes = _run_confined(folder, READS % [str(path) for path in paths], guard)
    assert outcomes == [["PermissionError"] * 4] * len(paths)
    (inside,) = _run_confined(folder, READS % [str(folder / "inside")], guard)
    assert inside[:3] == ["done"] * 3
    assert (tmp_path / "outside").read_text() == "2"


def test_kernel_refuses_to_write_in_the_logs(tmp_path):
    program = 'print(json.dumps(outcome(open, %r, "w")))' % str(tmp_path / "new")
    assert _run_confined(tmp_path, program) == "PermissionError"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("guard", [False, True])
def test_confined_process_cannot_connect(tmp_path, guard):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        program = "print(json.dumps(outcome(socket.socket().connect, %r)))"
        outcome = _run_confined(tmp_path, program % (listening.getsockname(),), guard)
    assert outcome == "PermissionError"


def test_confined_process_has_no_environment(tmp_path):
    program = 'print(json.dumps(sorted(set(os.environ) - {"LC_CTYPE"})))'
    names = set(_run_confined(tmp_path, program))
    assert names <= {"PATH", "LANG", "LC_ALL", "TZ", "MALLOC_ARENA_MAX"}


@pytest.mark.parametrize("guard", [False, True])
def test_link_in_place_of_the_logs_is_not_followed(tmp_path, guard):
    """The folder became a link after the service had looked at it."""
    folder, outside = tmp_path / "logs", tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("2")
    folder.symlink_to(outside)
    outcomes = _run_confined(folder, READS % [str(folder / "file")], guard)
    assert outcomes == [["PermissionError"] * 4]


@pytest.mark.parametrize("guard", [False, True])
def test_link_that_comes_and_goes_is_not_followed(tmp_path, guard):
    """The name of a file in the logs is that of a link the next moment."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (tmp_path / "outside").write_text(MARK)
    (folder / "file").write_text("own")
    program = """
        outcomes = set()
        for _ in range(3000):
            try:
                outcomes.add(open(%r).read())
            except (FileNotFoundError, PermissionError) as error:
                outcomes.add(type(error).__name__)
        print(json.dumps(sorted(outcomes)))
    """
    with exchanged(folder / "file", tmp_path / "outside", pause=0.00002):
        outcomes = _run_confined(folder, program % str(folder / "file"), guard)
    assert outcomes == ["PermissionError", "own"]


def test_path_that_changes_after_the_check_is_refused(tmp_path):
    """The check of the name passes, as before the change; the opened file is looked at again."""
    folder = tmp_path / "logs"
    folder.mkdir()
    (tmp_path / "outside").write_text("2")
    (folder / "link").symlink_to(tmp_path / "outside")
    program = """
        from modelarts.local.boards import confinement as module
        module._Guard._check = lambda self, path: None
        print(json.dumps([outcome(open, %r), outcome(open, "/dev/full"), outcome(open, %r)]))
    """ % (str(folder / "link"), str(tmp_path / "outside"))
    assert _run_confined(folder, program, guard=True) == ["PermissionError"] * 3


def test_pipe_in_the_logs_keeps_no_thread_waiting(tmp_path):
    os.mkfifo(tmp_path / "events.out.tfevents.1")
    program = "print(json.dumps(open(%r).read()))" % str(tmp_path / "events.out.tfevents.1")
    assert _run_confined(tmp_path, program, guard=True) == ""


def test_event_file_that_is_refused_is_an_empty_one(tmp_path):
    (tmp_path / "logs").mkdir()
    (tmp_path / "secret").write_text(MARK)
    link = tmp_path / "logs" / "events.out.tfevents.1"
    link.symlink_to(tmp_path / "secret")
    program = "print(json.dumps(open(%r).read()))" % str(link)
    assert _run_confined(tmp_path / "logs", program, guard=True) == ""


# Links, and folders that come and go ------------------------------------------------------------


def _log(folder, value, tag="loss"):
    with SummaryWriter(str(folder)) as writer:
        writer.add_scalar(tag, value, 1)


def _runs(job):
    return sorted(_get(job, "scalars/tags").json())


def test_folder_made_after_the_start_is_shown(service, tmp_path):
    bucket = service.root / "obs" / ("late-" + tmp_path.name.replace("_", "-"))
    with service.session() as session:
        job = VisualizationJob.create("/%s/logs/" % bucket.name, check=False, session=session)
        job.wait()
        assert _runs(job) == []
        _log(bucket / "logs" / "first", 1.0)
        wait_until(lambda: _runs(job) == ["first"])
        shutil.rmtree(bucket / "logs")
        _log(bucket / "logs" / "second", 2.0)
        wait_until(lambda: _runs(job) == ["second"])
        job.delete()


def test_links_of_the_only_user_are_followed(service, tmp_path):
    bucket = service.root / "obs" / ("links-" + tmp_path.name.replace("_", "-"))
    bucket.mkdir()
    _log(tmp_path / "elsewhere" / "run", 1.0)
    (bucket / "a").symlink_to(tmp_path / "elsewhere")
    with service.session() as session:
        job = VisualizationJob.create("/%s/" % bucket.name, check=False, session=session).wait()
        wait_until(lambda: _runs(job) == ["a/run"])
        _log(tmp_path / "later", 1.0)
        (bucket / "b").symlink_to(tmp_path / "later")
        wait_until(lambda: _runs(job) == ["a/run", "b"])
        job.delete()


def test_links_in_a_shared_service_are_not_followed(tmp_path):
    path = tmp_path / "users.json"
    edit(path, lambda users: users.with_user("ann").with_user("bob"))
    accounts = Accounts(path)
    logs, other = tmp_path / "logs", tmp_path / "other"
    logs.mkdir()
    other.mkdir()
    (logs / "run").symlink_to(other)
    assert Confiner(str(tmp_path / "root"), accounts).of(str(logs)).links == ()


def test_links_into_the_private_files_are_not_followed(tmp_path):
    root, logs = tmp_path / "root", tmp_path / "logs"
    (root / "obs" / "bucket").mkdir(parents=True)
    (root / "logs").mkdir()
    logs.mkdir()
    accounts = Accounts(prepare(root))
    (logs / "events.out.tfevents.2").symlink_to(root / "users.json")
    for number, target in enumerate((root, root / "logs", tmp_path, "/", "/proc/self", "/dev")):
        (logs / str(number)).symlink_to(target)
    (logs / "bucket").symlink_to(root / "obs" / "bucket")
    links = Confiner(str(root), accounts).of(str(logs)).links
    assert links == (str(root / "obs" / "bucket"),)


# Paths that change while they are read ----------------------------------------------------------


@pytest.fixture(scope="module", params=["by the kernel", "by code alone"])
def shared(request, tmp_path_factory):
    """A service of two users, with a bucket of another one, and one with runs."""
    root = tmp_path_factory.mktemp("changing") / "root"
    edit(prepare(root), lambda users: users.with_user("ann"))
    extra = [] if request.param == "by the kernel" else ["--unconfined-boards"]
    service = Service(root, *extra, environ={"TRAINER": MARK}, is_forked=False)
    other = root / "obs" / "other"
    for number in range(25):  # so that the data server is chosen, where there is one
        _log(other / ("secret-%d" % number), 0.25)
    (other / "secret.txt").write_text(MARK)
    with service.session() as session:
        yield service, session, other
    assert service.end() == 0


def _own_runs(folder):
    for name in ("good", "folder/good", *("more/%d" % number for number in range(25))):
        _log(folder / name, 0.5)


@pytest.mark.parametrize("times", [25, pytest.param(80, marks=pytest.mark.extended)])
def test_paths_that_change_return_no_byte_from_outside(shared, times):
    """A file, an event file and a folder of a run are links the next moment."""
    service, session, other = shared
    logs = service.root / "obs" / ("changing-%d" % times)
    _own_runs(logs)
    run = logs / "good"
    (run / "own.tsv").write_text("of the job itself")
    config = 'embeddings { tensor_name: "x:0" metadata_path: "own.tsv" bookmarks_path: "own.tsv" }'
    (run / CONFIG).write_text(config)
    (events,) = run.glob("events*")
    (stolen,) = (other / "secret-0").iterdir()
    with ExitStack() as changing:
        for path, target in (
            (run / "own.tsv", other / "secret.txt"),
            (events, stolen),
            (logs / "folder", other),
        ):
            changing.enter_context(exchanged(path, target))
        job = VisualizationJob.create("/%s/" % logs.name, session=session).wait()
        wait_until(lambda: set(_tags(job)) >= {"more/0", "more/24"})
        contents, values = set(), set()
        for _ in range(times):
            for route in ("metadata", "bookmarks"):
                answer = _get(job, "projector/" + route, run="good", name="x:0", num_rows=10)
                contents.add(answer.content if answer.status_code == 200 else b"")
            assert b"secret" not in _get(job, "scalars/tags").content
            points = _get(job, "scalars/scalars", run="good", tag="loss")
            if points.status_code == 200:
                values.update(point[2] for point in points.json())
    assert (b"" in contents, [each for each in contents if MARK.encode() in each]) == (True, [])
    assert values <= {0.5}
    assert job.refresh().status == 8
    job.delete()


@pytest.mark.parametrize("times", [2, pytest.param(6, marks=pytest.mark.extended)])
def test_folder_of_job_that_changes_shows_nothing_from_outside(shared, times):
    """It is a link when the board is to read it, and a folder when the service looks at it."""
    service, session, other = shared
    logs = service.root / "obs" / ("exchanged-%d" % times) / "logs"
    _own_runs(logs)
    shown, states = set(), set()
    for pause in (0.002, 0.01, 0.03) * times:
        with exchanged(logs, other, pause):
            try:
                job = VisualizationJob.create("/exchanged-%d/logs/" % times, session=session)
            except BadRequest:  # it leads out of its bucket
                continue
            job.wait(until=[JobStatus.RUNNING, JobStatus.FAILED], timeout=60)
        states.add(job.status)
        if job.status == 8:
            shown.update(_get(job, "scalars/tags").json())
        job.delete()
    assert 8 in states
    assert [run for run in shown if "secret" in run] == []


@pytest.mark.skipif(sys.platform != "linux", reason="other systems have no such names")
def test_new_runs_that_cannot_be_read_end_no_board(service):
    """Each would end TensorBoard's reader of event files if it were there with a new run."""
    logs, name = service.root / "obs" / "odd-runs", "events.out.tfevents.1"
    _log(logs / "good", 0.5)
    with service.session() as session:
        job = VisualizationJob.create("/odd-runs/", session=session).wait()
        assert _runs(job) == ["good"]
        for run in ("socket", "loop", "bytes"):
            _log(logs / run / "below", 0.5)
        with socket.socket(socket.AF_UNIX) as listening:
            listening.bind(os.path.relpath(logs / "socket" / name))
        (logs / "loop" / name).symlink_to(name)
        os.mkdir(os.fsencode(logs / "bytes") + b"/\xff\xfe")
        wanted = ["bytes/below", "good", "loop/below", "socket/below"]
        wait_until(lambda: set(_runs(job)) >= set(wanted))
        assert job.refresh().status == 8
        log = (service.root / "logs" / ("job-%s.log" % job.visualization_id)).read_text()
        assert log.count("refused: %r" % str(logs / "socket" / name)) == 1
        job.delete()


# Systems without Landlock -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("names", "host", "refused"),
    [
        ((), "127.0.0.1", False),
        (("ann",), "127.0.0.1", True),
        ((), "0.0.0.0", True),
    ],
)
def test_shared_service_needs_a_kernel_that_confines(tmp_path, monkeypatch, names, host, refused):
    path = prepare(tmp_path)
    for name in names:
        edit(path, lambda users, name=name: users.with_user(name))
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    settings = Settings(network=Network(host=host))
    accepted = attr.evolve(settings, unconfined_boards=True)
    assert main._confiner(tmp_path, accepted, Accounts(path)).by_kernel is False
    if refused:
        with pytest.raises(ConfigurationError, match="--unconfined-boards"):
            main._confiner(tmp_path, settings, Accounts(path))
    else:
        assert main._confiner(tmp_path, settings, Accounts(path)) is not None


def test_second_user_needs_a_kernel_that_confines(tmp_path, monkeypatch):
    """One that is added while the service runs, too."""
    path = prepare(tmp_path)
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    confiner = main._confiner(tmp_path, Settings(), Accounts(path))
    assert confiner.of(str(tmp_path)).folder == str(tmp_path)
    edit(path, lambda users: users.with_user("ann"))
    with pytest.raises(ValueError, match="--unconfined-boards"):
        confiner.of(str(tmp_path))


def test_second_user_ends_boards_that_a_kernel_does_not_confine(tmp_path, monkeypatch):
    path, folder = prepare(tmp_path), str(tmp_path / "logs")
    os.mkdir(folder)
    confiner = Confiner(str(tmp_path), Accounts(path))
    monkeypatch.setattr(landlock, "abi", lambda: 0)
    confinement = confiner.of(folder)
    assert confiner.is_current(confinement, links_too=True)
    edit(path, lambda users: users.with_user("ann"))
    assert not confiner.is_current(confinement, links_too=False)


def test_installed_paths_hold_no_home_and_no_root():
    paths = confinement_module.installed_paths()
    assert not {os.sep, os.path.expanduser("~"), "/etc", "/proc", "/tmp"} & set(paths)
