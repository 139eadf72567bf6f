"""The order of writes of a service and of the commands, as ``strace`` sees it."""

import json
import os
import re
import signal
import subprocess
import sys
from contextlib import closing

import pytest
from obs import CompleteMultipartUploadRequest, CompletePart

from modelarts._internal.disk import make_folder
from modelarts.session import Session
from tests.crashes.power_cuts import Trace, tracing
from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

#: The smallest part but the last.
PART = b"x" * 100 * 1024


def _modelarts(trace, *arguments):
    return [*tracing(trace), sys.executable, "-m", "modelarts", *arguments]


def _use_objects(session):
    with closing(session.get_obs_client()) as client:
        _use_objects_by(client)


def _use_objects_by(client):
    assert client.createBucket("bucket").status == 200
    assert client.putContent("bucket", "folder/key", "content").status == 200
    began = client.initiateMultipartUpload("bucket", "parts/key")
    upload, parts = began.body.uploadId, []
    for number, content in ((1, PART), (2, b"end")):
        stored = client.uploadPart("bucket", "parts/key", number, upload, content)
        parts.append(CompletePart(number, stored.body.etag))
    whole = CompleteMultipartUploadRequest(parts)
    assert client.completeMultipartUpload("bucket", "parts/key", upload, whole).status == 200
    assert client.copyObject("bucket", "folder/key", "bucket", "copy").status == 200
    for key in ("folder/key", "parts/key", "copy"):
        assert client.deleteObject("bucket", key).status == 204
    assert client.deleteBucket("bucket").status == 204
    assert client.createBucket("code").status == 200
    assert client.putContent("code", "train.py", "print('trained')").status == 200


def _use_trainings(session):
    path = "/v2/%s/training-jobs" % session.project_id
    algorithm = {"code_dir": "/code/", "boot_file": "/code/train.py"}
    body = {"kind": "job", "metadata": {"name": "short"}, "algorithm": algorithm}
    path += "/" + session.request("POST", path, body=body)["metadata"]["id"]
    wait_until(lambda: session.request("GET", path)["status"]["phase"] == "Completed")
    session.request("DELETE", path)


def _use_boards(session):
    path = "/v1/%s/visualization-jobs" % session.project_id
    body = {"job_name": "board", "train_url": "/code/", "job_type": "tensorboard"}
    job_id = session.request("POST", path, body=body)["job_id"]
    shares = "/local/%s/visualization-jobs/%s/shares" % (session.project_id, job_id)
    session.request("POST", shares, body={"hours": 1})
    session.request("DELETE", "%s/%s" % (path, job_id))


def test_service_answers_when_all_is_on_the_disk(tmp_path):
    """All that a service was told, and has said, survives a power cut after its answer."""
    trace, root = tmp_path / "trace", tmp_path / "home" / "root"
    options = ("--root", str(root), "--obs-api", "--load-late")
    root.parent.mkdir()
    command = _modelarts(trace, "serve", *options)
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as traced:
        wait_until(lambda: (root / "service.json").exists())
        connection = json.loads((root / "service.json").read_text())
        names = ("access_key", "secret_key", "project_id", "region_name", "modelarts_endpoint")
        settings = {name: connection[name] for name in names}
        try:
            with Session(
                **settings, obs_endpoint=connection["obs_http_endpoint"], proxies={}
            ) as session:
                _use_objects(session)
                _use_trainings(session)
                _use_boards(session)
        finally:
            os.kill(connection["pid"], signal.SIGKILL)
            traced.wait()
    seen = Trace(trace, tmp_path / "home")
    assert seen.wrong == []
    assert seen.answers > 20
    synchronized = {re.sub("[0-9a-f-]{32,}|[0-9]+$", "N", path) for path in seen.kept}
    assert synchronized > {
        ".",
        "./root",
        "./root/jobs.sqlite-wal",
        "./root/obs",
        "./root/obs/bucket",
        "./root/uploads",
        "./root/uploads/N",
        "./root/trainings",
        "./root/trainings/N",
        "./root/trainings/N/.ended.json.N",
    }


def test_users_are_on_the_disk_when_a_command_ends(tmp_path):
    """So are new keys: the old ones stay invalid."""
    users = tmp_path / "home" / "users.json"
    users.parent.mkdir()
    for action in ("add", "keys"):
        trace = tmp_path / action
        command = _modelarts(trace, "users", action, "ann", "--users", str(users))
        subprocess.run(command, stdout=subprocess.DEVNULL, check=True)
        seen = Trace(trace, tmp_path / "home")
        assert seen.wrong == []
        assert seen.kept["."] == 1


def test_folders_are_made_below_relative_paths(tmp_path, monkeypatch):
    """Twice is as good as once; what is a file is no folder."""
    monkeypatch.chdir(tmp_path)
    for _ in range(2):
        make_folder("a/b")
    assert (tmp_path / "a" / "b").stat().st_mode & 0o777 == 0o700
    (tmp_path / "file").touch()
    for path in ("file", "file/c"):
        with pytest.raises(FileExistsError):
            make_folder(path)
