"""Training: the loop over epochs and batches, its callbacks, schedules and metrics."""

from . import callbacks, schedules
from .callbacks import Callback
from .functions import evaluate, fit, predict
from .metrics import Evaluation
from .schedules import Schedule

__all__ = ["Callback", "Evaluation", "Schedule", "callbacks", "evaluate", "fit", "predict", "schedules"]
