"""The parameters of the create of a job."""

import os
from typing import TYPE_CHECKING, Any, Dict, Mapping, NamedTuple, Optional, Tuple, Union

from modelarts import validation as arguments
from modelarts.errors import InvalidArgument

if TYPE_CHECKING:
    from modelarts.session import Session


class CreateRequest(NamedTuple):
    """A request for a new job, whose parameters are valid.

    Attributes:
        train_url: the folder in OBS; before :meth:`located`, also a folder of this machine, or
            several folders by name. None if ``sources`` are given.
        has_unique_name: True if no other job can have the name, because it was generated here.
        schedule: the schedule in the form that v1 sends; None: the job runs until it is stopped.
        flavor: the specification in the form that v1 sends.
        folders: the folders of this machine that the service reads in place.
        sources: ``("job", id)`` of trainings and ``("nfs", path)``, which v2 alone shows.
        pool_id: the resource pool, of v2.
    """

    train_url: Union[None, str, "os.PathLike[str]", Dict[str, Union[str, "os.PathLike[str]"]]]
    job_name: str
    has_unique_name: bool
    job_desc: str
    job_type: str
    schedule: Optional[Any]
    flavor: Optional[Dict[str, str]]
    folders: Tuple[str, ...] = ()
    sources: Tuple[Tuple[str, str], ...] = ()
    pool_id: Optional[str] = None

    @property
    def subject(self) -> object:
        """The folder or the sources, for the texts of errors."""
        return self.train_url or self.sources

    @property
    def operation(self) -> str:
        """The operation in words."""
        return "create visualization job"

    @classmethod
    def validate(
        cls,
        train_url: object,
        job_name: Optional[str] = None,
        job_desc: Optional[str] = None,
        job_type: str = "tensorboard",
        auto_stop: Optional[int] = None,
        flavor: Optional[str] = None,
        training_jobs: Optional[Any] = None,
        pool_id: Optional[str] = None,
        api: str = "v1",
    ) -> "CreateRequest":
        """Return the request for these arguments of :meth:`VisualizationJob.create`.

        Args:
            api: the version whose rules apply.

        Raises:
            InvalidArgument: an argument is wrong.
        """
        # Not from the random module: forked workers share its state, and two jobs of one name
        # could not be told apart.
        made_up = "job" + os.urandom(4).hex()
        name = arguments.job_name(made_up if job_name is None else job_name, api)
        desc = arguments.job_desc("" if job_desc is None else job_desc)
        kind = arguments.job_type(job_type, api)
        schedule = arguments.auto_stop(auto_stop, api)
        specification = arguments.flavor(flavor)
        source = arguments.nfs(train_url)
        sources: Tuple[Tuple[str, str], ...] = () if source is None else (source,)
        if training_jobs is not None:
            if train_url is not None:
                raise InvalidArgument("train_url", train_url, "left out with training_jobs")
            sources = arguments.training_jobs(training_jobs)
        if pool_id is not None and (not isinstance(pool_id, str) or not pool_id):
            raise InvalidArgument("pool_id", pool_id, "the id of a resource pool, or None")
        if api == "v1":
            _refuse_v2(train_url if source else None, training_jobs, pool_id)
        checked: Any = None if sources else train_url
        if isinstance(train_url, (list, tuple, Mapping)):
            checked = arguments.folders(train_url)
        elif not sources and not arguments.is_local(train_url):
            checked = arguments.train_url(train_url)
        return cls(
            checked,
            name,
            job_name is None,
            desc,
            kind,
            None if schedule is None else schedule.to_wire(),
            specification,
            sources=sources,
            pool_id=pool_id,
        )

    def located(self, session: "Session", obs_path: Optional[str]) -> "CreateRequest":
        """Return the same request for a ``train_url`` that the service can read.

        With the service of this machine, a folder is read in place; otherwise it is sent to OBS.

        Args:
            obs_path: as in :meth:`VisualizationJob.create`.

        Raises:
            InvalidArgument: a folder cannot be read, or there is no place for it in OBS.
            IncompleteTransfer: some files could not be sent.
        """
        from modelarts.visualization import logs

        if self.train_url is None:
            return self
        if isinstance(self.train_url, dict):
            return self._replace(**logs.mounted(session, self.train_url))
        if not arguments.is_local(self.train_url):
            return self
        if session.local_root is not None and obs_path is None:
            return self._replace(**logs.mounted(session, {"": self.train_url}))
        return self._replace(train_url=logs.send_folder(session, self.train_url, obs_path))

    def body(self) -> Dict[str, Any]:
        """Return the body of the API's create call."""
        body: Dict[str, Any] = {
            "job_name": self.job_name,
            "job_desc": self.job_desc,
            "job_type": self.job_type,
            "train_url": self.train_url,
        }
        if self.schedule is not None:
            body["schedule"] = self.schedule
        if self.flavor is not None:
            body["flavor"] = self.flavor
        return body


def _refuse_v2(nfs: object, training_jobs: object, pool_id: object) -> None:
    unsupported = {"train_url": nfs, "training_jobs": training_jobs, "pool_id": pool_id}
    for name, value in unsupported.items():
        if value is not None:
            raise InvalidArgument(
                name,
                value,
                "left out, or session=session.with_api('v2'): the v1 API, which this session uses, "
                "shows folders in OBS only"
                if name != "train_url"
                else "a folder in OBS, or session=session.with_api('v2'), as only v2 shows NFS",
            )
