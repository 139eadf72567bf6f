"""A list of jobs that is shown as a table."""

from typing import TYPE_CHECKING, Any, List, TypeVar

from modelarts.errors import ConfigurationError
from modelarts.visualization.display import html as cards
from modelarts.visualization.display import table
from modelarts.visualization.display import text as display

if TYPE_CHECKING:
    from modelarts.visualization.display.text import Shown

__all__ = ["JobList"]

_J = TypeVar("_J", bound="Shown")
_MOST_ROWS = 100


class JobList(List[_J]):
    """A ``list`` of jobs; a terminal and a notebook show it as a table.

    Showing it sends no request: the table contains what was last fetched. It shows the first 100
    jobs.

    Example:
        >>> jobs = VisualizationJob.list(session, status=8)                   # doctest: +SKIP
        >>> jobs.to_dataframe().sort_values("created")                        # doctest: +SKIP
    """

    def __repr__(self) -> str:
        if not self:
            return "[]"
        more = len(self) - _MOST_ROWS
        end = "\n… and %d more; to_dataframe() has all" % more if more > 0 else ""
        return table.fitting(self[:_MOST_ROWS]) + end

    __str__ = __repr__

    def _repr_html_(self) -> str:
        return cards.table(self)

    def to_dataframe(self) -> Any:
        """Return the jobs as a ``pandas.DataFrame``, one row for each job.

        No request is sent: a value that was not fetched is missing.

        Returns:
            A data frame indexed by ``job_id``, with the columns ``job_name``, ``status`` (its
            name), ``created`` (with time zone), ``duration`` and ``remaining`` (time spans),
            ``job_type``, ``train_url``, ``service_url`` and ``job_desc``.

        Raises:
            ConfigurationError: pandas is not installed.

        Example:
            >>> VisualizationJob.list(session).to_dataframe()["duration"].sum()   # doctest: +SKIP
        """
        try:
            import pandas
        except ImportError:
            raise ConfigurationError(
                "a data frame needs pandas: pip install 'modelarts[notebook]'"
            ) from None
        infos = [display.last_known(job) for job in self]
        columns = {
            "job_name": [info.job_name for info in infos],
            "status": [None if info.status is None else info.status.name for info in infos],
            "created": pandas.to_datetime([info.created for info in infos], utc=True),
            "duration": pandas.to_timedelta([info.duration for info in infos], unit="ms"),
            "remaining": pandas.to_timedelta(
                [info.remaining_duration for info in infos], unit="ms"
            ),
            "job_type": [info.job_type for info in infos],
            "train_url": [info.train_url for info in infos],
            "service_url": [info.service_url for info in infos],
            "job_desc": [info.job_desc for info in infos],
        }
        return pandas.DataFrame(
            columns, index=pandas.Index([info.job_id for info in infos], name="job_id")
        )
