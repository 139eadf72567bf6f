"""MindInsight reads the logs of its job and nothing else: by the kernel, and by an audit hook."""

import json
import os
import shutil
import socket
import subprocess
import tempfile
import textwrap
from pathlib import Path

import pytest

from modelarts.estimator import JobStatus
from modelarts.local.boards import landlock
from modelarts.local.boards.audit import sitecustomize
from modelarts.local.boards.confinement import DEVICES, SYSTEM
from tests.local.boards.hostile import MARK, make_targets, secrets_of
from tests.local.boards.mindinsight import ENVIRONMENT, SUMMARY, ask, create, home_with_mindinsight
from tests.local.web import client
from tests.servers.service import Service
from tests.support.clocks import wait_until
from tests.support.races import exchanged

pytestmark = pytest.mark.local
# Each runs a program of the environment of MindInsight.
pytestmark = [pytestmark, pytest.mark.extended]

#: The routes of MindInsight 2.3.1; a new one has to be looked at, then added here.
PREFIX = "/v1/mindinsight"
ROUTES = {
    "GET": {
        "": ["/", "/graphvizlib.wasm", "/static/<path:filename>"],
        PREFIX: ["/ui-config"],
        PREFIX + "/datasets": ["/dataset_graph"],
        PREFIX + "/datavisual": [
            *("/graphs/nodes", "/graphs/nodes/all", "/graphs/nodes/names", "/graphs/single-node"),
            *("/histograms", "/image/metadata", "/image/single-image", "/landscape/intervals"),
            *("/landscape/landscapes", "/plugins", "/scalar/metadata", "/scalars", "/single-job"),
            *("/tensors", "/train-jobs"),
        ],
        PREFIX + "/debugger": ["/sessions"],
        PREFIX + "/debugger/sessions/<session_id>": [
            *("/condition-collections", "/poll-data", "/ranks/<rank_id>/graph-runs", "/search"),
            *("/stacks", "/tensor-comparisons", "/tensor-files/download", "/tensor-graphs"),
            *("/tensor-hits", "/tensors"),
        ],
        PREFIX + "/explainer": ["/evaluation", "/explain-job", "/explain-jobs", "/image"],
        PREFIX + "/profile": [
            *("/cluster-flops", "/cluster-peak-memory", "/communication-data", "/devices"),
            *("/flops-scope", "/flops-summary", "/marey-graph/flops-data"),
            *("/marey-graph/memory-data", "/marey-graph/overview-time", "/marey-graph/timeline"),
            *("/memory-breakdowns", "/memory-graphics", "/memory-summary"),
            *("/minddata-pipeline/queue", "/minddata_op", "/msprof_timeline"),
            *("/msprof_timeline_option", "/parallel-strategy/graphs", "/process_summary"),
            *("/profile_info", "/queue_info", "/summary/cluster-propose", "/summary/propose"),
            *("/timeline", "/timeline-summary", "/training-trace/graph"),
            "/training-trace/target-time-info",
        ],
    },
    "POST": {
        PREFIX + "/datavisual": ["/train-job-caches"],
        PREFIX + "/debugger": ["/sessions"],
        PREFIX + "/debugger/sessions/<session_id>": [
            *("/control", "/create-watchpoint", "/delete", "/delete-watchpoint", "/recheck"),
            *("/retrieve", "/search-watchpoint-hits", "/set-recommended-watch-points"),
            *("/tensor-files/load", "/tensor-history", "/update-watchpoint"),
        ],
        PREFIX + "/explainer": ["/hoc", "/saliency"],
        PREFIX + "/lineagemgr": ["/lineages"],
        PREFIX + "/optimizer": ["/targets/search"],
        PREFIX + "/profile": [
            *("/cluster-step-trace-summary", "/dynamic-shape-detail"),
            *("/minddata-cpu-utilization-summary", "/minddata-pipeline/op-queue", "/ops/search"),
            *("/search-cluster-communication", "/search-cluster-link"),
        ],
    },
    "PUT": {PREFIX + "/lineagemgr": ["/lineages"]},
}
FLAT = sorted(
    (method, prefix + route)
    for method, prefixes in ROUTES.items()
    for prefix, routes in prefixes.items()
    for route in routes
)
#: Files that its profiler looks for.
PROFILER_FILES = (
    "minddata_pipeline_raw_0.csv",
    "minddata_pipeline_summary_0.json",
    "step_trace_raw_0_detail_time.csv",
    "aicore_intermediate_0_detail.csv",
    "aicore_intermediate_0_type.csv",
    "ascend_timeline_display_0.json",
    "ascend_timeline_summary_0.json",
    "memory_usage_0.pb",
    "flops_0.txt",
    "flops_summary_0.json",
    "step_trace_point_info_0.json",
    "cluster_step_trace_0.csv",
    "dataset_iterator_profiling_0.txt",
    "pipeline_profiling_0.json",
    "cpu_utilization_0.json",
    "dynamic_shape_info_0.json",
)


@pytest.fixture(scope="module", params=["by the kernel", "by code alone"])
def hostile(request, tmp_path_factory):
    """A service with secrets, MindInsight over a hostile folder, and what must not be read."""
    if request.param == "by the kernel" and not landlock.abi():
        pytest.fail("this machine has no Landlock, so nothing was tested")
    folder = tmp_path_factory.mktemp("confined")
    root = folder / "root"
    logs = root / "obs" / "bucket" / "logs"
    shutil.copytree(SUMMARY, logs)
    extra = [] if request.param == "by the kernel" else ["--unconfined-boards"]
    environ = {"TRAINER": MARK, "HOME": str(home_with_mindinsight(folder))}
    service = Service(root, *extra, environ=environ, is_forked=False)
    targets = make_targets(service)
    runs = [_attack(logs, number, target) for number, target in enumerate(targets)]
    with service.session() as session:
        job = create(session).wait()
        wait_until(lambda: "./run-1" in {each["train_id"] for each in _runs(job)})
        yield service, job, [*runs, "../other", "/etc"], targets
    assert service.end() == 0


def _attack(logs, number, target):
    """A run whose files are all links to one target; returns its name."""
    run = logs / ("hostile-%d" % number)
    (run / "profiler").mkdir(parents=True)
    (run / "a.events.summary.1.host").symlink_to(target)
    (run / "a.events.summary.1.host_lineage").symlink_to(target)
    for name in PROFILER_FILES:
        (run / "profiler" / name).symlink_to(target)
    (run / "folder").symlink_to(os.path.dirname(target))
    return "./" + run.name


def _runs(job):
    return ask(job, "train-jobs")["train_jobs"]


def test_every_route_of_mindinsight_is_known(tmp_path):
    program = """
        import json, os
        from mindinsight.backend.application import APP
        rules = [(m, str(r)) for r in APP.url_map.iter_rules() for m in r.methods]
        print("routes:", json.dumps([r for r in rules if r[0] not in ("HEAD", "OPTIONS")]))
        os._exit(0 if print("", flush=True) is None else 1)
    """
    done = subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-c", textwrap.dedent(program)],
        env={
            "HOME": str(tmp_path),
            "MINDINSIGHT_WORKSPACE": str(tmp_path),
            "MINDINSIGHT_SUMMARY_BASE_DIR": str(tmp_path),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=120,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("routes:")]
    assert sorted(map(tuple, json.loads(line[len("routes:") :]))) == FLAT


def test_every_route_of_mindinsight_returns_no_byte_from_outside(hostile):
    service, job, runs, targets = hostile
    secrets = secrets_of(service, targets)
    statuses, clean = [], set()
    for method, route in FLAT:
        for run in runs:
            path = route.replace("<session_id>", "1").replace("<rank_id>", "0")
            path = path.replace("<path:filename>", "../../../../" + run)
            fields = {
                "train_id": run,
                "tag": "loss",
                "name": "loss",
                "profile": run + "/profiler",
                "dir": run + "/profiler",
                "device_id": "0",
                "device_type": "ascend",
                "path": run,
                "mode": "node",
                "step": "1",
                "type": "queue",
                "summary_dir": run,
                "train_ids": [run],
                "session_type": "OFFLINE",
                "dump_dir": run + "/folder",
            }
            query = {key: value for key, value in fields.items() if isinstance(value, str)}
            url = job.service_url.rstrip("/") + path
            answer = client.send(method, url, query, None if method == "GET" else fields)
            if answer.content not in clean:
                assert [piece for piece in secrets if piece in answer.content] == [], (route, run)
                clean.add(answer.content)
            statuses.append(answer.status_code)
    assert len(statuses) == len(FLAT) * len(runs)
    assert set(statuses) & {200, 400}
    curve = ask(job, "scalar/metadata", train_id="./run-1", tag="loss/scalar")["metadatas"]
    assert len(curve) == 10
    assert job.refresh().status == JobStatus.RUNNING


def test_log_of_mindinsight_names_each_refused_path_once(hostile):
    service, job, _, _ = hostile
    log = service.root / "logs" / ("job-%s.log" % job.visualization_id)
    line = "refused: %r" % str(service.root / "obs" / "other" / "secret.txt")
    wait_until(lambda: line in log.read_text())
    # Each of its processes keeps its own list, and a pool of them reads the files.
    assert 1 <= log.read_text().count(line) <= 3


# Its Python by itself -----------------------------------------------------------------------


ATTEMPTS = """
import json, os, socket, subprocess, sys
def outcome(call, *arguments):
    try:
        call(*arguments)
    except OSError as error:
        return type(error).__name__
    return "done"
print(json.dumps([
    outcome(open, {outside!r}),
    outcome(open, {link!r}),
    outcome(os.listdir, {parent!r}),
    outcome(open, {inside!r} + ".new", "w"),
    outcome(os.remove, {outside!r}),
    outcome(subprocess.call, ["/bin/sh", "-c", "true"]),
    outcome(open, {inside!r}),
    outcome(open, "written", "w"),
]))
"""
POOL = """
import multiprocessing, sys
def read(path):
    try:
        return open(path).read()
    except OSError as error:
        return type(error).__name__
if __name__ == "__main__":
    context = multiprocessing.get_context("forkserver")
    with context.Pool(1) as pool:
        print(pool.map(read, [%r]))
"""


def run_confined(workspace, program, by_kernel, *read, **more):
    """Run a program as MindInsight's Python is run; returns what it prints."""
    (workspace / "attempts.py").write_text(program)
    rules = {
        "logs": [*map(str, read)],
        "read": [*SYSTEM],
        "links": [],
        "write": [str(workspace), *DEVICES, "/dev/shm"],
        "landlock": landlock.__file__ if by_kernel else None,
        **more,
    }
    return subprocess.run(
        [str(ENVIRONMENT / "bin" / "python"), "-m", "attempts"],
        cwd=str(workspace),
        env={
            "PYTHONPATH": os.path.dirname(sitecustomize.__file__),
            "TMPDIR": str(workspace),
            sitecustomize.RULES: json.dumps(rules),
        },
        stdout=subprocess.PIPE,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize("by_kernel", [True, False])
def test_python_of_mindinsight_reads_logs_and_writes_workspace(tmp_path, by_kernel):
    logs, workspace = tmp_path / "logs", tmp_path / "workspace"
    logs.mkdir()
    workspace.mkdir()
    outside, inside, link = tmp_path / "outside", logs / "inside", logs / "link"
    outside.write_text(MARK)
    inside.write_text("1")
    link.symlink_to(outside)
    names = {"outside": outside, "inside": inside, "link": link, "parent": tmp_path}
    program = ATTEMPTS.format(**{name: str(path) for name, path in names.items()})
    done = run_confined(workspace, program, by_kernel, logs)
    assert json.loads(done.stdout) == ["PermissionError"] * 6 + ["done"] * 2
    assert outside.read_text() == MARK


@pytest.mark.parametrize("by_kernel", [True, False])
def test_pool_of_mindinsight_is_confined_too(by_kernel):
    """It is started anew, by exec, so that an audit hook would not be inherited."""
    with tempfile.TemporaryDirectory() as folder:  # short, as sockets are made there
        workspace, outside = Path(folder) / "w", Path(folder) / "outside"
        workspace.mkdir()
        outside.write_text(MARK)
        done = run_confined(workspace, POOL % str(outside), by_kernel)
    assert done.stdout == "['PermissionError']\n"


CHANGES = """
import json
outcomes = {}
for _ in range(3000):
    try:
        outcome = open(%r).read()
    except (FileNotFoundError, PermissionError) as error:
        outcome = type(error).__name__
    outcomes[outcome] = outcomes.get(outcome, 0) + 1
print(json.dumps(sorted(outcomes)))
"""


@pytest.mark.parametrize("by_kernel", [True, False])
def test_link_that_comes_and_goes_is_not_followed(tmp_path, by_kernel):
    """The name of a file in the logs is that of a link the next moment."""
    logs, workspace, outside = tmp_path / "logs", tmp_path / "workspace", tmp_path / "outside"
    logs.mkdir()
    workspace.mkdir()
    outside.write_text(MARK)
    (logs / "file").write_text("own")
    with exchanged(logs / "file", outside, pause=0.00002):
        done = run_confined(workspace, CHANGES % str(logs / "file"), by_kernel, logs)
    assert json.loads(done.stdout) == ["PermissionError", "own"]


@pytest.mark.parametrize("by_kernel", [True, False])
def test_link_in_place_of_the_logs_is_not_followed(tmp_path, by_kernel):
    logs, workspace, outside = tmp_path / "logs", tmp_path / "workspace", tmp_path / "outside"
    workspace.mkdir()
    outside.mkdir()
    (outside / "file").write_text(MARK)
    logs.symlink_to(outside)
    done = run_confined(workspace, CHANGES % str(logs / "file"), by_kernel, logs)
    assert json.loads(done.stdout) == ["PermissionError"]


CONNECTS = """
import socket
try:
    socket.create_connection(%r)
except OSError as error:
    print(type(error).__name__)
"""


@pytest.mark.parametrize("by_kernel", [True, False])
def test_python_of_mindinsight_cannot_connect(tmp_path, by_kernel):
    with socket.create_server(("127.0.0.1", 0)) as listening:
        done = run_confined(tmp_path, CONNECTS % (listening.getsockname(),), by_kernel)
    assert done.stdout == "PermissionError\n"


def test_python_that_cannot_be_confined_does_not_run(tmp_path):
    done = run_confined(tmp_path, "print('ran')", True, landlock=str(tmp_path / "missing"))
    assert (done.returncode, done.stdout) == (1, "")
