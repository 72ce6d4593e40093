"""Trainings whose lost ranks are replaced: who takes their places, and when."""

import collections
import sys
from typing import NamedTuple

from .. import backend
from ..errors import ArgumentError, RefcnnError
from ..fitting.callbacks import Callback
from ..parallel import placing
from ..parallel.reserves import READY
from .configuration import Configuration


class Order(NamedTuple):
    """What a process in reserve needs to get ready for a training.

    Attributes
    ----------
    path : pathlib.Path
        Of the run's folder.
    configuration : Configuration
    named_model : str or None
        As of :class:`refcnn.runs.run_folder.RunFolder`.
    place : refcnn.parallel.placing.Place
        Which it is to take.
    device : str
        The description of the ranks' device.
    """

    path: object
    configuration: Configuration
    named_model: str | None
    place: placing.Place
    device: str


class Joining(Exception):
    """Leaves the loop, for processes in reserve are ready to join."""


class Rejoining(Callback):
    """Lets processes in reserve join at the end of an epoch. It comes last, since it leaves the loop.

    Parameters
    ----------
    session : refcnn.runs.session.Training
    """

    def __init__(self, session):
        self._session = session

    def on_epoch_end(self, loop):
        if not loop.is_stopped and not self._session.is_over and _are_ready(self._session):
            raise Joining


def call_reserves(session):
    """Let processes in reserve get ready for the places of the ranks that were lost. All ranks must call it."""
    ranks, run = session.ranks, session.run
    free = collections.Counter(session.places)
    free.subtract(ranks.gather(placing.own_place()))
    free.subtract(ranks.reserves.called.values())
    device = ranks.broadcast(backend.active().description)
    for place in (+free).elements():
        if ranks.reserves.idle:
            ranks.reserves.call(place, Order(run.path, run.configuration, run.named_model, place, device))


def _are_ready(session):
    ranks = session.ranks
    if ranks.size == len(session.places):
        return False
    found = ranks.by_first(ranks.reserves.answers)
    for number, said in sorted(found.items()):
        if said != READY and ranks.is_first:
            print(f"Warning: process {number} cannot take the place of a rank: {said}", file=sys.stderr, flush=True)
    ranks.reserves.settle(found)
    call_reserves(session)
    return ranks.reserves.are_ready


def take_place(order):
    """Take the place that an order names, on its device.

    Raises
    ------
    ArgumentError
        If the bits of the training would not be the same there.
    """
    placing.take(order.place)
    found = backend.active().description
    if order.configuration.micro_batch is not None and found != order.device:
        raise ArgumentError(f"--reproducible needs {order.device}, but {order.place.device} is {found} here.")


def answer_of(error):
    """Return what a process in reserve says of an error for which it cannot join."""
    return str(error) if isinstance(error, RefcnnError) else f"{type(error).__name__}: {error}"
