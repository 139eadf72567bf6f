"""The documented import path of the classes for visualization jobs."""

from modelarts._status import JOB_STATE, JobStatus
from modelarts.visualization.job import VisualizationJob

__all__ = ["JOB_STATE", "JobStatus", "VisualizationJob"]
