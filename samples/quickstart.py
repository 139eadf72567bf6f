"""Train a small model, watch its log and its loss curve in TensorBoard, and read the curve back.

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

import numpy as np

from modelarts import Session
from modelarts.estimatorV2 import Estimator
from modelarts.train_params import TrainingFiles

CODE = Path(__file__).parent / "quickstart_code"
STEPS = 60


def read_curve(service_url: str) -> list:
    """Return the losses that TensorBoard shows. It reads the event files in the background."""
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
    """Train, watch and compare."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="the service's folder (default: ~/.modelarts/local)")
    session = Session.local(parser.parse_args().root)

    name = f"quickstart-{uuid.uuid4().hex[:8]}"
    estimator = Estimator(
        session,
        training_files=TrainingFiles(str(CODE), "train.py"),
        parameters={"steps": STEPS},
        outputs=f"{name}/",
        tensorboard="train_url",  # the output's name: event files are in it
    )
    job = estimator.fit(job_name=name)
    print(f"training {job.job_name}: {job.phase}")
    board = job.board(auto_stop=1).wait(progress=False)
    print(f"board: {board.service_url}")

    logged = []
    for line in job.logs(follow=True):
        step = int(line.split()[1])
        logged.append(float(line.split()[3]))
        if step % 6 == 0:
            print(f"  {line}")
    job.wait(progress=False)
    print(f"training {job.job_name}: {job.phase}")

    curve = read_curve(board.service_url)
    # Event files hold 32 bits.
    if not np.array_equal(np.float32(curve), np.float32(logged)):
        sys.exit(f"the curve in TensorBoard ({len(curve)} points) is not the one that was logged")
    print(f"the {STEPS} losses in TensorBoard equal those that were logged")
    board.delete()
    job.delete()


if __name__ == "__main__":
    main()
