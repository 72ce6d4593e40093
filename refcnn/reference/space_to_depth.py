"""Space to depth: a block of pixels becomes the channels of one.

y[n, k, h, w] = x[n, c, h b + i, w b + j] with k = (i b + j) C + c, or in the mode CRD k = c b^2 + i b + j
"""


def forward(x, *, block, mode):
    """x (N, C, H, W) -> y (N, C block^2, H / block, W / block)."""
    n, c, h, w = x.shape
    blocks = x.reshape(n, c, h // block, block, w // block, block)
    blocks = blocks.transpose((0, 3, 5, 1, 2, 4) if mode == "DCR" else (0, 1, 3, 5, 2, 4))
    return blocks.reshape(n, c * block**2, h // block, w // block), None


def backward(dy, saved, needs, *, block, mode):
    """dx is dy with the channels of a pixel back in their block."""
    n, channels, h, w = dy.shape
    c = channels // block**2
    if mode == "DCR":
        blocks = dy.reshape(n, block, block, c, h, w).transpose(0, 3, 4, 1, 5, 2)
    else:
        blocks = dy.reshape(n, c, block, block, h, w).transpose(0, 1, 4, 2, 5, 3)
    return (blocks.reshape(n, c, h * block, w * block),)
