"""The training of the quickstart: fits a logistic regression, and logs the loss of each step."""

import argparse
import time

import numpy as np
from tensorboardX import SummaryWriter


def main() -> None:
    """Train by gradient descent."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--train_url", help="the folder for event files")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rate", type=float, default=0.8)
    args = parser.parse_args()
    random = np.random.default_rng(7)
    points = random.normal(size=(400, 3))
    chances = 1 / (1 + np.exp(-points @ [2.0, -1.0, 0.5]))
    labels = random.random(400) < chances
    weights = np.zeros(3)
    with SummaryWriter(args.train_url, flush_secs=1) as writer:
        for step in range(args.steps):
            guesses = 1 / (1 + np.exp(-points @ weights))
            loss = np.float32(-np.log(np.where(labels, guesses, 1 - guesses)).mean())
            weights -= args.rate * points.T @ (guesses - labels) / len(labels)
            writer.add_scalar("loss", loss, step)
            print(f"step {step:2d}  loss {loss!s:<10}  {'#' * round(60 * float(loss))}")
            time.sleep(0.05)  # so that there is something to watch


if __name__ == "__main__":
    main()
