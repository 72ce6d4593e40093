"""The child's side of :mod:`refcnn.processes`: a process that answers requests of the one that started it.

Only the standard library is used here, and nothing that Python 3.8 lacks: programs for interpreters that do not have
refcnn, such as PyTorch's contestant in the bench, load this file by its path.
"""

import json
import os

#: What a process writes when its answers begin; what libraries have printed before that is none.
GREETING = "refcnn: answers follow"


class Parent:
    """The process that started this one: requests come from it, and answers go to it.

    From here on standard input is empty, and what compilers, drivers and libraries print goes to standard error:
    requests are read from what was standard input, and answers written to what was standard output.
    """

    def __init__(self):
        self._requests = os.fdopen(os.dup(0), encoding="utf-8")
        self._answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
        with open(os.devnull) as nothing:
            os.dup2(nothing.fileno(), 0)
        os.dup2(2, 1)
        # A line that was not ended would swallow the greeting.
        self._write("\n" + GREETING)

    def tell(self, entries):
        """Send an answer, a dict of what JSON can hold."""
        self._write(json.dumps(entries))

    def serve(self, handler, describe=None):
        """Answer requests until there are no more.

        Parameters
        ----------
        handler : object
            Its methods answer requests: ``{"do": method, argument: value...}`` calls one, which returns the answer.
        describe : callable, optional
            Returns the text of an exception; its class and message as a rule. The answer is then ``{"error": text}``.
        """
        # Answers end with the requests, though threads may live on.
        with self._answers:
            for line in self._requests:
                request = json.loads(line)
                try:
                    answer = getattr(handler, request.pop("do"))(**request)
                except Exception as error:
                    answer = {"error": (describe or _describe)(error)}
                self.tell(answer)

    def _write(self, line):
        self._answers.write(line + "\n")
        self._answers.flush()


def _describe(error):
    return f"{type(error).__name__}: {error}"
