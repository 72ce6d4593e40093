"""Space to depth: the function and the ONNX mapping."""

from .. import attributes as attribute
from ..errors import ShapeError
from ..formats import ANY
from ..function import apply
from ..variable import Input, Variable, as_variable

FAMILY = "shape"

#: It moves whatever there is.
DTYPES = (ANY,)


def space_to_depth(x: Input, block: int, *, mode: str = "DCR") -> Variable:
    """Make channels of blocks of pixels: the way back of :func:`refcnn.depth_to_space`.

    Parameters
    ----------
    x : Variable or array_like, (N, C, H, W)
        H and W must be multiples of the block.
    block : int
        Pixels of a block in height and width.
    mode : str
        ``"DCR"``: a block's pixels come first, then the channels; ``"CRD"``: the other way round, as in PyTorch's
        ``pixel_unshuffle``. Source: ONNX operator specification, SpaceToDepth.

    Returns
    -------
    Variable, (N, C block^2, H / block, W / block), of the dtype of x

    Raises
    ------
    ArgumentError
        If the block is no positive integer, or the mode another.
    ShapeError
        If x are no images, or not of whole blocks.
    """
    x, block = as_variable(x), attribute.integer("space_to_depth", "block", block)
    mode = attribute.choice("space_to_depth", "mode", mode, ("DCR", "CRD"))
    if len(x.shape) != 4 or x.shape[2] % block or x.shape[3] % block:
        raise ShapeError(
            f"space_to_depth: the input has shape {x.shape} and block is {block}. Give images of shape (N, C, H, W), H "
            f"and W multiples of {block}."
        )
    return apply("space_to_depth", x, block=block, mode=mode)


def to_onnx(graph, x, *, block, mode):
    """Write ONNX's SpaceToDepth, which has one mode alone in these versions, or else what it consists of.

    That is what it is of all but floats too, of which runtimes have it.
    """
    if mode == "DCR" and x.dtype.kind == "f":
        return graph.node("SpaceToDepth", [graph.tensor(x)], blocksize=block)
    _, c, h, w = x.shape
    blocks = graph.node("Reshape", [graph.tensor(x)], shape=(0, c, h // block, block, w // block, block))
    blocks = graph.node("Transpose", [blocks], perm=(0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return graph.node("Reshape", [blocks], shape=(0, c * block**2, h // block, w // block))


def from_onnx(x, *, blocksize, mode="DCR"):
    """Read ONNX's SpaceToDepth."""
    return space_to_depth(x, blocksize, mode=mode)


FROM_ONNX = {"SpaceToDepth": from_onnx}
