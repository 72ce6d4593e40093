"""What every contestant's program does: answer requests, a JSON object on each line of its standard input.

Only the standard library is used here: PyTorch's program runs in environments that do not have refcnn.
"""

import json
import os
import sys
import time


class Contestant:
    """Base class of the contestants: methods answer requests, arguments and results being what JSON can hold.

    ``step`` does a workload once, and ``finish`` waits until all that was begun is done.
    """

    step = finish = None

    def prepare(self, workload):
        """Make a workload ready, do it once, and return the seconds that this took and the number of parameters."""
        start = time.perf_counter()
        self.step = self.finish = None
        parameters = self.make(workload)
        self.step()
        self.finish()
        return {"seconds": time.perf_counter() - start, "parameters": parameters}

    def make(self, workload):
        """Set ``step`` and ``finish`` for a workload and return the number of its parameters."""
        raise NotImplementedError

    def run(self, count):
        """Do the workload ``count`` times and return the seconds."""
        step = self.step
        start = time.perf_counter()
        for _ in range(count):
            step()
        self.finish()
        return {"seconds": time.perf_counter() - start}


def serve(contestant):
    """Answer requests until there are no more: ``{"do": method, argument: value...}``.

    The answer is what the method returns, or ``{"error": message}``.
    """
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    # What libraries print must not come between the answers.
    os.dup2(2, 1)
    for line in sys.stdin:
        request = json.loads(line)
        try:
            answer = getattr(contestant, request.pop("do"))(**request)
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
