"""Send event files to OBS while training writes them, and see the curve grow on the board.

    python samples/upload_while_training.py runs obs://bucket/logs/ --local
    python samples/upload_while_training.py runs obs://bucket/logs/

The first line works on this machine; the second one in the cloud, as whom Session() finds. Put your
own training in the place of train().
"""

import argparse
import json
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import numpy as np
from tensorboardX import SummaryWriter

from modelarts.estimator import VisualizationJob
from modelarts.session import Session

STEPS = 60


def train(folder):
    """Fit a logistic regression, slowly; answers each step when it is logged."""
    random = np.random.default_rng(7)
    points = random.normal(size=(400, 3))
    labels = random.random(400) < 1 / (1 + np.exp(-points @ [2.0, -1.0, 0.5]))
    weights = np.zeros(3)
    with SummaryWriter(str(folder), flush_secs=1) as writer:
        for step in range(STEPS):
            guesses = 1 / (1 + np.exp(-points @ weights))
            loss = -np.log(np.where(labels, guesses, 1 - guesses)).mean()
            weights -= 0.8 * points.T @ (guesses - labels) / len(labels)
            writer.add_scalar("loss", loss, step)
            yield step
            time.sleep(0.05)


def curve(service_url, run, at_least):
    """The losses that the board shows, once there are so many of them."""
    address = f"{service_url}data/plugin/scalars/scalars?tag=loss&run={run}"
    # No proxy leads to a board of this machine.
    proxies = urllib.request.ProxyHandler({} if "://127.0.0.1:" in service_url else None)
    opener = urllib.request.build_opener(proxies)
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with opener.open(address, timeout=30) as answer:
                losses = [loss for _, _, loss in json.load(answer)]
            if len(losses) >= at_least:
                return losses
        except urllib.error.HTTPError as error:
            if error.code != 404:  # 404: this curve is not read yet
                raise
        time.sleep(0.2)
    sys.exit(f"the board does not show {at_least} steps of {run}")


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", type=Path, help="where training writes; it is made if need be")
    parser.add_argument("obs_dir", help="the folder in OBS that it is to be in: obs://bucket/logs/")
    parser.add_argument("--local", action="store_true", help="use the service on this machine")
    given = parser.parse_args(arguments)
    session = Session.local() if given.local else Session()

    run = time.strftime("run-%H%M%S")
    train_url = f"{given.obs_dir.rstrip('/')}/{given.folder.resolve().name}/"
    # Nothing is there yet, so it is not to be warned of.
    with VisualizationJob.ensure(train_url, auto_stop=1, check=False, session=session) as job:
        print("board:", job.wait().service_url)
        with session.obs.watch(given.folder, given.obs_dir, interval=1):
            for step in train(given.folder / run):
                if step == STEPS // 2:
                    seen = len(curve(job.service_url, run, at_least=1))
                    print(f"after {step + 1} of {STEPS} steps the board shows {seen}")
        losses = curve(job.service_url, run, at_least=STEPS)
        print(f"at the end it shows {len(losses)}, from {losses[0]:.4f} to {losses[-1]:.4f}")


if __name__ == "__main__":
    main()
