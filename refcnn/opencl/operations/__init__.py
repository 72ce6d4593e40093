"""Every operation on an OpenCL device: which kernels to launch over which sizes; the arithmetic is theirs.

What follows here are the traits that a room may have beside ``forward`` and ``backward`` (:func:`refcnn.rooms.trait`),
as they are where it says nothing.
"""

#: The variants in which its kernels come (:mod:`refcnn.opencl.variants`).
VARIANTS = ()

#: What is fused into its kernels, where it follows, and in which variants: by names joined by ``+``.
FUSED = {}

#: Which of its variants run a file of kernels, by the file's stem, where that does not tell; (None,) where there are
#: no variants. The file that bears the operation's name is run by the plain variant, or by all of an operation
#: without variants; one with ``_`` and a variant behind the name by that variant. Whoever runs a file runs what it
#: includes.
KERNELS = {}


def tuned_geometry(inputs, attributes):
    """Return what its variants are chosen by, or None where nothing was measured (:mod:`..convolution.tuning`).

    Parameters
    ----------
    inputs : tuple of (tuple of int, or None)
        The inputs' shapes.
    attributes : dict
    """
    return None


def algorithms(device, *shapes, **attributes):
    """Return which variant computes each direction on a device, where variants differ by more than the order of sums.

    Parameters
    ----------
    device : Device
    *shapes : tuple of int, or None
        Those of the inputs.
    **attributes
        The operation's.

    Returns
    -------
    dict of str to str
        By ``forward``, ``backward_x`` and ``backward_w``; empty for most operations.
    """
    return {}


def algorithmic_flop(device, *shapes, **attributes):
    """Return the multiplications and additions of the directions whose algorithm sums other products than the formula.

    Parameters as of :func:`algorithms`.

    Returns
    -------
    dict of str to int
        By ``forward``, ``backward_x`` and ``backward_w``, as :func:`refcnn.layers.flop` counts: two for each product in
        a sum. What comes before and after the sums is not counted. Empty for most operations.
    """
    return {}
