"""What is done before a training: a dry run of it, and the search for its learning rate."""

import tempfile
import time
from pathlib import Path

from ..fitting import find_learning_rate
from ..fitting.callbacks import Callback
from ..philox import own_generator
from . import drawing, metric_plots, plotting, report, run_folder, training
from . import options as options_of_runs

#: Batches of a dry run. The first ones make kernels ready, and tell nothing of the speed.
DRY_BATCHES = 3


def dry_run(options, out=None, echo=print):
    """Do all that a training does, with a few batches, in a folder that is removed.

    Parameters
    ----------
    options : dict
        As of :func:`refcnn.runs.training.start`, whose errors are raised, and those of an export.
    out : str or os.PathLike, optional
        The folder of the training itself, of which only is looked whether it could be made.
    echo : callable
        Takes lines of text.
    """
    if out is not None:
        run_folder.check_free(out)
    with tempfile.TemporaryDirectory(prefix="refcnn-dry-run-") as folder:
        session = training.start(options, Path(folder) / "run", batches=DRY_BATCHES)
        watch = _Watch()
        session.loop.callbacks.append(watch)
        configuration = session.run.configuration
        echo(f"Dry run: {configuration.model} on {configuration.device}, {configuration.data}")
        session.finish(echo)
        echo(str(report.write(session.run, session.validation, examples=1)))
    echo(
        f"{DRY_BATCHES} batches at most, a validation, the pictures and the export went well; nothing was kept. "
        f"A batch of {configuration.batch_size} images took {watch.seconds:.2g} s."
    )


class _Watch(Callback):
    """Ends a training after its first epoch, and takes the time of its last batch."""

    def __init__(self):
        self.seconds, self._begun = 0.0, None

    def on_train_begin(self, loop):
        self._begun = time.perf_counter()

    def on_batch_end(self, loop):
        # To read the loss waits for the device.
        _ = loop.loss
        self._begun, former = time.perf_counter(), self._begun
        self.seconds = self._begun - former

    def on_epoch_end(self, loop):
        loop.stop()


@own_generator()
def learning_rates(options, path):
    """Search for a learning rate for a training, and draw what was found.

    Parameters
    ----------
    options : dict
        As of :func:`refcnn.runs.training.start`, whose errors are raised; ``lr`` is not looked at.
    path : str or os.PathLike
        The picture.

    Returns
    -------
    LearningRates

    Raises
    ------
    ArgumentError, FileWriteError
        As :func:`refcnn.runs.plotting.save`.
    """
    plotting.check_picture(path)
    options = training.checked(options)
    prepared = training.prepare(options)
    train = prepared.parts[0]
    found = find_learning_rate(
        prepared.model,
        train,
        optimizer=options_of_runs.make_optimizer(options),
        loss=options_of_runs.make_loss(options, train.y, len(train.classes)),
        freeze=options["freeze"],
        batch_size=options["batch_size"],
    )
    of = drawing.training_name(options["model"], options["data"])
    plotting.save(metric_plots.learning_rates(found, of=of), path)
    return found
