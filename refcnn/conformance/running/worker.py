"""A process that tests one subject, ``python -m refcnn.conformance.running.worker``.

:mod:`~refcnn.conformance.running.runner` starts it.

It answers requests (:mod:`refcnn.answering`): ``open`` names the subject and is
answered by ``{"event": "ready", "description": ..., "is_simulator": ...}``;
``run`` has the entries of a :class:`~refcnn.conformance.running.job.Job` and is answered by

- ``{"event": "case", "cases": n, "slow": bool}`` before each case, which is by
  then in the file ``case_file``; the first ones may have kernels to compile;
- ``{"event": "fault", "failure": ..., "case": path}`` when a fault was found that
  stands even if another case ends the process;
- ``{"event": "saving"}`` before what takes longer than a case: the bundle of one that failed is written, or it is
  looked for what failing cases have in common;
- ``{"event": "row", "row": ...}`` at the end.

What goes wrong with either is ``{"error": text}``.
"""

import dataclasses

from ...answering import Parent
from ...errors import BackendError
from ..subjects import finding as subjects
from ..subjects.unchanged import Functions
from .checking import Run, describe
from .job import Before, Job


class Worker:
    """What this process answers: see the module.

    Parameters
    ----------
    tell : callable
        As ``report`` of :class:`~refcnn.conformance.running.checking.Run`.
    """

    def __init__(self, tell):
        self._tell = tell
        self._specification = None

    def open(self, specification):
        """Find the subject."""
        self._specification = specification
        self._functions = Functions()
        subject = subjects.find(specification)
        self._check_unchanged(specification)
        return {"event": "ready", "description": subject.description, "is_simulator": subject.is_simulator}

    def run(self, **job):
        """Run a Job on it."""
        job["before"] = Before.from_json(job["before"])
        row = Run(self._specification, Job(**job), self._tell).run()
        self._check_unchanged(row.name)
        return {"event": "row", "row": dataclasses.asdict(row)}

    def _check_unchanged(self, title):
        changed = self._functions.changed()
        if changed:
            raise BackendError(
                f"{title} has changed {', '.join(changed)}, by which it is judged: nothing can be said of it. Leave "
                "the functions of Python, NumPy and refcnn as they are."
            )


def main():
    """Answer the requests of the process that started this one."""
    from threadpoolctl import threadpool_limits

    parent = Parent()
    # The reference's many small products lose by threads.
    with threadpool_limits(limits=1, user_api="blas"):
        parent.serve(Worker(parent.tell), describe)


if __name__ == "__main__":
    main()
