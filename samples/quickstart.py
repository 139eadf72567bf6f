"""Train a small model, open its loss curve in TensorBoard, and read the curve back.

All of it happens on this machine: the local service is started if it does not run yet, and
it ends with this program. Run it as ``python samples/quickstart.py [--root DIR]``.
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
import uuid
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from tensorboardX import SummaryWriter

from modelarts.errors import NotFound
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session

STEPS = 60


def train(folder: Path) -> list:
    """Fit a logistic regression by gradient descent; log and answer the loss of each step."""
    random = np.random.default_rng(7)
    points = random.normal(size=(400, 3))
    chances = 1 / (1 + np.exp(-points @ [2.0, -1.0, 0.5]))
    labels = random.random(400) < chances
    weights = np.zeros(3)
    losses = []
    with SummaryWriter(str(folder)) as writer:
        for step in range(STEPS):
            guesses = 1 / (1 + np.exp(-points @ weights))
            loss = -np.log(np.where(labels, guesses, 1 - guesses)).mean()
            weights -= 0.8 * points.T @ (guesses - labels) / len(labels)
            writer.add_scalar("loss", loss, step)
            losses.append(float(np.float32(loss)))  # event files hold 32 bits
    return losses


def follow(job: VisualizationJob, until: JobStatus) -> None:
    """Print each status on the way. ``job.wait(until)`` alone waits in silence."""
    passed = [job.status.name]
    deadline = time.monotonic() + 120
    while job.status != until and not job.status.is_failed and time.monotonic() < deadline:
        time.sleep(0.01)
        if job.refresh().status.name != passed[-1]:
            passed.append(job.status.name)
    print(f"job {job.job_id}: {' -> '.join(passed)}")
    job.wait(until, timeout=1)  # raises if the job failed, or is not there yet


def read_curve(service_url: str) -> list:
    """The losses that TensorBoard shows. It reads the event files in the background."""
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    address = service_url + "data/plugin/scalars/scalars?tag=loss&run=."
    deadline = time.monotonic() + 60
    curve = []
    while len(curve) < STEPS and time.monotonic() < deadline:
        try:
            with opener.open(address, timeout=30) as answer:
                curve = [value for _, _, value in sorted(json.load(answer), key=lambda p: p[1])]
        except urllib.error.HTTPError as error:
            if error.code != 404:  # 404: this curve is not read yet
                raise
        time.sleep(0.1)
    return curve


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="the service's folder (default: ~/.modelarts/local)")
    session = Session.local(parser.parse_args().root)

    train_url = f"/quickstart/run-{uuid.uuid4().hex}/"
    buckets = Path(urllib.request.url2pathname(urlsplit(session.obs_endpoint).path))
    logged = train(buckets / train_url.strip("/"))
    print(f"trained for {STEPS} steps; the event files are in {train_url}")

    job = VisualizationJob.create(train_url, auto_stop=1, session=session)
    follow(job, JobStatus.RUNNING)
    print(f"board: {job.service_url}")

    curve = read_curve(job.service_url)
    for step in range(0, len(curve), 6):
        print(f"  step {step:2d}  loss {curve[step]:.4f}  {'#' * round(60 * curve[step])}")
    if curve != logged:
        job.delete()
        sys.exit(f"the curve in TensorBoard ({len(curve)} points) is not the one that was logged")
    print(f"the {STEPS} losses in TensorBoard equal those that were logged")

    follow(job.stop(), JobStatus.KILLED)
    follow(job.restart(), JobStatus.RUNNING)
    job.delete()
    try:
        job.refresh()
    except NotFound:
        print(f"job {job.job_id}: deleted")
    else:
        sys.exit(f"job {job.job_id} was deleted and is still there")


if __name__ == "__main__":
    main()
