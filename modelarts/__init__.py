"""The Python SDK for ModelArts visualization jobs, and the service it talks to.

=============================  ==========================================================
``modelarts.session``          ``Session``: who you are and where the services are
``modelarts.estimator``        ``VisualizationJob``: TensorBoard over training logs in OBS
``modelarts.errors``           every exception, in one tree
``modelarts.local``            the service on this machine (extra ``[local]``)
``modelarts.testing``          testing code that uses this package (extra ``[testing]``)
=============================  ==========================================================
"""

__version__ = "0.1.0"
