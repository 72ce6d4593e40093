"""For each operation what to draw for a case of it, and how far a correct answer may be from the exact one.

Each module named after an operation has

- ``cases(size="small", integers=False)``: a Hypothesis strategy of
  :class:`~refcnn.conformance.theory.strategies.Case`;
- ``forward_bound(inputs, attributes, errors=None)``: for every element of the
  result, how far a correct float32 implementation may be from the exact
  answer (:mod:`refcnn.reference` in float64 on the same inputs), whatever its
  order of summation. ``errors`` says for each input by how much it may itself
  be off (an array, or None), so that bounds chain from layer to layer. An
  optimizer's update has a tuple of results, so a tuple of bounds;
- ``backward_bound(dy, inputs, attributes, needs)``: the same for the gradient
  of each input; None where there is none.
"""
