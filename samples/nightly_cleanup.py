"""Find visualization jobs that were forgotten, and stop them.

A job without auto stop runs, and is billed, until somebody stops it. Run this every night:

    python samples/nightly_cleanup.py --older-than 12           # says what it would do
    python samples/nightly_cleanup.py --older-than 12 --stop    # does it

Who is meant is found as by Session(): set MODELARTS_ACCESS_KEY and so on, or write config.json. It
ends with 1 if a job could not be stopped. A line for cron:

    17 3 * * *  /path/to/venv/bin/python nightly_cleanup.py --stop
"""

import argparse
import sys

from modelarts.errors import ApiError, JobStateError
from modelarts.estimator import JobStatus, VisualizationJob
from modelarts.session import Session

ACTIVE = [JobStatus.INIT, JobStatus.WAITING, JobStatus.RUNNING]


def hours_since(job, session):
    """How long ago a job was created."""
    return (session.clock.time() - job.create_time / 1000) / 3600


def main(arguments=None, session=None):
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--older-than", type=float, default=12, metavar="HOURS")
    parser.add_argument("--stop", action="store_true", help="stop them; else only say which")
    given = parser.parse_args(arguments)
    session = session or Session()

    failed = 0
    for job in VisualizationJob.iter(session, status=ACTIVE, sort_by="create_time"):
        hours = hours_since(job, session)
        job.refresh()  # lists need not tell the schedule
        if job.schedule is not None:
            verdict = f"stops by itself after {job.schedule.duration} hours"
        elif hours < given.older_than:
            verdict = "has no auto stop; create it with auto_stop= next time"
        elif not given.stop:
            verdict = "would be stopped"
        else:
            try:
                job.stop()
                verdict = "stopped"
            except JobStateError:
                verdict = "had ended meanwhile"
            except ApiError as refusal:
                failed += 1
                verdict = f"could not be stopped: {refusal}"
        print(f"{job.job_id}  {job.job_name}  {hours:.1f} h  {job.train_url}  {verdict}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
