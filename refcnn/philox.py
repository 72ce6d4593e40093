"""Counter-based random numbers: Philox 4x32-10, the same bits on every backend and device.

Source: Salmon, Moraes, Dror and Shaw, "Parallel random numbers: as easy as
1, 2, 3" (SC 2011). A random number is a function of (seed, stream, position):
the seed is the cipher's key, the stream the upper half of its counter and the
position, counted in blocks of four 32-bit words, the lower half. Nothing is
carried from one number to the next, so any part of a stream can be computed
anywhere.
"""

import contextlib
import contextvars
import secrets
import threading

import numpy as np

from . import repeating
from .errors import ArgumentError
from .mode import setting

_ROUNDS = 10
_MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
_WEYL = (np.uint32(0x9E3779B9), np.uint32(0xBB67AE85))
_LOW_WORD = np.uint64(0xFFFFFFFF)
_WORD_BITS = np.uint64(32)


def philox4x32(counter, key):
    """Encrypt counters with Philox 4x32-10.

    Parameters
    ----------
    counter : ndarray of uint32, shape (..., 4)
    key : ndarray of uint32, shape (..., 2)

    Returns
    -------
    ndarray of uint32, shape (..., 4)
    """
    c0, c1, c2, c3 = np.moveaxis(np.asarray(counter, dtype=np.uint32), -1, 0)
    k0, k1 = np.moveaxis(np.asarray(key, dtype=np.uint32), -1, 0)
    with np.errstate(over="ignore"):
        for _ in range(_ROUNDS):
            product0 = _MULTIPLIERS[0] * c0
            product1 = _MULTIPLIERS[1] * c2
            high0, low0 = (product0 >> _WORD_BITS).astype(np.uint32), (product0 & _LOW_WORD).astype(np.uint32)
            high1, low1 = (product1 >> _WORD_BITS).astype(np.uint32), (product1 & _LOW_WORD).astype(np.uint32)
            c0, c1, c2, c3 = high1 ^ c1 ^ k0, low1, high0 ^ c3 ^ k1, low0
            k0, k1 = k0 + _WEYL[0], k1 + _WEYL[1]
    return np.stack(np.broadcast_arrays(c0, c1, c2, c3), axis=-1)


def words(value):
    """Return the low and the high 32-bit word of a 64-bit integer."""
    return value & 0xFFFFFFFF, value >> 32


def random_bits(seed, stream, count, first=0):
    """Return ``count`` 32-bit words of a stream: word i is lane i % 4 of block i // 4.

    Parameters
    ----------
    seed, stream : int
        0 to 2**64 - 1.
    count : int
    first : int
        The number of the first of them.

    Returns
    -------
    ndarray of uint32, shape (count,)
    """
    skipped = first % 4
    blocks = np.uint64(first // 4) + np.arange((skipped + count + 3) // 4, dtype=np.uint64)
    return random_blocks(seed, stream, blocks).reshape(-1)[skipped : skipped + count]


def random_blocks(seed, stream, blocks):
    """Return the four 32-bit words of blocks of a stream, wherever they lie in it.

    Parameters
    ----------
    seed, stream : int
        0 to 2**64 - 1.
    blocks : ndarray of uint64, shape (...)

    Returns
    -------
    ndarray of uint32, shape (..., 4)
    """
    counter = np.empty((*blocks.shape, 4), dtype=np.uint32)
    counter[..., 0] = blocks & _LOW_WORD
    counter[..., 1] = blocks >> _WORD_BITS
    counter[..., 2], counter[..., 3] = words(stream)
    return philox4x32(counter, np.array(words(seed), dtype=np.uint32))


def uniform(seed, stream, count):
    """Return ``count`` float64 in the open interval (0, 1): (word + 1/2) / 2**32."""
    return to_uniform(random_bits(seed, stream, count))


def to_uniform(bits):
    """Return the float64 in (0, 1) that 32-bit words stand for, as in :func:`uniform`."""
    return (bits + 0.5) * 2.0**-32


def normal(seed, stream, count):
    """Return ``count`` standard normal float64 by the transform of Box and Muller (1958)."""
    half = (count + 1) // 2
    u = uniform(seed, stream, 2 * half)
    radius, angle = np.sqrt(-2.0 * np.log(u[:half])), 2.0 * np.pi * u[half:]
    return np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])[:count]


def permutation(seed, stream, count):
    """Return a random order of 0 .. count - 1 (int64): the order of ``count`` random 64-bit keys."""
    keys = random_bits(seed, stream, 2 * count).view(np.uint64)
    return np.argsort(keys, kind="stable")


class Generator:
    """Hands out streams of one seed, each used for one draw.

    Attributes
    ----------
    state : (int, int)
        The seed, and the next stream to hand out: together the whole random state.
    """

    def __init__(self, seed=None):
        self._lock = threading.Lock()
        self.set_seed(secrets.randbits(64) if seed is None else seed)

    def set_seed(self, seed):
        """Start again from a seed (int, 0 to 2**64 - 1)."""
        if not isinstance(seed, (int, np.integer)) or isinstance(seed, bool) or not 0 <= seed < 2**64:
            raise ArgumentError(f"set_seed: the seed is {seed!r}. Give an integer from 0 to 2**64 - 1.")
        self.state = int(seed), 0

    @property
    def seed(self):
        """The key."""
        return self.state[0]

    @property
    def stream(self):
        """The next stream to hand out."""
        return self.state[1]

    def next_stream(self):
        """Return (seed, stream) for one draw and move on to the next stream."""
        # Threads that share a generator get a stream each.
        with self._lock:
            state = self.state
            self.state = state[0], state[1] + 1
        told = repeating.listener()
        return state if told is None else told.drawn(*state)

    def normal(self, shape):
        """Draw float64 standard normal numbers of a shape."""
        return normal(*self.next_stream(), int(np.prod(shape))).reshape(shape)

    def uniform(self, shape):
        """Draw float64 numbers in (0, 1) of a shape."""
        return uniform(*self.next_stream(), int(np.prod(shape))).reshape(shape)

    def permutation(self, count):
        """Draw a random order of 0 .. count - 1."""
        return permutation(*self.next_stream(), count)


_of_process = Generator()
#: The generator of a context that has one of its own.
_of_context: contextvars.ContextVar = contextvars.ContextVar("refcnn generator", default=None)


def current():
    """Return the generator that draws where this is called."""
    return _of_context.get() or _of_process


class _Current:
    """Stands for the generator that draws where it is used."""

    def __getattr__(self, name):
        return getattr(current(), name)

    def __setattr__(self, name, value):
        setattr(current(), name, value)


#: The generator behind every draw that refcnn makes by itself: the process's, but where a context has its own.
generator = _Current()


def set_seed(seed: int) -> None:
    """Fix every random draw that follows: initial weights, dropout masks, shuffles.

    In the main thread the seed is the whole process's, of all threads that set none for themselves: these share its
    draws in the order in which they come to draw. In another thread it is that thread's alone.

    Parameters
    ----------
    seed : int
        0 to 2**64 - 1.

    Raises
    ------
    ArgumentError
        If the seed is not such an integer.
    """
    if _of_context.get() is not None or threading.current_thread() is threading.main_thread():
        generator.set_seed(seed)
    else:
        _of_context.set(Generator(seed))


def drawing_from(generator):
    """Return a context manager inside which all draws, and seeds that are set, are those of a generator."""
    return setting(_of_context, generator)


@contextlib.contextmanager
def own_generator(state=None):
    """Draw inside a ``with`` block from a generator that nothing outside of it draws from or sets.

    Parameters
    ----------
    state : (int, int), optional
        Where it begins; where the present one stands, if it is not given. That one then goes on, after the block,
        where this one has come to.
    """
    present, own = current(), Generator(0)
    own.state = present.state if state is None else state
    with drawing_from(own):
        try:
            yield
        finally:
            if state is None:
                present.state = own.state
