"""Links to one board that end: what they show, to whom, and until when."""

import json
import pickle
import re
import signal
from urllib.parse import urlsplit

import pytest
import requests
from tensorboardX import SummaryWriter

from modelarts.cli import main
from modelarts.errors import (
    BadRequest,
    InvalidArgument,
    NotFound,
    PermissionDenied,
    QuotaExceeded,
)
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.local.database.sqlite import SqliteDatabase
from modelarts.local.errors import Failure
from modelarts.local.identity.users_file import edit, prepare
from modelarts.local.jobs.clock import ServiceClock, Timeline
from modelarts.local.jobs.shares import Shares
from modelarts.local.jobs.store import Store
from modelarts.session import Session
from tests.servers.service import SECRETS, Service

pytestmark = pytest.mark.local

URL = "/bucket/shared/"
HOUR = 3600
TIME_SERIES = "data/plugin/timeseries/timeSeries"


class World:
    """A service of two users; the first has a job over a curve, the second none."""

    def __init__(self, root):
        def change(users):
            return users.with_user("ann", ("team-a",)).with_user("bob", ("team-a",))

        root.mkdir(exist_ok=True)
        users = edit(prepare(root), change)
        SECRETS.update(user.key.secret_key for user in users.by_name.values())
        self.keys = {name: user.key for name, user in users.by_name.items()}
        limits = ("--max-share-hours", "48", "--max-shares", "3", "--rate", "100000")
        self.service = Service(root, "--test-clock", *limits)
        with SummaryWriter(str(root / "obs" / "bucket" / "shared" / "train")) as writer:
            for step in range(3):
                writer.add_scalar("loss", 1 / (step + 1), step)

    def session(self, name, **more):
        key = self.keys[name]
        return Session(
            access_key=key.access_key,
            secret_key=key.secret_key,
            region_name="local-1",
            **self.service.endpoints(),
            **more,
        )


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    world = World(tmp_path_factory.mktemp("share") / "root")
    yield world
    assert world.service.end() == 0


@pytest.fixture(scope="module")
def job(world):
    with world.service.session() as session:
        yield VisualizationJob.create(URL, job_name="named", session=session).wait()


@pytest.fixture
def share(job):
    share = job.share()
    SECRETS.add(share.url.split("/")[-3])
    yield share
    for each in job.shares():
        job.unshare(each)


@pytest.fixture(scope="module")
def plain():
    """A visitor without an account."""
    with requests.Session() as session:
        session.trust_env = False
        yield session


# What a link shows --------------------------------------------------------------------------


def test_link_shows_board_without_account(share, plain):
    page = plain.get(share.url, timeout=60)
    assert (page.status_code, "<tb-webapp>" in page.text) == (200, True)
    script = re.search(r'src="([^"]+index\.js[^"]*)"', page.text).group(1)
    assert plain.get(share.url + script, timeout=60).status_code == 200
    runs = plain.get(share.url + "data/runs", timeout=60).json()
    assert runs == ["train"]


def test_link_names_nobody(share, job, world, plain):
    path = urlsplit(share.url).path
    assert re.fullmatch(r"/modelarts/tensorboard/[A-Za-z0-9_-]{43}/shared/", path)
    for prefix in ("", "experiment/x/"):
        url = share.url + prefix + "data/environment"
        environment = plain.get(url, timeout=60).json()
        assert environment["data_location"] == ""
    logdir = plain.get(share.url + "data/logdir", timeout=60).json()
    told = json.dumps([share.url, environment, logdir, plain.get(share.url, timeout=60).text])
    for name in (job.job_name, world.service.connection["project_id"], str(world.service.root)):
        assert name not in told


def test_link_answers_questions_of_frontend(share, plain):
    asked = [{"plugin": "scalars", "tag": "loss"}]
    form = {"requests": (None, json.dumps(asked))}
    for path in (TIME_SERIES, "experiment/defaultExperimentId/" + TIME_SERIES):
        (series,) = plain.post(share.url + path, files=form, timeout=60).json()
    assert [point["step"] for point in series["runToSeries"]["train"]] == [0, 1, 2]


@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE", "PATCH", "OPTIONS"])
def test_link_only_reads(share, plain, method):
    for path in ("", "data/runs", "data/plugin/text/text"):
        assert plain.request(method, share.url + path, timeout=60).status_code == 405


@pytest.mark.parametrize(
    "path",
    [
        "data/plugin_entry.html?name=profile",
        "data/plugin/profile/capture_profile",
        "experiment/x/data/plugin/profile/capture_profile",
        "experiment/x/experiment/y/data/plugin/profile/capture_profile",
        "compare/a:b/data/runs",
        "anything",
    ],
)
def test_link_reaches_no_installed_plugin(share, plain, path):
    assert plain.get(share.url + path, timeout=60).status_code == 403


def test_key_of_link_is_none_of_board(share, job, plain):
    """A link does not lead on to the address of the board, nor is it one."""
    key = share.url.split("/")[-3]
    number = job.visualization_id
    base = share.url.split("/modelarts/")[0] + "/modelarts/tensorboard/"
    assert plain.get(base + "%s/%s/" % (key, number), timeout=60).status_code == 404
    board_key = job.service_url.split("/")[-3]
    assert plain.get(base + board_key + "/shared/", timeout=60).status_code == 404
    assert board_key not in plain.get(share.url, timeout=60).text


# Until when ---------------------------------------------------------------------------------


def test_link_ends_by_the_clock_of_the_service(share, job, plain, world):
    with world.service.session() as session:
        session.request("PUT", "/local/clock", body={"advance_seconds": 24 * HOUR - 60})
        assert plain.get(share.url + "data/runs", timeout=60).status_code == 200
        session.request("PUT", "/local/clock", body={"advance_seconds": 60})
    ended = plain.get(share.url + "data/runs", timeout=60)
    assert (ended.status_code, job.shares()) == (404, [])
    assert ended.text == "This link has ended, was revoked, or never was one.\n"


def test_revoked_link_ends_at_once(share, job, plain):
    other = job.share(hours=1)
    assert [each.share_id for each in job.shares()] == [share.share_id, other.share_id]
    assert job.unshare(share) is job
    assert plain.get(share.url, timeout=60).status_code == 404
    assert plain.get(other.url, timeout=60).status_code == 200
    with pytest.raises(NotFound):
        job.unshare(share.share_id)


def test_link_survives_restart_of_job(share, job, plain):
    job.stop().wait(until=JobStatus.KILLED)
    stopped = plain.get(share.url, timeout=60)
    assert (stopped.status_code, "named" in stopped.text) == (503, False)
    job.restart().wait()
    assert plain.get(share.url + "data/runs", timeout=60).json() == ["train"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_link_survives_restart_of_service(tmp_path, plain, number):
    service = Service(tmp_path / "root")
    with service.session() as session:
        job = VisualizationJob.create("/bucket/logs/", session=session).wait()
        share = job.share()
    service.end(number)
    content = b"".join(path.read_bytes() for path in (tmp_path / "root").glob("jobs.sqlite*"))
    log = (tmp_path / "root" / "service.log").read_text()
    again = Service(tmp_path / "root")
    try:
        with again.session() as session:
            job = VisualizationJob.get(job.visualization_id, session).wait()
        assert plain.get(share.url, timeout=60).status_code == 200
        key = share.url.split("/")[-3]
        assert key.encode() not in content
        assert key not in log + "".join(line for line in again.log if line)
        job.delete()
        assert plain.get(share.url, timeout=60).status_code == 404
    finally:
        again.end()


# Whose it is --------------------------------------------------------------------------------


def test_who_sees_no_job_shares_none(world, job, share):
    with world.session("bob") as session:
        for call in (
            lambda bobs: bobs.share(),
            lambda bobs: bobs.shares(),
            lambda bobs: bobs.unshare(share),
        ):
            with pytest.raises(NotFound):
                call(VisualizationJob(session, job.visualization_id))
        path = "/local/%s/visualization-jobs/%s/shares"
        owners = world.service.connection["project_id"]
        with pytest.raises(PermissionDenied):
            session.request("GET", path % (owners, job.visualization_id))
    assert [each.share_id for each in job.shares()] == [share.share_id]


def test_member_of_team_revokes_link_of_another(world):
    with world.session("ann", project_name="local-1_team-a") as ann, world.session(
        "bob", project_name="local-1_team-a"
    ) as bob:
        job = VisualizationJob.create("/teams/logs/", session=ann).wait()
        share = job.share()
        (listed,) = VisualizationJob(bob, job.visualization_id).shares()
        assert (listed.share_id, listed.url) == (share.share_id, None)
        VisualizationJob(bob, job.visualization_id).unshare(listed)
        assert job.shares() == []
        job.delete()


def test_owner_limits_hours_and_links(job, share):
    with pytest.raises(BadRequest, match="hours must be at most 48, the limit of this service"):
        job.share(hours=49)
    for _ in range(2):
        job.share(hours=48)
    with pytest.raises(QuotaExceeded, match=r"has 3 links to boards, and may have 3"):
        job.share()


def test_owner_may_allow_no_links(tmp_path):
    service = Service(tmp_path / "root", "--max-share-hours", "0")
    try:
        with service.session() as session:
            job = VisualizationJob.create("/bucket/logs/", session=session)
            with pytest.raises(PermissionDenied, match="--max-share-hours 0"):
                job.share()
    finally:
        service.end()


def test_board_of_mindinsight_is_not_shared(tmp_path):
    """Its pages change what they show, and a link only reads."""
    store = Store(SqliteDatabase(tmp_path / "jobs.sqlite"))
    columns = dict.fromkeys(("project_id", "job_name", "job_desc", "train_url"), "x")
    job = store.add(1, workspace_id="0", job_type="mindinsight", create_time=0, **columns)
    with pytest.raises(Failure, match="Only boards of TensorBoard"):
        Shares(store, Timeline(store, ServiceClock()), 24, 1).add(job, 1)
    store.close()


@pytest.mark.parametrize("hours", ["24", 0, -1, 1.5, True, None, [24], 10**30])
def test_hours_are_checked_by_the_service(world, job, hours):
    path = "/local/%s/visualization-jobs/%s/shares"
    with world.service.session() as session:
        path %= (world.service.connection["project_id"], job.visualization_id)
        with pytest.raises(BadRequest, match="hours must be"):
            session.request("POST", path, body={"hours": hours})
    assert job.shares() == []


# The object and the command -----------------------------------------------------------------


def test_link_is_in_no_repr_card_and_pickle(share, capsys, monkeypatch):
    key = share.url.split("/")[-3]
    kept = pickle.loads(pickle.dumps(share))
    shown = "%r %s %s %r" % (share, share, share._repr_html_(), kept)
    assert (key in shown, share.share_id in shown, kept.url) == (False, True, None)
    for answer, printed in (("n", ""), ("y", share.url + "\n")):
        monkeypatch.setattr("builtins.input", lambda question, answer=answer: answer)
        share.show()
        assert capsys.readouterr().out == printed


def test_command_shares_lists_and_revokes(world, job, plain, capsys):
    def run(*arguments):
        assert main(["jobs", *arguments, "--root", str(world.service.root)]) == 0
        return capsys.readouterr()

    out, err = run("share", "named", "--hours", "2")
    assert plain.get(out.strip(), timeout=60).status_code == 200
    share_id = re.match(r"link ([0-9a-f]{16}) works until \d{4}-", err).group(1)
    assert share_id in run("shares", "named").out
    assert run("shares", "named", "--revoke", share_id).out == "link %s: revoked\n" % share_id
    assert plain.get(out.strip(), timeout=60).status_code == 404
    assert run("shares", "named").out == "No links.\n"
    made = json.loads(run("share", "named", "--output", "json").out)
    (listed,) = json.loads(run("shares", "named", "--output", "json").out)
    assert listed == {key: made[key] for key in ("share_id", "job_id", "created", "ends")}
    run("shares", "named", "--revoke", made["share_id"])


def test_id_of_v2_shares_the_same_job(world, job):
    with world.service.session(api="v2") as session:
        (board,) = [each for each in VisualizationJob.iter(session) if each.job_name == "named"]
        share = board.share(hours=1)
        assert [each.share_id for each in job.shares()] == [share.share_id]
        board.unshare(share)


def test_address_is_no_id_and_is_not_repeated(job, share):
    with pytest.raises(InvalidArgument, match="share must be a link, or the id of one") as refused:
        job.unshare(share.url)
    assert share.url.split("/")[-3] not in str(refused.value)


# Last, as the address of these tests has to wait then -------------------------------------------


def test_guesses_are_bounded(world, share, plain):
    """After sixty wrong links an address may try one a second, and right ones wait too."""
    base = share.url.split("/modelarts/")[0] + "/modelarts/tensorboard/"
    codes = [
        plain.get(base + "%043d/shared/" % number, timeout=60).status_code for number in range(90)
    ]
    assert codes.count(404) < 80
    assert 429 in codes
    answer = plain.get(base + "%043d/shared/" % 91, timeout=60)
    assert (answer.status_code, int(answer.headers["Retry-After"])) == (429, 1)
