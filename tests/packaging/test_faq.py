"""The commands of the questions and answers, one after the other, as a reader would run them."""

import csv
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest
from tensorboardX import SummaryWriter

from tests.support.clocks import wait_until

pytestmark = pytest.mark.local

PAGE = (Path(__file__).parents[2] / "docs" / "faq.md").read_text(encoding="utf-8")
BLOCK = re.compile(r"^```(python|sh)\n(.*?)^```$", re.M | re.S)
SECTIONS = dict(re.findall(r"^## (.*?)\n(.*?)(?=^## |\Z)", PAGE, re.M | re.S))
DAY = 24 * 3600


@pytest.fixture
def reader(tmp_path):
    """A folder with two runs, one of them old, and a bucket that is not needed any more."""
    for name in ("a", "b"):
        with SummaryWriter(str(tmp_path / "runs" / name)) as writer:
            writer.add_scalar("loss", 0.5, 1)
    (old,) = (tmp_path / "runs" / "b").iterdir()
    past = old.stat().st_mtime - 31 * DAY
    os.utime(str(old), (past, past))
    bucket = Path.home() / ".modelarts" / "local" / "obs" / "old"
    bucket.mkdir(parents=True)
    (bucket / "events.out.tfevents.1").write_bytes(b"x")
    yield tmp_path
    run("modelarts serve --stop", tmp_path)


def environment():
    """Return that of a shell in which the environment of the tests is active."""
    programs = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    return {**os.environ, "PATH": programs, "BROWSER": "true"}


def run(code, folder, kind="sh"):
    """Return what a block prints."""
    done = subprocess.run(
        ["sh", "-e", "-c", code] if kind == "sh" else [sys.executable, "-c", code],
        cwd=str(folder),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, code + done.stdout
    return done.stdout


def address(text):
    """Return the one address that is in a text."""
    (found,) = re.findall(r"http://127\S*", text)
    return found


def await_runs(board, names):
    """Wait until a board shows runs of these names, and no others."""
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))

    def shown():
        with direct.open(board + "data/runs", timeout=30) as answer:
            return set(json.load(answer))

    wait_until(lambda: shown() == names)


@pytest.mark.skipif(shutil.which("curl") is None, reason="there is no curl")
def test_each_command_does_what_the_answer_says(reader):
    printed, seen = {}, {}
    for title, text in SECTIONS.items():
        blocks = BLOCK.findall(text)
        printed[title] = [run(code, reader, kind) for kind, code in blocks]
        if blocks:
            seen[title] = sorted(path.name for path in (reader / "runs").iterdir())
        if title.startswith("Compare"):
            by_program, by_command = map(address, printed[title])
            await_runs(by_program, {"after", "before"})
            await_runs(by_command, {"a", "b"})
    board = address(printed["See a board that runs on a server"][0])
    assert address(printed["Show a board to others"][0]).endswith("/shared/")
    assert len(printed["A board is empty"][0].splitlines()) == 2
    with open(str(reader / "loss.csv"), newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["Step"], row["Value"]) == ("1", "0.5")
    assert "(remote): stopping" in printed["Stop everything"][0]
    assert (seen["Stop everything"], seen["Delete old logs"]) == (["a", "b"], ["a"])
    assert "deleted 1 object" in printed["Delete old logs"][1]
    assert board in printed["A port is taken"][0]
    assert not (Path.home() / ".modelarts").exists()


def test_logs_are_read_from_an_s3_server(s3, tmp_path):
    """With moto in the place of MinIO."""
    import boto3  # takes long, in each process that collects the tests

    serve, create = re.findall(
        r"^```sh no-run\n(.*?)^```$", SECTIONS["Logs in MinIO or S3"], re.M | re.S
    )
    with SummaryWriter(str(tmp_path / "runs" / "a")) as writer:
        writer.add_scalar("loss", 0.5, 1)
    client = boto3.client(
        "s3",
        endpoint_url=s3,
        region_name="us-east-1",
        aws_access_key_id="minio",
        aws_secret_access_key="minio-secret",
    )
    client.create_bucket(Bucket="bucket")
    for path in (tmp_path / "runs").rglob("*events*"):
        client.upload_file(str(path), "bucket", path.relative_to(tmp_path).as_posix())
    serve = serve.replace("http://minio.example.com:9000", s3).replace("…", "minio")
    assert s3 in serve
    service = subprocess.Popen(
        ["sh", "-e", "-c", serve],
        cwd=str(tmp_path),
        env=environment(),
        stdin=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        wait_until((tmp_path / "boards" / "service.json").exists)
        await_runs(address(run(create, tmp_path)), {"a"})
    finally:
        run("modelarts serve --root ./boards --stop", tmp_path)
    assert service.wait(timeout=60) == 0


def test_list_of_questions_leads_to_each_answer():
    targets = re.findall(r"\]\(#([\w-]+)\) \|$", PAGE, re.M)
    assert targets == [title.lower().replace(" ", "-") for title in SECTIONS]
