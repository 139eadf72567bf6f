"""The documented import path of the value classes of a training."""

from modelarts.training.params import InputData, OutputData, TrainingFiles

__all__ = ["InputData", "OutputData", "TrainingFiles"]
