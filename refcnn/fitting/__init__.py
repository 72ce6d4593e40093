"""Training: the loop over epochs and batches, its callbacks, schedules and metrics."""

from . import callbacks, schedules
from .callbacks import Callback
from .functions import evaluate, fit, predict
from .metrics import Evaluation
from .rate_finder import LearningRates, find_learning_rate
from .schedules import Schedule
from .training_step import TrainingStep

__all__ = [
    "Callback",
    "Evaluation",
    "LearningRates",
    "Schedule",
    "TrainingStep",
    "callbacks",
    "evaluate",
    "find_learning_rate",
    "fit",
    "predict",
    "schedules",
]
