"""Depth to space: the function and the ONNX mapping."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)


def depth_to_space(x: Input, block: int, *, mode: str = "DCR") -> Variable:
    """Make blocks of pixels of blocks of channels, as sub-pixel convolution does (also known as pixel shuffle).

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
        C must be a multiple of block^2.
    block : int
        Pixels of a block in height and width.
    mode : str
        ``"DCR"``: the channels are a block's pixels first, then those of the result; ``"CRD"``: the other way round,
        as in PyTorch's ``pixel_shuffle``. Source: ONNX operator specification, DepthToSpace.

    Returns
    -------
    Variable, (N, C / block^2, H block, W block), of the dtype of x

    Raises
    ------
    ArgumentError
        If the block is no positive integer, or the mode another.
    ShapeError
        If x are no images, or have other channels.
    """
    x, block = as_variable(x), attribute.integer("depth_to_space", "block", block)
    mode = attribute.choice("depth_to_space", "mode", mode, ("DCR", "CRD"))
    if len(x.shape) != 4 or x.shape[1] % block**2:
        raise ShapeError(
            f"depth_to_space: the input has shape {x.shape} and block is {block}. Give images of shape (N, C, H, W), C "
            f"a multiple of {block**2}."
        )
    return apply("depth_to_space", x, block=block, mode=mode)


def to_onnx(graph, x, *, block, mode):
    """Write ONNX's DepthToSpace, which runtimes have of floats; of all else what it consists of."""
    if x.dtype.kind == "f":
        return graph.node("DepthToSpace", [graph.tensor(x)], blocksize=block, mode=mode)
    _, channels, h, w = x.shape
    c, is_block_first = channels // block**2, mode == "DCR"
    blocks = (0, block, block, c, h, w) if is_block_first else (0, c, block, block, h, w)
    blocks = graph.node("Reshape", [graph.tensor(x)], shape=blocks)
    blocks = graph.node("Transpose", [blocks], perm=(0, 3, 4, 1, 5, 2) if is_block_first else (0, 1, 4, 2, 5, 3))
    return graph.node("Reshape", [blocks], shape=(0, c, h * block, w * block))


def from_onnx(x, *, blocksize, mode="DCR"):
    """Read ONNX's DepthToSpace."""
    return depth_to_space(x, blocksize, mode=mode)


FROM_ONNX = {"DepthToSpace": from_onnx}
