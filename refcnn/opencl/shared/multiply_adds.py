"""Multiply-adds in registers alone, by which the arithmetic that a device can do at most is measured."""

import numpy as np

# As many as hide the time from the beginning of a multiply-add to its end, and yet fit the 16 vector registers of CPUs
# without AVX-512 together with the two factors.
CHAINS = 10
# Work-items of a group on a GPU, and groups for each of its units: enough to fill it twice.
_GROUP, _GROUPS_PER_UNIT = 256, 16
# Work-items for each core, so that a core that is late leaves work to others.
_ITEMS_PER_CORE = 4


class MultiplyAdds:
    """Work-items that each go so many steps ``x = a x + b`` with ``CHAINS`` vectors.

    Parameters
    ----------
    device : Device
    width : int
        Floats of a vector.

    Attributes
    ----------
    first : numpy array
        (CHAINS, width), what the vectors begin with: numbers between 1/4 and 3/4. With ``a`` -1 and ``b`` 1 they stay
        there, exactly, whatever the number of steps: none becomes subnormal, infinite or NaN.
    """

    def __init__(self, device, width):
        self._device, self._width = device, width
        is_cpu = device.kind == "cpu"
        self._items = device.compute_units * (_ITEMS_PER_CORE if is_cpu else _GROUP * _GROUPS_PER_UNIT)
        self._group = 1 if is_cpu else _GROUP
        self.first = np.float32((16 + np.arange(CHAINS * width) % 32) / 64).reshape(CHAINS, width)
        self._first = device.array(self.first)
        self._y = device.empty((self._items, width))

    @staticmethod
    def widths(device):
        """Return the widths of vectors of which one lets a device do the most; which one is to be measured."""
        return device.vector_widths if device.kind == "cpu" else (1, 4)

    def flop(self, steps):
        """Return the multiplications and additions of so many steps."""
        return 2 * self._items * CHAINS * self._width * steps

    def launch(self, steps, a=-1.0, b=1.0):
        """Queue so many steps, and return what will hold, for each work-item, the sums of what its vectors became."""
        self._device.launch(
            "multiply_adds",
            "multiply_adds",
            (self._items,),
            (self._group,),
            options=(f"-DWIDTH={self._width}", f"-DCHAINS={CHAINS}"),
            first=self._first,
            y=self._y,
            steps=np.int32(steps),
            a=np.float32(a),
            b=np.float32(b),
        )
        return self._y
