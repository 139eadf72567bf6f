"""Visualization jobs: TensorBoard over training logs in OBS."""

from typing import List, Union

from modelarts.jobs.documented import DocumentedCalls
from modelarts.jobs.known import RESTARTED
from modelarts.jobs.status import JOB_STATE, JobStatus

__all__ = ["JOB_STATE", "JobStatus", "VisualizationJob"]


class VisualizationJob(DocumentedCalls):
    """One visualization job.

    >>> job = VisualizationJob.create("/bucket/logs/", auto_stop=2, session=session)
    >>> job.wait().service_url                                            # doctest: +SKIP
    'https://…/modelarts/tensorboard/04f679b17380d32a2f32c00335c4b5ba/197/'
    >>> job.stop().wait(until=JobStatus.KILLED).restart().wait()          # doctest: +SKIP
    VisualizationJob(visualization_id='197', job_name='job1f00aa27', status='RUNNING')
    >>> job.delete()                                                      # doctest: +SKIP

    There are two voices. The short verbs (``create``, ``get``, ``list``, ``iter``,
    ``refresh``, ``update``, ``stop``, ``restart``, ``delete``, ``wait``) raise typed errors,
    change the object and answer it. The documented calls (``…_visualization_job…``) answer
    the documented dict, also when the service refuses.

    Making an object sends nothing. The first time that an attribute is read which is not
    known yet, the details are fetched, once.

    Args:
        modelarts_session: the session; by default one made from the environment.
        visualization_id: the job's id, such as ``'8992'``; not needed to create a job.
        session: the same as ``modelarts_session``.

    Source: *ModelArts SDK Reference*, "Visualization Jobs".
    """

    __slots__ = ()

    def wait(
        self, until: "Union[int, List[int]]" = JobStatus.RUNNING, timeout: float = 600
    ) -> "VisualizationJob":
        """Wait until the job is running, or has another status.

        Args:
            until: the status, or several. KILLED, CANCELED and COMPLETED all mean stopped:
                waiting for one of them accepts any.
            timeout: seconds.

        Raises:
            JobFailed: the job is in a state from which it will not come to that status.
            WaitTimeout: the time was over; also a ``TimeoutError``.
            NotFound: the job is gone.
        """
        from modelarts.jobs.waiting import wait_for

        wait_for(self, until, timeout, self.session.clock, bool(self._state & RESTARTED))
        return self
