"""Processes in reserve, which take the places of ranks that are lost; none waits for them before they are ready.

They are started with the ranks, and belong to the same world of MPI. What ``MPI_Comm_spawn`` starts later does not:
with Open MPI 5.0 the loss of such a process was mostly not told to all others, which waited for ever, and one that died
before it called MPI let those that had spawned it wait for ever, too.
"""

import contextlib
import os
import queue
import sys
import threading
import time
from typing import Any

#: Set for the ranks by mpiexec --with-ft ulfm.
_ULFM = "OMPI_MCA_mpi_ft_enable"
#: What tells messages between ranks and processes in reserve apart from others.
_TAG = 2
#: Seconds between two looks at what the others say, and for which a rank that ends waits until it is heard.
_PAUSE, _PATIENCE = 0.02, 1.0
#: What ranks say to a process in reserve: to get ready, to join or see others join, and to end; and what it answers.
LOAD, COME, END = "load", "come", "end"
READY = "ready"


def are_possible() -> bool:
    """Return whether MPI goes on where a process is lost, as others could not take its place else."""
    return os.environ.get(_ULFM, "") in ("1", "true")


class Reserves:
    """The processes in reserve, as a rank or one of them knows them. All ranks call the methods for ranks alike.

    Parameters
    ----------
    world : mpi4py.MPI.Comm
        All processes.
    count : int
        How many of them are in reserve, the last.

    Attributes
    ----------
    is_own : bool
        Whether this process is one of them.
    idle : list of int
        As which processes those were started that were not called yet.
    called : dict
        The places of those that get ready, or are.
    ready : set
        Those of them that are.
    """

    def __init__(self, world, count):
        from mpi4py import MPI

        self._mpi, self._all, self._world = MPI, world.Get_group(), world
        self.number = world.Get_rank()
        self.idle, self.called, self.ready = list(range(world.Get_size() - count, world.Get_size())), {}, set()
        # Those that are no ranks, called or not.
        self._waiting = set(self.idle)
        self.is_own = self.number in self._waiting
        self._sent, self._gone, self._orders, self._listener = [], set(), queue.SimpleQueue(), None
        self._is_loading = self._was_called = False
        world.Set_errhandler(MPI.ERRORS_RETURN)

    @property
    def known(self):
        """What ranks know, which one that joins must be told."""
        return self.idle, self.called, self.ready, self._waiting

    @known.setter
    def known(self, value):
        self.idle, self.called, self.ready, self._waiting = value

    def split(self):
        """Return a communicator of those that are not in reserve; of the process alone where it is."""
        found = self._world.Split(int(self.is_own), self.number)
        return self._mpi.COMM_SELF if self.is_own else found

    # What ranks do:

    def call(self, place: Any, order: Any) -> None:
        """Let a process get ready to take a place."""
        number = self.idle.pop(0)
        self.called[number] = place
        # Each says so, should the first be lost.
        self._tell([number], (LOAD, order))

    def answers(self) -> dict[int, str]:
        """Return by their numbers what those say that were called, and why others never will; for the first rank."""
        found = {}
        for number in self.called.keys() - self.ready:
            try:
                heard = self._heard(number)
            except self._mpi.Exception:
                heard = "it has ended"
            if heard is not None:
                found[number] = heard
        return found

    def settle(self, answers: dict[int, str]) -> None:
        """Take note of answers, and that those who were ready may have ended since."""
        for number, said in answers.items():
            if said == READY:
                self.ready.add(number)
            else:
                del self.called[number]

    @property
    def are_ready(self) -> bool:
        """Whether there are some that can join, and none still gets ready, which could not take part in that."""
        return bool(self.ready) and len(self.ready) == len(self.called)

    def invite(self, rank: int) -> Any:
        """Return a communicator of the ranks and those that are ready, of which the ranks have the first numbers."""
        self._tell(self._waiting, (COME, sorted(self.ready)))
        return self._enlarged(sorted(self.ready), rank)

    def dismiss(self, status: int, is_whole: bool) -> None:
        """Let those that are in reserve still end with the exit status of the ranks."""
        self._tell(self._waiting, (END, status, is_whole))
        begun = time.monotonic()
        while self._sent and time.monotonic() - begun < _PATIENCE:
            self._forget_sent()
            time.sleep(_PAUSE / 10)

    # What a process in reserve does:

    def wait(self) -> tuple:
        """Return what the ranks say next, once others that join have done so.

        Returns
        -------
        tuple
            :data:`LOAD` and an order, to get ready; :data:`COME` and a communicator with this process, which is a rank
            now; or :data:`END`, an exit status, and whether no process was lost.
        """
        while True:
            if self._listener is None or not self._listener.is_alive():
                self._listener = threading.Thread(target=self._listen, daemon=True)
                self._listener.start()
            what, *more = self._orders.get()
            if what != COME:
                return what, *more
            (joining,) = more
            is_joining = self.number in joining
            found = self._enlarged(joining, self._all.Get_size() + self.number if is_joining else None)
            if is_joining:
                self.is_own = False
                return COME, found

    def answer(self, text: str) -> None:
        """Say that this process is ready, or why it never will be."""
        self._is_loading = False
        self._tell(self._ranks(), text)

    def _listen(self):
        """Hear the ranks, while this process waits or gets ready, until it has to do something together with them."""
        what = ""
        while what not in (COME, END):
            what, *more = self._next()
            if what == END and self._is_loading:
                # What it does may take for ever.
                os._exit(more[0])
            if what == LOAD:
                # All ranks say so.
                if self._was_called:
                    continue
                self._was_called = self._is_loading = True
            self._orders.put((what, *more))

    def _next(self):
        while True:
            ranks = self._ranks() - self._gone
            if not ranks:
                print("Error: all ranks were lost; --resume goes on.", file=sys.stderr, flush=True)
                return END, 1, False
            for number in ranks:
                try:
                    heard = self._heard(number)
                except self._mpi.Exception:
                    self._gone.add(number)
                    continue
                if heard is not None:
                    return heard
            time.sleep(_PAUSE)

    # What both do:

    def _ranks(self):
        return {*self._started_as(self._world)} - self._waiting

    def _started_as(self, communicator):
        group = communicator.Get_group()
        return self._mpi.Group.Translate_ranks(group, range(group.Get_size()), self._all)

    def _place(self, number):
        """Return a process's number in the present world, None if it has left it."""
        (place,) = self._mpi.Group.Translate_ranks(self._all, [number], self._world.Get_group())
        return None if place == self._mpi.UNDEFINED else place

    def _tell(self, numbers, what):
        self._forget_sent()
        for number in numbers:
            place = self._place(number)
            if place is not None:
                # One that has ended hears nothing; the others are told by others, too.
                with contextlib.suppress(self._mpi.Exception):
                    self._sent.append(self._world.isend(what, place, _TAG))

    def _forget_sent(self):
        left = []
        for request in self._sent:
            with contextlib.suppress(self._mpi.Exception):
                left += [] if request.Test() else [request]
        self._sent = left

    def _heard(self, number):
        """Return what a process has said, None if it has said nothing; MPI's exception if it has ended."""
        place = self._place(number)
        if place is None:
            raise self._mpi.Exception(self._mpi.ERR_OTHER)
        message = self._world.improbe(place, _TAG)
        return None if message is None else message.recv()

    def _enlarged(self, joining, key):
        """Return a communicator of all that give a key, in its order; all that live must call it."""
        while True:
            self._world, self._gone, self._sent = self._world.Shrink(), set(), []
            self._world.Set_errhandler(self._mpi.ERRORS_RETURN)
            found, is_made = self._mpi.COMM_NULL, 0
            with contextlib.suppress(self._mpi.Exception):
                found, is_made = self._world.Split(int(key is None), key or 0), 1
            # All have the same answer: an error, too, where one was lost in between.
            with contextlib.suppress(self._mpi.Exception):
                if self._world.Agree(is_made):
                    break
        self._waiting -= {*joining}
        self.ready -= {*joining}
        for number in joining:
            self.called.pop(number, None)
        return found
