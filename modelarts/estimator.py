"""The documented import path of visualization jobs and of the Estimator of V1."""

from modelarts._status import JOB_STATE, JobStatus
from modelarts.visualization.job import VisualizationJob

# Type checkers take this for True.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelarts.training.estimator_v1 import Estimator, TrainingJobVersion

__all__ = ["JOB_STATE", "Estimator", "JobStatus", "TrainingJobVersion", "VisualizationJob"]

if not TYPE_CHECKING:  # else every name would exist for type checkers

    def __getattr__(name):
        """Import what trainings need on first use (PEP 562): it takes as long as all the rest."""
        if name not in ("Estimator", "TrainingJobVersion"):
            raise AttributeError("module 'modelarts.estimator' has no attribute %r" % name)
        from modelarts.training import estimator_v1

        value = globals()[name] = getattr(estimator_v1, name)
        return value

    def __dir__():
        """Return the names of the module, also those that are not imported yet."""
        return sorted({*globals(), *__all__})
