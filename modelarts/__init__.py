"""The Python SDK for trainings and visualization jobs of ModelArts, and the service it talks to.

=============================  ==========================================================
``modelarts.session``          ``Session``: who you are and where the services are
``modelarts.estimator``        ``VisualizationJob``: TensorBoard over training logs in OBS
``modelarts.estimatorV2``      ``Estimator``: trainings, as the original defines them
``modelarts.train_params``     ``TrainingFiles``, ``InputData`` and ``OutputData`` of these
``modelarts.errors``           every exception, in one tree
``modelarts.magic``            ``%load_ext modelarts`` for notebooks
``modelarts.local``            the service on this machine (extra ``[local]``)
``modelarts.testing``          testing code that uses this package (extra ``[testing]``)
=============================  ==========================================================

The names that most programs need can be imported from here. Importing the package itself loads
nothing; a name is imported when it is first used.

>>> from modelarts import JobStatus, Session, TrainingJob, VisualizationJob, errors
"""

# Type checkers take this for True. Not from typing, which would have to be imported.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from modelarts import errors
    from modelarts.estimator import JobStatus, VisualizationJob
    from modelarts.models import JobInfo
    from modelarts.session import Session
    from modelarts.training.job import TrainingJob

__all__ = [
    "JobInfo",
    "JobStatus",
    "Session",
    "TrainingJob",
    "VisualizationJob",
    "errors",
    "load_ipython_extension",
]

__version__ = "0.2.0"

#: The module of each name that is imported on first use.
_MODULES = {
    "JobInfo": "modelarts.models",
    "JobStatus": "modelarts._status",
    "Session": "modelarts.session",
    "TrainingJob": "modelarts.training.job",
    "VisualizationJob": "modelarts.estimator",
}


if not TYPE_CHECKING:  # else every name would exist for type checkers

    def __getattr__(name):
        """Import a name of the package on first use (PEP 562)."""
        from importlib import import_module

        if name == "errors":
            return import_module("modelarts.errors")  # which also sets the attribute
        if name not in _MODULES:
            raise AttributeError("module 'modelarts' has no attribute %r" % name)
        value = globals()[name] = getattr(import_module(_MODULES[name]), name)
        return value

    def __dir__():
        """Return the names of the package, also those that are not imported yet."""
        return sorted({*globals(), *__all__})


def load_ipython_extension(ipython: object) -> None:
    """Load the extension, as ``%load_ext modelarts`` does; see :mod:`modelarts.magic`.

    Args:
        ipython: the ``InteractiveShell`` of the notebook.
    """
    from importlib import import_module

    import_module("modelarts.magic").load_ipython_extension(ipython)
