"""What every contestant answers.

Only the standard library is used here: PyTorch's process runs in environments that do not have refcnn.
"""

import time


class Contestant:
    """Base class of the contestants: methods answer requests, arguments and results being what JSON can hold.

    ``step`` does a workload once, and ``finish`` waits until all that was begun is done. ``remark`` is what tables say
    of how it does it, where it has a choice.
    """

    step = finish = None
    remark = ""

    def prepare(self, workload):
        """Make a workload ready, do it once, and return the seconds of that, the number of parameters and a remark."""
        start = time.perf_counter()
        self.step = self.finish = None
        parameters = self.make(workload)
        self.step()
        self.finish()
        return {"seconds": time.perf_counter() - start, "parameters": parameters, "remark": self.remark}

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
