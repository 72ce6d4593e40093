"""Child processes that answer requests, a JSON object on each line; :mod:`refcnn.answering` is their side.

Those of refcnn run this very package, and import nothing from the folder of the command.
"""

import contextlib
import json
import os
import queue
import signal
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

from .answering import GREETING
from .errors import RefcnnError

#: Seconds for a process that is to end, and for what it still had to say.
ENDING = 5.0

_ANSWER_CHARACTERS = 200
#: So much is kept of the end of what a process wrote to standard error.
_LOG_BYTES = 2**14
#: Seconds for the end of a thread that has nothing more to read.
_JOINING = 0.2


class NoAnswer(RefcnnError):
    """A child process did not answer."""


class Silence(NoAnswer):
    """Nothing came from a child process within the time that it had."""

    def __init__(self, limit):
        super().__init__(f"nothing came for {limit:g} s")


class Ended(NoAnswer):
    """A child process ended; ``status`` is None if it stopped answering, but did not end.

    Attributes
    ----------
    status : int or None
        As :class:`subprocess.Popen` has it.
    """

    def __init__(self, status):
        how = "stopped answering, but did not end" if status is None else f"ended with {ending(status)}"
        super().__init__(f"its process {how}")
        self.status = status


class Nonsense(NoAnswer):
    """What came from a child process is no answer.

    Attributes
    ----------
    beginning : str
        The beginning of what came.
    """

    def __init__(self, answer):
        self.beginning = repr(answer)[:_ANSWER_CHARACTERS]
        super().__init__(f"its process answered {self.beginning}")


class Child:
    """A process that answers requests.

    It has a session of its own: a Ctrl-C is for the parent alone, and it can be ended with all that it started.
    Whoever makes one calls :meth:`stop`.

    Parameters
    ----------
    command : sequence of str
        A program that makes a :class:`refcnn.answering.Parent`.
    environment : dict of str to str, optional
        Variables that are set in it beside the present ones.

    Raises
    ------
    OSError
        If it cannot be started.
    """

    def __init__(self, command, environment=None):
        self._log, self._kept_log = tempfile.TemporaryFile(), b""  # noqa: SIM115
        try:
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._log,
                text=True,
                encoding="utf-8",
                errors="replace",
                start_new_session=True,
                env={**os.environ, **(environment or {})},
            )
        except BaseException:
            self._log.close()
            raise
        self._answers = queue.Queue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._watcher = threading.Thread(target=self._watch, daemon=True)
        self._reader.start()
        self._watcher.start()

    def send(self, request):
        """Send a request, a dict of what JSON can hold; a process that is gone tells so by the end of its answers."""
        with contextlib.suppress(OSError, ValueError):
            self._process.stdin.write(json.dumps(request) + "\n")
            self._process.stdin.flush()

    def answer(self, limit=None):
        """Return the next answer, a dict.

        Parameters
        ----------
        limit : float, optional
            Seconds to wait for it; infinity, or None, for any time.

        Raises
        ------
        Silence, Ended, Nonsense
            If there is none.
        """
        try:
            answer = self._answers.get(timeout=None if limit is None else min(limit, threading.TIMEOUT_MAX))
        except queue.Empty:
            raise Silence(limit) from None
        if answer is None:
            # Whoever asks again is told again.
            self._answers.put(None)
            raise Ended(self._status())
        if not isinstance(answer, dict):
            raise Nonsense(answer)
        return answer

    def ask(self, request, limit=None, **arguments):
        """Have the process call a method of its handler, and return the answer, as :meth:`answer` does."""
        self.send({"do": request, **arguments})
        return self.answer(limit)

    def close(self):
        """Send nothing any more: the process ends when it has answered."""
        with contextlib.suppress(OSError):
            self._process.stdin.close()

    def wait(self, limit):
        """Wait for the end of the process.

        Raises
        ------
        Silence
            If it does not end within so many seconds.
        """
        try:
            self._process.wait(limit)
        except subprocess.TimeoutExpired:
            raise Silence(limit) from None

    def stop(self, limit=ENDING):
        """End the process and all that it started, and wait so many seconds for that: a driver may hold it even so."""
        with contextlib.suppress(OSError, AttributeError):
            # There is none on Windows.
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.kill()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.wait(limit)
        self.close()
        if not self._log.closed:
            self._kept_log = self._log_end()
            self._log.close()
        # Threads would be in the way of a fork. The answers may be held open by what left the session.
        self._reader.join(_JOINING)
        self._watcher.join(0 if self._reader.is_alive() else _JOINING)

    def log(self, characters):
        """Return the last characters of what was written to standard error; also after :meth:`stop`."""
        content = self._kept_log if self._log.closed else self._log_end()
        return content.decode(errors="replace")[-characters:].strip()

    def _log_end(self):
        # To the end, for the process goes on to write where reading ends.
        self._log.seek(max(os.fstat(self._log.fileno()).st_size - _LOG_BYTES, 0))
        return self._log.read()

    def _status(self):
        with contextlib.suppress(subprocess.TimeoutExpired):
            return self._process.wait(ENDING)
        return None

    def _read(self):
        # Closed here, where nobody waits for it: it may be held open by what the process started.
        with self._process.stdout as lines, contextlib.suppress(OSError):
            for line in lines:
                if line.rstrip("\r\n") == GREETING:
                    break
            for line in lines:
                try:
                    answer = json.loads(line)
                except ValueError:
                    answer = line
                self._answers.put(answer if isinstance(answer, dict) else line)
        self._answers.put(None)

    def _watch(self):
        """Tell of the end of the process also where its answers are held open by what it started."""
        self._process.wait()
        self._reader.join(ENDING)
        self._answers.put(None)


def ending(status):
    """Return how a process ended, ``exit status 7`` or ``signal 6 (SIGABRT)``, by its status as subprocess has it."""
    if status >= 0:
        return f"exit status {status}"
    with contextlib.suppress(ValueError):
        return f"signal {-status} ({signal.Signals(-status).name})"
    return f"signal {-status}"


def command(module):
    """Return the command that runs one of refcnn's modules in a process of its own.

    Without ``-P`` the current folder would be the first place for every
    import, and it may be one that holds data of strangers, such as a bundle.
    """
    return [sys.executable, "-P", "-m", module]


def environment():
    """Return the environment in which :func:`command` finds this very package; the user's ``PYTHONPATH`` holds too."""
    package = str(Path(__file__).resolve().parents[1])
    paths = os.pathsep.join(filter(None, (package, os.environ.get("PYTHONPATH"))))
    return {**os.environ, "PYTHONPATH": paths}
