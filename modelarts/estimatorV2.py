"""The documented import path of the Estimator of the v2 API."""

from modelarts.training.estimator import Estimator

__all__ = ["Estimator"]
