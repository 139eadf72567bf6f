"""One local service for a team: each member's own board, and a list of everybody's.

Whoever runs the service gives each member keys of their own, and all of them one project:

    modelarts users add ann --project team-a --users users.json
    modelarts users add bob --project team-a --users users.json
    modelarts serve --root /srv/boards --users users.json --port 8090 \\
        --public-url https://boards.example.com

A proxy in front of it adds TLS; docs/self-hosting.md has all of this, with nginx and systemd. Each
member puts what "users add" printed into a file me.json that nobody else can read:

    {"access_key": "…", "secret_key": "…", "region_name": "local-1",
     "modelarts_endpoint": "https://boards.example.com",
     "iam_endpoint": "https://boards.example.com"}

and then runs, as often as they like,

    python samples/shared_service.py me.json /team/ann/run-7/ --project local-1_team-a

The board that is there already is found again, whoever created it.
"""

import argparse
import getpass
import re

from modelarts.errors import QuotaExceeded
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("config", help="the file with keys and addresses")
    parser.add_argument("train_url", help="the folder, as /bucket/path/")
    parser.add_argument("--project", help="the team's project; by default your own")
    parser.add_argument("--user", default=getpass.getuser(), help="the board's name")
    given = parser.parse_args(arguments)

    session = Session(config_file=given.config, project_name=given.project)
    name = re.sub(r"[^0-9A-Za-z_-]", "-", given.user)[:20]
    try:
        board = VisualizationJob.ensure(
            given.train_url, job_name=name, auto_stop=8, session=session
        )
        print("your board:", board.wait().service_url)
    except QuotaExceeded:
        print("no room for one more board; these run:")
    for job in VisualizationJob.iter(session, status=JobStatus.RUNNING):
        print(f"  {job.job_name}  {job.train_url}  {job.service_url}")


if __name__ == "__main__":
    main()
