"""The Python SDK for ModelArts visualization jobs, and the service it talks to.

=============================  ==========================================================
``modelarts.session``          ``Session``: who you are and where the services are
``modelarts.estimator``        ``VisualizationJob``: TensorBoard over training logs in OBS
``modelarts.errors``           every exception, in one tree
``modelarts.magic``            ``%load_ext modelarts`` for notebooks
``modelarts.local``            the service on this machine (extra ``[local]``)
``modelarts.testing``          testing code that uses this package (extra ``[testing]``)
=============================  ==========================================================
"""

__all__ = ["load_ipython_extension"]

__version__ = "0.1.0"


def load_ipython_extension(ipython: object) -> None:
    """What ``%load_ext modelarts`` calls; see ``modelarts.magic``."""
    from importlib import import_module

    import_module("modelarts.magic").load_ipython_extension(ipython)
