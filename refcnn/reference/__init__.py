"""The reference backend: every operation as the loops of its formula, on NumPy arrays.

Each module is one operation. ``forward(*arrays, **attributes)`` returns
``(y, saved)``; ``backward(dy, saved, needs, **attributes)`` returns the
gradient of each array input, or None where ``needs`` says that nobody asks.
Optimizer updates have ``forward`` alone. The results have the dtype of the
inputs: in float64 this backend is the oracle that every other is judged by.
"""
