"""Visualization jobs: TensorBoard over training logs in OBS."""

import os
from types import TracebackType
from typing import List, Optional, Type, Union

from modelarts._status import JOB_STATE, JobStatus
from modelarts.errors import InvalidArgument, JobStateError, ModelArtsError, NotFound
from modelarts.session import Session
from modelarts.visualization._documented import DocumentedCalls
from modelarts.visualization._known import RESTARTED

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
    change the object and answer it. ``ensure``, ``show``, ``open`` and ``with`` are said with
    them. The documented calls (``…_visualization_job…``) answer
    what is documented; those that answer a dict do so also when the service refuses.

    As a context manager it stops the job at the end of the block:

    >>> with VisualizationJob.create("/bucket/logs/") as job:             # doctest: +SKIP
    ...     job.show()

    Making an object sends nothing. The first time that an attribute is read which is not
    known yet, the details are fetched, once.

    Args:
        modelarts_session: the session; by default one made from the environment.
        visualization_id: the job's id, such as ``'8992'``; not needed to create a job.
        session: the same as ``modelarts_session``.

    Source: *ModelArts SDK Reference*, "Visualization Jobs".
    """

    __slots__ = ()

    @classmethod
    def ensure(
        cls,
        train_url: Union[str, "os.PathLike[str]"],
        job_name: Optional[str] = None,
        job_desc: str = "",
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
        session: Optional[Session] = None,
        *,
        obs_path: Optional[str] = None,
        check: bool = True,
    ) -> "VisualizationJob":
        """The running job of that folder, else a stopped one restarted, else a new one.

        >>> job = VisualizationJob.ensure("/bucket/logs/", auto_stop=2)   # doctest: +SKIP
        >>> job.show()                                                    # doctest: +SKIP

        All jobs of the project are looked at. A job that starts counts as running; one that is
        just being stopped is waited for. Of several, it is the newest. Where two programs ensure
        the same folder at once, both get the same job. Takes the arguments of :meth:`create`;
        ``job_name``, ``job_desc``, ``auto_stop``, ``flavor`` and ``check`` are for a new job only;
        a local folder is brought to OBS in any case, what has changed of it.

        Raises:
            InvalidArgument: an argument is wrong; nothing was sent.
            ApiError: the service refused, e.g. :class:`~modelarts.errors.QuotaExceeded`.
            WaitTimeout: a job is being stopped, and that does not end.
        """
        from modelarts.visualization.ensure import ensure

        new = cls(session=session)
        body = new._body(train_url, job_name, job_desc, job_type, auto_stop, flavor, obs_path)

        def create() -> "VisualizationJob":
            return new._created(body, unique=job_name is None, check=check)

        return ensure(cls, new.session, body["train_url"], body["job_type"], create)

    def wait(
        self,
        until: "Union[int, List[int]]" = JobStatus.RUNNING,
        timeout: float = 600,
        progress: bool = True,
    ) -> "VisualizationJob":
        """Wait until the job is running, or has another status.

        A notebook, and a terminal, meanwhile show one line: the status, the time waited, and when
        the next look is. An interrupt ends the wait and nothing else.

        Args:
            until: the status, or several. KILLED, CANCELED and COMPLETED all mean stopped:
                waiting for one of them accepts any.
            timeout: seconds.
            progress: False to show nothing.

        Raises:
            JobFailed: the job is in a state from which it will not come to that status.
            WaitTimeout: the time was over; also a ``TimeoutError``.
            NotFound: the job is gone.
        """
        from modelarts.visualization.display.notebook import live_line
        from modelarts.visualization.waiter import wait_for

        line = live_line() if progress else None
        wait_for(self, until, timeout, self.session.clock, bool(self._state & RESTARTED), line)
        return self

    def show(self, height: int = 800, timeout: float = 120) -> None:
        """Show the board below the cell of a notebook; elsewhere print its address.

        A job that is just starting is waited for. Where the browser reaches the board by way of
        the notebook's server, the address is one there; see :meth:`open`.

        Args:
            height: of the board, in pixels.
            timeout: seconds to wait until the job is running.

        Raises:
            JobFailed: the job is stopped or has failed; ``job.restart()`` runs it again.
            WaitTimeout: it did not run in time.
        """
        from modelarts.visualization.display import html as cards
        from modelarts.visualization.display import notebook as screen

        if isinstance(height, bool) or not isinstance(height, int) or height < 1:
            raise InvalidArgument("height", height, "a number of pixels")
        address = self._board(timeout)
        if screen.in_notebook():
            screen.publish(cards.frame(self, address, height), "board: %s" % address)
        else:
            print("board: %s" % address)

    def open(self, timeout: float = 120) -> str:
        """Open the board in the browser, and answer its address; also where there is no browser.

        A job that is just starting is waited for, as by :meth:`show`, which has the same errors.
        For a board of the local service, ``TENSORBOARD_PROXY_URL`` may say how a browser on
        another machine gets there: ``https://…/proxy/%PORT%/``. Behind JupyterHub, and in a
        Jupyter server with ``jupyter-server-proxy``, that is found by itself; the address is then
        a path on that server.
        """
        from modelarts.visualization.display import html as cards
        from modelarts.visualization.display import notebook as screen

        address = self._board(timeout)
        if not screen.browse(address) and screen.in_notebook():
            screen.publish(cards.link(self, address), "board: %s" % address)
        return address

    def __enter__(self) -> "VisualizationJob":
        return self

    def __exit__(
        self,
        kind: Optional[Type[BaseException]],
        error: Optional[BaseException],
        trace: Optional[TracebackType],
    ) -> None:
        """Stop the job, unless it is stopped, failed or deleted already."""
        try:
            try:
                self.stop()
            except (JobStateError, NotFound):
                if not self._has_ended():
                    raise
        except ModelArtsError as failure:
            if error is None:
                raise
            # What went wrong in the block is the news; but a job that runs on is billed.
            import logging

            logging.getLogger("modelarts").warning(
                "job %s may run on: %s", self.visualization_id, failure
            )

    def _repr_html_(self) -> str:
        from modelarts.visualization.display.html import card

        return card(self)

    def _has_ended(self) -> bool:
        """Whether it does not run any more, or is just being stopped."""
        try:
            status = self.refresh().status
        except NotFound:
            return True
        return status is not None and (status.is_final or status == JobStatus.KILLING)

    def _board(self, timeout: float) -> str:
        """The address of the running board for the reader's browser."""
        from modelarts.visualization.display.board_url import board_address, is_web_address

        self.wait(timeout=timeout)
        address = board_address(self.service_url or "")
        if not is_web_address(address):
            raise self._client().unreadable(
                "show visualization job %s" % self.visualization_id,
                "the job runs, and its service_url is %r" % self.service_url,
            )
        return address
