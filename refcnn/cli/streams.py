"""The standard streams of the command line: closed, full, or unable to show a letter, they stop no work and no message.

What is shown matters less than the files that a command leaves, and more than nothing: see :func:`work_goes_on`.
"""

import contextlib
import errno
import os
import sys

import click

#: The exit status where all went well, but could not be shown. It is no 1, by which ``refcnn conform`` says of a device
#: that it does not conform.
NOT_SHOWN = 2


class NotShownError(click.ClickException):
    """Standard output that cannot be written, as an error of the command line."""

    exit_code = NOT_SHOWN

    def __init__(self, error):
        self.is_reader_gone = error.errno == errno.EPIPE
        super().__init__(f"standard output could not be written: {error.strerror or error}.")

    def show(self, file=None):
        """Say so; not to those who end what reads the output on purpose, as ``head`` does."""
        if not self.is_reader_gone:
            super().show(file)


@contextlib.contextmanager
def prepared():
    """Make sure that the standard streams can be written to within the block, whatever they were before.

    A stream that is closed is replaced by the null device, lest a file that is opened next takes its number, into
    which drivers write. Letters that a stream's encoding lacks are shown as Python's escapes. At the end of a command
    that went on though its output could not be written, the exit status tells, and standard error why.
    """
    former = sys.stdin, sys.stdout, sys.stderr
    with contextlib.ExitStack() as opened:
        opened.callback(_restore, *former)
        for number, name in enumerate(("stdin", "stdout", "stderr")):
            if getattr(sys, name) is None:
                _occupy(number)
                null = open(os.devnull, "w" if number else "r", encoding="utf-8")  # noqa: SIM115
                setattr(sys, name, opened.enter_context(null))
        # Nowhere is left to say that standard error cannot be written.
        sys.stderr = _Stream(sys.stderr, goes_on=True)
        sys.stdout = output = _Stream(sys.stdout)
        end = None
        try:
            yield
        except SystemExit as stop:
            if stop.code:
                raise
            end = stop
        output.goes_on = True
        output.flush()
        if output.failure is not None:
            click.echo(f"Error: {NotShownError(output.failure).message} All else was done.", err=True)
            sys.exit(NOT_SHOWN)
        if end is not None:
            raise end


def work_goes_on():
    """Let the command go on where its output cannot be written any more, for the sake of the files that it leaves.

    Without this call it ends there, since its output is all that is wanted of it.
    """
    if isinstance(sys.stdout, _Stream):
        sys.stdout.goes_on = True


def of_first(ranks):
    """Let the output show what is written where this process is the first of some ranks, and nothing where it is not.

    Which is the first may change.
    """
    if isinstance(sys.stdout, _Stream):
        sys.stdout.ranks = ranks


class _Stream:
    """A text stream, of which the first failure to write is noted; what follows it goes nowhere.

    It hides the bytes below, in which click would write past it where the encoding is ASCII.
    """

    def __init__(self, stream, goes_on=False):
        self._stream, self.goes_on, self.failure, self.ranks = stream, goes_on, None, None
        if getattr(stream, "errors", None) in ("strict", "surrogateescape") and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")

    def __getattr__(self, name):
        if name == "buffer":
            raise AttributeError(name)
        return getattr(self._stream, name)

    def write(self, text):
        """Write as the stream does."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")
        # click tries it with an empty text, and takes no error to be one.
        if text and (self.ranks is None or (self.ranks.is_first and not self.ranks.is_in_reserve)):
            self._attempt(lambda: self._stream.write(text))
        return len(text)

    def flush(self):
        """Flush as the stream does."""
        self._attempt(self._stream.flush)

    def _attempt(self, action):
        if self.failure is not None:
            return
        try:
            action()
        except OSError as error:
            self.failure = error
            # Python tries again to write the rest when it ends.
            with contextlib.suppress(OSError):
                _send_nowhere(self._stream.fileno())
            if not self.goes_on:
                raise NotShownError(error) from error


def _restore(*streams):
    sys.stdin, sys.stdout, sys.stderr = streams


def _occupy(number):
    try:
        os.fstat(number)
    except OSError:
        _send_nowhere(number)


def _send_nowhere(number):
    """Open the null device under a number, for child processes too."""
    null = os.open(os.devnull, os.O_RDWR)
    if null == number:
        os.set_inheritable(null, True)
        return
    os.dup2(null, number)
    os.close(null)
