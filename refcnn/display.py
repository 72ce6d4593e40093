"""What is shown to people: names and paths that may hold any character, and commands to be typed."""

import os
import shlex
import shutil
import sys
import unicodedata
from pathlib import Path

#: Unicode's classes of the characters that turn the direction of what follows them: a name could look like another.
_TURNING = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


def shown(text, keep=""):
    """Return a text as it can be shown: what would act on a terminal, or end the line, is escaped as Python does.

    Parameters
    ----------
    text : object
        ``str()`` of it is shown: a class's name, a path, a message with such in it.
    keep : str
        Characters that stay as they are, such as ``"\\n"``.

    Returns
    -------
    str
        Without control characters, marks that turn the direction of writing, and lone surrogates; those that stand for
        bytes of a path that are no UTF-8 become ``\\xNN``.
    """
    return "".join(letter if letter in keep or _is_plain(letter) else _escaped(letter) for letter in str(text))


def is_text(name):
    """Return whether a text is Unicode, which every file can hold; a path's bytes that are no UTF-8 are not."""
    try:
        name.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def command(*arguments):
    """Return the line to type in a POSIX shell to call refcnn as it was called now, with these arguments.

    Parameters
    ----------
    arguments : str or os.PathLike
        A path may hold any character, or begin with ``-``.
    """
    return " ".join(map(quoted, (*_call(), *arguments)))


def quoted(word):
    """Return a word, or a path, quoted for a POSIX shell; what cannot be shown in Bash's and Zsh's form ``$'...'``."""
    text = f"./{word}" if isinstance(word, os.PathLike) and str(word).startswith("-") else str(word)
    if all(map(_is_plain, text)):
        return shlex.quote(text)
    return "$'" + "".join(map(_in_quotes, text)) + "'"


def _call():
    """Return the words that lead to refcnn from the current folder."""
    if os.environ.get("REFCNN_COMMAND"):
        return (os.environ["REFCNN_COMMAND"],)
    program = Path(sys.argv[0])
    if program == Path(__file__).with_name("__main__.py"):
        return sys.executable, "-m", "refcnn"
    if program.name == "refcnn" and program.exists():
        found = shutil.which("refcnn")
        return ("refcnn",) if found and os.path.samefile(found, program) else (sys.argv[0],)
    return ("refcnn",)


def _is_plain(letter):
    return unicodedata.category(letter) not in ("Cc", "Cs", "Zl", "Zp") and (
        unicodedata.bidirectional(letter) not in _TURNING
    )


def _escaped(letter):
    return _byte(*_bytes(letter)) if _is_byte(letter) else letter.encode("unicode_escape").decode("ascii")


def _in_quotes(letter):
    if letter in "\\'":
        return f"\\{letter}"
    return letter if _is_plain(letter) else "".join(map(_byte, _bytes(letter)))


def _is_byte(letter):
    """Whether this is a byte that is no UTF-8, as Python holds it in paths (PEP 383)."""
    return "\udc80" <= letter <= "\udcff"


def _bytes(letter):
    return letter.encode("utf-8", "surrogateescape" if _is_byte(letter) else "surrogatepass")


def _byte(value):
    return f"\\x{value:02x}"
