"""Eight trainings with different learning rates, side by side on one board.

All of it happens on this machine, as many trainings at once as there are processors. Run it as
``python samples/sweep.py [--root DIR]``.
"""

import argparse
import uuid
from pathlib import Path

from modelarts import Session, VisualizationJob
from modelarts.estimatorV2 import Estimator
from modelarts.train_params import TrainingFiles

CODE = Path(__file__).parent / "quickstart_code"
RATES = (0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)


def main() -> None:
    """Start all trainings, open the board, and name the best rate."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", help="the service's folder (default: ~/.modelarts/local)")
    parser.add_argument("--steps", type=int, default=40, help="of each training (%(default)s)")
    args = parser.parse_args()
    session = Session.local(args.root).with_api("v2")
    sweep = f"sweep-{uuid.uuid4().hex[:8]}"

    jobs = {}
    for rate in RATES:
        name = f"{sweep}-{rate:g}".replace(".", "_")
        estimator = Estimator(
            session,
            training_files=TrainingFiles(str(CODE), "train.py"),
            parameters={"rate": rate, "steps": args.steps},
            outputs=f"{sweep}/{rate:g}/",
            tensorboard="train_url",
        )
        jobs[rate] = estimator.fit(job_name=name)
    board = VisualizationJob.ensure(
        training_jobs=list(jobs.values()), auto_stop=1, session=session, check=False
    )
    print(f"board: {board.wait(progress=False).service_url}")

    losses = {}
    for rate, job in jobs.items():
        job.wait(progress=False)
        losses[rate] = float(list(job.logs())[-1].split()[3])
        print(f"  rate {rate:4g}: loss {losses[rate]:.4f} after {job.duration} ms")
    best = min(losses, key=losses.get)
    print(f"the best of {len(jobs)} rates is {best:g}")


if __name__ == "__main__":
    main()
