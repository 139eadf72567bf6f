"""Links to one board that end: what is kept of them, and their limits."""

from __future__ import annotations

import hashlib
import secrets

import attr

from modelarts.local.errors import Failure
from modelarts.local.jobs.clock import Timeline
from modelarts.local.jobs.store import PAGES, Job, Store

#: The last part of the path of a link, where the address of a board has the number of its job.
SHARED = "shared"
_KEY_BYTES = 32
#: The length of the key in a link.
KEY_LENGTH = len(secrets.token_urlsafe(_KEY_BYTES))
_HOUR = 3_600_000


@attr.s(frozen=True, slots=True, auto_attribs=True)
class Share:
    """A row. Of the key in the link only a hash is kept.

    Attributes:
        create_time: by the wall clock, in milliseconds.
        end_time: by the wall clock as it was then; it is shown.
        ends_at: on the timeline's ``passed``, which decides.
    """

    share_id: str
    job_id: int
    key_hash: str = attr.ib(repr=False)
    create_time: int
    end_time: int
    ends_at: int


class Shares:
    """The links of one service.

    Args:
        max_hours: how long a link may work; 0: there are none.
        max_shares: how many links of a project may work at once.
    """

    def __init__(self, store: Store, timeline: Timeline, max_hours: int, max_shares: int) -> None:
        self._store = store
        self._timeline = timeline
        self._max_hours = max_hours
        self._max_shares = max_shares

    def add(self, job: Job, hours: object) -> tuple[Share, str]:
        """Return a new link to the board of a job, and its path, which is in no other place.

        Raises:
            Failure: it would work for too long, there are too many, or there may be none.
        """
        if not self._max_hours:
            raise Failure(
                403,
                "ModelArts.0108",
                "Links to boards are switched off: whoever runs the service gave "
                "--max-share-hours 0.",
            )
        if not isinstance(hours, int) or isinstance(hours, bool) or hours < 1:
            raise _illegal("hours must be a whole number from 1")
        if hours > self._max_hours:
            raise _illegal(
                f"hours must be at most {self._max_hours}, the limit of this service "
                "(--max-share-hours)"
            )
        if job.job_type != "tensorboard":
            raise _illegal("Only boards of TensorBoard can be shared, as others can be changed.")
        key = secrets.token_urlsafe(_KEY_BYTES)
        now, length = self._timeline.wall(), hours * _HOUR
        share = Share(
            secrets.token_hex(8),
            job.job_id,
            _hash(key),
            now,
            now + length,
            self._timeline.passed() + length,
        )
        with self._store.alone() as db:
            db.execute("DELETE FROM shares WHERE ends_at <= ?", (self._timeline.passed(),))
            row = db.execute(
                "SELECT count(*) FROM shares JOIN jobs USING (job_id) WHERE project_id = ?",
                (job.project_id,),
            ).fetchone()
            if row[0] >= self._max_shares:
                raise Failure(
                    400,
                    "ModelArts.0118",
                    f"The project has {row[0]} links to boards, and may have {self._max_shares} "
                    "(--max-shares). Revoke one, or wait until one ends.",
                )
            if self._store.get(job.job_id, job.project_id) is None:
                raise Failure(
                    404, "ModelArts.0015", f"The visualization job {job.job_id} does not exist."
                )
            db.execute("INSERT INTO shares VALUES (?, ?, ?, ?, ?, ?)", attr.astuple(share))
        return share, f"{PAGES}{key}/{SHARED}/"

    def of_job(self, job_id: int) -> list[Share]:
        """Return the links of a job that work, the oldest first."""
        with self._store.transaction() as db:
            rows = db.execute(
                "SELECT * FROM shares WHERE job_id = ? AND ends_at > ? "
                "ORDER BY create_time, share_id",
                (job_id, self._timeline.passed()),
            ).fetchall()
        return [Share(**row) for row in rows]

    def revoke(self, job_id: int, share_id: str) -> None:
        """End a link at once.

        Raises:
            Failure: the job has no such link.
        """
        with self._store.transaction() as db:
            cursor = db.execute(
                "DELETE FROM shares WHERE job_id = ? AND share_id = ?", (job_id, share_id)
            )
        if not cursor.rowcount:
            raise Failure(404, "ModelArts.0015", "The job has no such link, or not any more.")

    def find(self, key: str) -> Job | None:
        """Return the job of the link with this key; None if there is none that works."""
        with self._store.transaction() as db:
            row = db.execute(
                "SELECT job_id FROM shares WHERE key_hash = ? AND ends_at > ?",
                (_hash(key), self._timeline.passed()),
            ).fetchone()
        return None if row is None else self._store.get(row["job_id"])


def _hash(key: str) -> str:
    # A key is random and long: a hash without salt cannot be turned back.
    return hashlib.sha256(key.encode()).hexdigest()


def _illegal(message: str) -> Failure:
    return Failure(400, "ModelArts.0104", message)
