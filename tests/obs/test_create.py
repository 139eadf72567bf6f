"""A job over a folder of this machine, and over one without event files."""

import json
import os
import pickle
import socket
import threading
import warnings

import pytest
from tensorboardX import SummaryWriter

from modelarts.errors import ConfigurationError, InvalidArgument, NoEventFiles, PermissionDenied
from modelarts.estimator import VisualizationJob
from modelarts.session import Session
from tests.local.web import client
from tests.servers.cloud import Cloud, connect
from tests.support.clocks import wait_until
from tests.support.places import ObsPlace
from tests.support.trees import tree

pytestmark = pytest.mark.local


@pytest.fixture
def runs(tmp_path):
    runs = tmp_path / "project" / "runs"
    with SummaryWriter(str(runs / "first")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    return runs


@pytest.fixture
def local(service):
    with Session.local(service.root) as session:
        yield session


@pytest.fixture
def bucket():
    return "obs://create-%s/" % os.urandom(6).hex()


@pytest.fixture
def create(local):
    """Creates jobs that are deleted afterwards."""
    made = []

    def create(train_url, **options):
        made.append(VisualizationJob.create(train_url, session=local, **options))
        return made[-1]

    yield create
    for job in made:
        job.delete()


@pytest.fixture
def said():
    """The warnings about event files."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        yield lambda: [str(one.message) for one in caught if one.category is NoEventFiles]


def test_a_local_folder_is_sent_and_shown(create, local, bucket, runs, monkeypatch, said):
    monkeypatch.chdir(runs.parent)
    job = create("runs/", obs_path=bucket + "logs").wait()
    assert job.train_url == "/" + bucket[len("obs://") :] + "logs/runs/"
    # TensorBoard reads in the background.
    wait_until(lambda: b"first" in client.get(job.service_url + "data/runs").content)
    assert said() == []


def test_without_a_place_each_folder_has_one_of_its_own(service, runs, tmp_path):
    other = tree(tmp_path / "other" / "runs", {"events.out.tfevents.1.x": b""})
    with Session(**_settings(service), proxies={}) as session:
        jobs = [VisualizationJob.create(folder, session=session) for folder in (runs, runs, other)]
        first, again, third = (job.train_url for job in jobs)
        assert first == again
        assert first.startswith("/uploads/project-")
        assert first.endswith("/runs/")
        assert third != first
        session.obs.delete("obs:/" + first, recursive=True)
        for job in jobs:
            job.delete()


@pytest.mark.parametrize("name", ["a\nb", "a\\b"])
def test_unnameable_folder_is_refused_before_sending(
    create, local, bucket, name, tmp_path, monkeypatch
):
    """A folder that no job could name is refused before it is sent."""
    tree(tmp_path / name, {"events.out.tfevents.1.x": b""})
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InvalidArgument, match="no control characters or backslashes") as caught:
        create("./" + name, obs_path=bucket)
    assert caught.value.given == repr("./" + name)
    assert not local.obs.is_obs_path_exists(bucket)


def test_a_session_has_a_place_for_all_its_jobs(service, bucket, runs):
    with service.session(
        obs_path=bucket + "boards", obs_endpoint=service.connection["obs_endpoint"]
    ) as session:
        job = VisualizationJob.create(runs, session=session)
        job.delete()
    assert job.train_url.startswith("/" + bucket[len("obs://") :] + "boards/project-")


def test_a_variable_names_the_place(service, bucket, runs, monkeypatch):
    monkeypatch.setenv("MODELARTS_OBS_PATH", bucket + "boards/")
    with Session(**_settings(service), proxies={}) as session:
        job = VisualizationJob.create(runs, session=session)
        job.delete()
        said = session.explain()
    assert job.train_url.startswith("/" + bucket[len("obs://") :] + "boards/project-")
    assert said.obs_path_source == "environment MODELARTS_OBS_PATH"


def test_a_file_names_the_place(service, bucket, runs, tmp_path):
    config = tmp_path / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({**_settings(service), "obs_path": bucket + "boards"}))
    with Session(config_file=str(config), proxies={}) as session:
        job = VisualizationJob.create(runs, session=session)
        job.delete()
    assert job.train_url.startswith("/" + bucket[len("obs://") :] + "boards/project-")
    again = pickle.loads(pickle.dumps(session))
    assert again.obs_path == session.obs_path == bucket + "boards"
    assert "%sboards  (%s)\n" % (bucket, config) in str(session.explain())


def test_a_place_that_is_none_is_said_with_where_it_was_found(service, runs, tmp_path):
    config = tmp_path / "config.json"
    config.touch(mode=0o600)
    config.write_text(json.dumps({**_settings(service), "obs_path": "./boards"}))
    with Session(config_file=str(config), proxies={}) as session, pytest.raises(
        ConfigurationError, match=r"config\.json: obs_path must be a path in OBS"
    ):
        VisualizationJob.create(runs, session=session)
    with pytest.raises(InvalidArgument, match="obs_path must be a path in OBS"):
        Session(**_settings(service), obs_path="./boards")


def _settings(service):
    known = ("access_key", "secret_key", "project_id", "region_name")
    endpoints = ("modelarts_endpoint", "iam_endpoint", "obs_endpoint")
    return {name: service.connection[name] for name in known + endpoints}


def test_without_any_place_it_is_said_what_to_give(cloud, runs):
    with connect(
        Cloud,
        obs_endpoint="http://127.0.0.1:9",
    ) as session:
        with pytest.raises(InvalidArgument, match="MODELARTS_OBS_PATH") as caught:
            VisualizationJob.create(runs, session=session)
        with pytest.raises(InvalidArgument, match="on this machine that exists"):
            VisualizationJob.create("rnus/", session=session)
    assert caught.value.argument == "obs_path"
    assert cloud.calls == []


def test_nothing_there_is_said_once_at_the_line_that_created(create, bucket):
    with pytest.warns(NoEventFiles, match="nothing is there yet") as caught:
        create(bucket + "logs/")
    assert caught[0].filename == __file__


@pytest.fixture
def patient(monkeypatch):
    """A check that waits long, as machines may be busy."""
    monkeypatch.setattr("modelarts._clients._QUICK", 60.0)


@pytest.mark.usefixtures("patient")
def test_a_bucket_that_is_not_there_is_said(service, s3):
    """As buckets of the local service need not be made, this takes an S3 server."""
    with service.session(obs_endpoint=s3) as session:
        with pytest.warns(NoEventFiles, match="there is no bucket nothing-there, so"):
            job = VisualizationJob.create("/nothing-there/logs/", session=session)
        job.delete()


def test_what_is_there_instead_is_named(create, local, bucket, tmp_path, said):
    names = ["model%d.bin" % number for number in range(7)]
    local.obs.upload_dir(tree(tmp_path / "logs", dict.fromkeys(names, b"")), bucket)
    create(bucket + "logs/")
    (text,) = said()
    assert "what is there: model0.bin, model1.bin, model2.bin, model3.bin, model4.bin and 2" in text


def test_events_that_are_elsewhere_nearby_are_pointed_out(create, local, bucket, runs, said):
    local.obs.upload_dir(runs, bucket + "logs/")
    create(bucket + "logs/runs/second/")
    assert said()[0].endswith("Some are in %slogs/runs/first/" % bucket)


def test_a_folder_of_this_machine_is_pointed_out(create, runs, said):
    create(str(runs))
    assert "give it as a pathlib.Path" in said()[0]


def test_nested_events_draw_no_warning(create, local, bucket, runs, said):
    """Events at any depth draw no warning nor does a check that is off."""
    create(bucket + "empty/", check=False)
    local.obs.upload_dir(runs, bucket + "a/b/c/")
    create(bucket)
    assert said() == []


def _wire_session(obs_endpoint, **more):
    return connect(
        Cloud,
        obs_endpoint=obs_endpoint,
        proxies={},
        **more,
    )


@pytest.mark.usefixtures("patient")
def test_the_look_works_on_obs_too(cloud, s3, request, tmp_path, said):
    place = ObsPlace(request, tmp_path)
    place.session.obs.upload_file(
        tree(tmp_path, {"x.bin": b""}) / "x.bin", "obs://%s/" % place.bucket
    )
    with _wire_session(s3) as session:
        VisualizationJob.create("obs://%s/" % place.bucket, session=session)
    place.close()
    assert "what is there: x.bin" in said()[0]


@pytest.mark.parametrize("address", ["http://127.0.0.1:9", None])
def test_where_obs_does_not_answer_a_job_is_created_all_the_same(cloud, address, said):
    with _wire_session(address) as session:
        job = VisualizationJob.create("/bucket/logs/", session=session)
    assert job.visualization_id
    assert said() == []
    assert [call.method for call in cloud.calls] == ["POST"]


def test_silent_obs_costs_a_create_a_second(cloud, said):
    """OBS takes the connection and says nothing: one attempt, and no thread is left."""
    threads = threading.active_count()
    with socket.create_server(("127.0.0.1", 0)) as silent:
        session = _wire_session("http://127.0.0.1:%d" % silent.getsockname()[1], timeout=30)
        VisualizationJob.create("/bucket/logs/", session=session, check=False)
        began = session.clock.monotonic()
        VisualizationJob.create("/bucket/logs/", session=session)
        assert session.clock.monotonic() - began < 5  # most of it imports on a busy machine
        silent.accept()[0].close()
        silent.setblocking(False)
        with pytest.raises(BlockingIOError):
            silent.accept()
        session.close()
    assert threading.active_count() == threads
    assert said() == []


@pytest.mark.usefixtures("patient")
def test_connection_of_the_check_is_kept_and_closed(cloud, server, said):
    server.keys[Cloud.access_key] = (Cloud.secret_key, None)
    server.buckets["bucket"] = {"logs/events.out.tfevents.1": (b"", '"etag"')}
    with _wire_session(server.url) as session:
        for _ in range(3):
            VisualizationJob.create("/bucket/logs/", session=session)
        assert (len(server.calls), server.connections, server.busy) == (3, 1, 0)
    assert said() == []


def test_refused_create_sends_obs_nothing(cloud, server):
    with _wire_session(server.url, project_id="another") as session, pytest.raises(
        PermissionDenied
    ):
        VisualizationJob.create("/bucket/logs/", session=session)
    assert server.calls == []
