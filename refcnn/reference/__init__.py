"""The reference backend: every operation as the loops of its formula, on NumPy arrays.

Each module is one operation. ``forward(*arrays, **attributes)`` returns
``(y, saved)``; ``backward(dy, saved, needs, **attributes)`` returns the
gradient of each array input, or None where ``needs`` says that nobody asks.
Of an operation with several results y is a tuple of arrays, and dy one of
their gradients: zeros for a result from which nothing was computed, and None
for one that is not of floating point and so has none.
Optimizer updates have ``forward`` alone. The results have the dtype of the
inputs: in float64 this backend is the oracle that every other is judged by.
"""
