"""The sum of two arrays of one shape: y = a + b."""


def forward(a, b):
    """a, b of one shape -> y of that shape."""
    return a + b, None


def backward(dy, saved, needs):
    """da = db = dy."""
    return dy, dy
