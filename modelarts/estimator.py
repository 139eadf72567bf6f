"""The documented import path of visualization jobs and of the Estimator of V1."""

from modelarts._status import JOB_STATE, JobStatus
from modelarts.training.estimator_v1 import Estimator, TrainingJobVersion
from modelarts.visualization.job import VisualizationJob

__all__ = ["JOB_STATE", "Estimator", "JobStatus", "TrainingJobVersion", "VisualizationJob"]
