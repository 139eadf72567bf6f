"""Folders of this machine that boards read where they lie, alone and several together."""

import json
import os
import stat
import subprocess
import sys
import tempfile
import warnings
from pathlib import Path

import pytest
import requests
from tensorboardX import SummaryWriter

from modelarts.cli import main
from modelarts.errors import ConfigurationError, InvalidArgument, NoEventFiles, PermissionDenied
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.identity.users_file import edit
from modelarts.local.logs.mounts import Mounts, MountsFile
from modelarts.session import Session
from modelarts.visualization.display.table import facts
from tests.local.web import client
from tests.servers.forkserver import run_forked
from tests.servers.service import SECRETS, Service
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local


@pytest.fixture
def local(service):
    with Session.local(service.root) as session:
        yield session


@pytest.fixture
def show(local):
    """Shows boards that are deleted afterwards."""
    made = []

    def show(train_url, **options):
        made.append(VisualizationJob.create(train_url, session=local, **options).wait())
        return made[-1].refresh()

    yield show
    for job in made:
        job.delete()


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with one run, in the current folder."""
    _write(tmp_path / "project" / "runs" / "first", [0])
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project" / "runs"


def _write(run, steps, suffix=""):
    with SummaryWriter(str(run), filename_suffix=suffix) as writer:
        for step in steps:
            writer.add_scalar("loss", 0.5, step)


def _runs(job):
    return sorted(requests.get(job.service_url + "data/runs", timeout=30).json())


def _steps(job, run):
    url = job.service_url + "data/plugin/scalars/scalars"
    answer = client.get(url, {"run": run, "tag": "loss"})
    return [point[1] for point in answer.json()] if answer.status_code == 200 else None


def _below(folder):
    return sorted(path for path in folder.rglob("*") if not path.is_dir())


def _blocks(folder):
    """Return the bytes that a folder takes on the disk."""
    return sum(path.stat().st_blocks * 512 for path in _below(folder) if path.is_file())


# One folder -------------------------------------------------------------------------------


def test_checkpoints_take_no_disk(service, show, runs):
    with open(runs / "model.ckpt", "wb") as file:
        os.posix_fallocate(file.fileno(), 0, 1_500_000_000)
    before = _blocks(service.root)
    job = show("runs/")
    assert _runs(job) == ["first"]
    assert _blocks(service.root) - before < 1_000_000


def test_folder_is_live_and_not_copied(service, show, runs):
    before = _below(service.root / "obs")
    (runs / "model.ckpt").write_bytes(bytes(1_000_000))
    job = show("runs/")
    wait_until(lambda: _steps(job, "first") == [0])
    _write(runs / "first", [1], ".2")
    _write(runs / "second", [7])
    wait_until(lambda: _steps(job, "first") == [0, 1] and _steps(job, "second") == [7])
    assert _below(service.root / "obs") == before
    assert job.raw["folders"] == [str(runs)]
    assert str(runs) in facts(job)


def test_same_folder_has_the_same_job(local, show, runs, tmp_path):
    job = show("runs/")
    (tmp_path / "link").symlink_to(runs)
    for path in ("runs", "./runs/", runs, "../project/runs", tmp_path / "link"):
        assert VisualizationJob.ensure(path, session=local).job_id == job.job_id
    assert job.train_url.startswith("/runs-")


def test_links_in_the_folder_are_followed(show, runs, tmp_path):
    _write(tmp_path / "elsewhere" / "run", [3])
    (runs / "link").symlink_to(tmp_path / "elsewhere")
    job = show("runs/")
    wait_until(lambda: _runs(job) == ["first", "link/run"])


def test_folder_of_a_bucket_is_that_bucket(service, show):
    _write(service.root / "obs" / "in-place" / "logs" / "run", [0])
    job = show(service.root / "obs" / "in-place" / "logs")
    assert job.train_url == "/in-place/logs/"
    assert "folders" not in job.raw


def test_folder_that_vanishes_is_named_and_comes_back(show, runs):
    job = show("runs/")
    wait_until(lambda: _runs(job) == ["first"])
    runs.rename(runs.parent / "away")
    assert job.refresh().raw["reason"] == "there is no folder %s" % runs
    wait_until(lambda: _runs(job) == [])
    (runs.parent / "away").rename(runs)
    wait_until(lambda: _runs(job) == ["first"])
    assert "reason" not in job.refresh().raw
    assert job.status == JobStatus.RUNNING


def test_folder_without_event_files_draws_a_warning(show, runs, tmp_path):
    (tmp_path / "empty").mkdir()
    with pytest.warns(NoEventFiles, match="%s has no event files" % (tmp_path / "empty")):
        show(tmp_path / "empty")


def test_obs_path_makes_a_copy(service, local, runs):
    job = VisualizationJob.create("runs/", session=local, obs_path="obs://in-place-copy/")
    assert job.train_url == "/in-place-copy/runs/"
    assert len(_below(service.root / "obs" / "in-place-copy")) == 1
    job.delete()


# Several folders --------------------------------------------------------------------------


def test_several_folders_share_a_board(service, local, show, runs, tmp_path):
    _write(service.root / "obs" / "in-place" / "b" / "run", [1])
    _write(tmp_path / "other", [2])
    job = show(["runs", "/in-place/b/", tmp_path / "other"])
    wait_until(lambda: _runs(job) == ["b/run", "other", "runs/first"])
    _write(tmp_path / "other" / "new", [2])
    wait_until(lambda: "other/new" in _runs(job))
    assert len(job.raw["folders"]) == 3
    again = VisualizationJob.ensure(["runs", "/in-place/b/", tmp_path / "other"], session=local)
    assert again.job_id == job.job_id


def test_names_of_a_mapping_begin_those_of_runs(local, show, runs, tmp_path):
    _write(tmp_path / "other", [2])
    job = show({"mine": "runs", "the other": tmp_path / "other"})
    wait_until(lambda: _runs(job) == ["mine/first", "the other"])
    other = VisualizationJob.ensure({"mine": "runs"}, session=local)
    assert other.job_id != job.job_id
    other.delete()


def test_equal_names_are_told_apart_by_the_folder_above(show, tmp_path):
    for name in ("a", "b"):
        _write(tmp_path / name / "runs", [0])
    job = show([tmp_path / "a" / "runs", tmp_path / "b" / "runs"])
    wait_until(lambda: _runs(job) == ["a-runs", "b-runs"])


def test_command_takes_several_folders(service, runs, tmp_path, capsys):
    _write(tmp_path / "other", [2])
    command = ["jobs", "create", "runs", str(os.path.relpath(tmp_path / "other")), "--wait"]
    assert main([*command, "--local", "--root", str(service.root), "--output", "json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["folders"] == [str(runs), str(tmp_path / "other")]
    with service.session() as session:
        VisualizationJob.get(found["job_id"], session).delete()


# Bad input --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("train_url", "reason"),
    [
        ("nowhere/", "there is no folder"),
        ("file", "is not a folder"),
        ("ROOT", "holds files of the service"),
        ("ABOVE", "holds files of the service"),
        ("ROOT/logs", "holds files of the service"),
        (["runs", "nowhere"], "there is no folder"),
        ([], "1 to 10000 folders"),
        (["runs"] * 10_001, "1 to 10000 folders"),
        (["runs", "./runs"], "a name for each folder"),
        ({"a": "runs", "A": "runs"}, "a name for each folder"),
        ({"a/b": "runs"}, "without '/'"),
        ({"..": "runs"}, "without '/'"),
        ({1: "runs"}, "without '/'"),
        ({"": "runs"}, "without '/'"),
        ({"a": 5}, "a folder in OBS"),
        ([5], "a folder in OBS"),
        (["runs", "a\0b"], "a path on this machine"),
        ({"a": "\ud800"}, "a path on this machine"),
        ({"\ud800": "runs"}, "without '/'"),
    ],
)
def test_wrong_folders_are_refused_at_once(service, local, runs, train_url, reason):
    (runs.parent / "file").touch()
    if train_url == "ABOVE":
        train_url = service.root.parent
    elif isinstance(train_url, str):
        path = train_url.replace("ROOT", str(service.root))
        train_url = runs.__class__(path) if "ROOT" in train_url else path
    mounts = MountsFile(service.root).current()
    with pytest.raises(InvalidArgument, match=reason) as caught:
        VisualizationJob.create(train_url, session=local)
    assert caught.value.argument == "train_url"
    assert MountsFile(service.root).current() == mounts


@pytest.fixture
def closed():
    """A folder that no other user can read, in one that all can.

    It is not below pytest's own: another pytest that starts meanwhile takes the right to enter
    that from all other users.
    """
    with tempfile.TemporaryDirectory() as outer:
        folder = Path(outer).resolve() / "closed"
        folder.mkdir(mode=0)
        for each in folder.parents:
            if not each.stat().st_mode & stat.S_IXOTH:
                each.chmod(each.stat().st_mode | stat.S_IXOTH)
        yield folder


def test_unreadable_folder_is_refused(closed):
    """As another user would see it; whoever runs the tests may be allowed everything."""
    program = (
        "import os, sys; from pathlib import Path; "
        "from modelarts.local.logs.mounts import problem_with; "
        "os.getuid() or (os.setgroups([]), os.setgid(65534), os.setuid(65534)); "
        "print(problem_with(sys.argv[1], Path('/nowhere')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program, str(closed)],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    assert done.stdout == "%s cannot be read\n" % closed


def test_service_elsewhere_shows_no_several_folders(service, runs):
    with service.session() as session:
        with pytest.raises(InvalidArgument, match=r"Session\.local"):
            VisualizationJob.create(["runs", "runs/first"], session=session)
        with pytest.raises(ConfigurationError, match=r"Session\.local"):
            session.mount({"": str(runs)})


# Whose folders they are -------------------------------------------------------------------


def test_file_of_mounts_is_private(service, show, runs):
    show("runs/")
    assert stat.S_IMODE((service.root / "mounts.json").stat().st_mode) == 0o600
    content = json.loads((service.root / "mounts.json").read_text())
    assert str(runs) in str(content)
    with pytest.raises(ValueError, match="another form"):
        Mounts.from_json({"version": 1, "mounts": {"a": {"": "relative"}}})


def test_file_of_mounts_that_others_can_read_ends_the_start(tmp_path):
    root = tmp_path / "root"
    root.mkdir()
    (root / "mounts.json").write_text('{"version": 1, "mounts": {}}')
    (root / "mounts.json").chmod(0o644)
    done = run_forked("serve", "--root", str(root))
    assert done.returncode == 1
    assert "the mounts cannot be read" in done.stderr


def test_option_names_a_folder(tmp_path, runs):
    service = Service(tmp_path / "root", "--mount", "shown=%s" % runs)
    with service.session() as session:
        job = VisualizationJob.create("/shown/", session=session, check=False).wait()
        wait_until(lambda: _runs(job) == ["first"])
        below = VisualizationJob.create("/shown/first/", session=session, check=False).wait()
        wait_until(lambda: _runs(below) == ["."])
    assert service.end() == 0


def test_event_files_of_a_mount_are_looked_for_there(tmp_path, runs):
    """No bucket has the name of a mount, and its folder is what the board shows."""
    (runs / "none").mkdir()
    service = Service(tmp_path / "root", "--mount", "shown=%s" % runs)
    with Session.local(service.root) as session, warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        VisualizationJob.create("/shown/", session=session)
        assert [one for one in caught if one.category is NoEventFiles] == []
        VisualizationJob.create("/shown/none/", session=session)
    (warning,) = [one for one in caught if one.category is NoEventFiles]
    assert str(warning.message).startswith("%s has no event files" % (runs / "none"))
    assert service.end() == 0


def test_other_users_reach_no_mounted_folder(tmp_path, runs):
    service = Service(tmp_path / "root", "--mount", "shown=%s" % runs)
    with Session.local(service.root) as mine:
        auto = VisualizationJob.create("runs/", session=mine)
    users = edit(service.root / "users.json", lambda users: users.with_user("ann"))
    ann = users.by_name["ann"]
    SECRETS.add(ann.key.secret_key)
    with service.session(
        access_key=ann.key.access_key,
        secret_key=ann.key.secret_key,
        project_id=ann.projects[0].project_id,
    ) as session:
        for train_url in ("/shown/", auto.train_url):
            with pytest.raises(PermissionDenied):
                VisualizationJob.create(train_url, session=session, check=False)
        share = ["buckets", "share", "shown", "--user", "ann", "--root", str(service.root)]
        assert main(share) == 0
        job = VisualizationJob.create("/shown/", session=session, check=False).wait()
        wait_until(lambda: "first" in _runs(job))
    assert service.end() == 0


@pytest.mark.parametrize(
    ("option", "reason"),
    [
        ("shown", "give NAME=DIR"),
        ("Shown=runs", "give NAME=DIR"),
        ("a=runs", "give NAME=DIR"),
        ("shown=nowhere", "there is no folder"),
        ("taken=runs", "the name is taken"),
        ("shown=ROOT", "holds files of the service"),
    ],
)
def test_wrong_mounts_end_the_start(tmp_path, runs, capsys, option, reason):
    root = tmp_path / "root"
    (root / "obs" / "taken").mkdir(parents=True)
    option = option.replace("ROOT", str(root))
    assert main(["serve", "--root", str(root), "--mount", option]) == 1
    assert reason in capsys.readouterr().err


def test_two_mounts_of_one_name_end_the_start(tmp_path, runs, capsys):
    command = ["serve", "--root", str(tmp_path / "root"), "--mount", "shown=runs"]
    assert main([*command, "--mount", "shown=runs/first"]) == 1
    assert "two have the same name" in capsys.readouterr().err
