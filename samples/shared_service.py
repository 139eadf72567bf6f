"""One local service for a team: each member's own board, and a list of everybody's.

Somebody runs the service on a machine that all of you reach, in a network that you trust (it speaks
plain HTTP):

    modelarts serve --root /srv/boards --host 10.0.0.5 --port 8700

and gives the others a file team.json with the keys, the project and the address:

    {"access_key": "…", "secret_key": "…", "project_id": "…", "region_name": "…",
     "modelarts_endpoint": "http://10.0.0.5:8700", "iam_endpoint": "http://10.0.0.5:8700"}

Each of them then runs

    python samples/shared_service.py team.json /team/ann/run-7/

as often as they like: the board that is there already is found again.
"""

import argparse
import getpass
import re

from modelarts.errors import QuotaExceeded
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session


def board_of(train_url, user, session):
    """The running board of that folder, whoever created it; else a new one."""
    for job in VisualizationJob.iter(session, status=JobStatus.RUNNING):
        if job.train_url == train_url:
            return job
    name = re.sub(r"[^0-9A-Za-z_-]", "-", user)[:20]
    return VisualizationJob.create(train_url, job_name=name, auto_stop=8, session=session)


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="the file with keys and addresses")
    parser.add_argument("train_url", help="the folder, as /bucket/path/")
    parser.add_argument("--user", default=getpass.getuser(), help="the board's name")
    given = parser.parse_args(arguments)

    session = Session(config_file=given.config)
    try:
        board = board_of(given.train_url, given.user, session)
        print("your board:", board.wait().service_url)
    except QuotaExceeded:
        print("no room for one more board; these run:")
    for job in VisualizationJob.iter(session, status=JobStatus.RUNNING):
        print(f"  {job.job_name}  {job.train_url}  {job.service_url}")


if __name__ == "__main__":
    main()
