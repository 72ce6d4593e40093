"""What is put to the test: a backend, onnxruntime, or anyone's own implementation.

A subject has what :mod:`~refcnn.conformance.judging.judge` asks of a backend (``name``,
``array``, ``to_host``, ``operation``), and

- ``specification``: what ``--device`` takes;
- ``variants(stem)``: the variants of an operation's kernels, the device's own
  choice first, each with and without what can be fused into it
  (:mod:`~refcnn.conformance.judging.composition`); ``(None,)`` where there is no choice;
- ``offers(stem, direction)``: whether there is such a thing to test;
- ``description``: a dict for :class:`~refcnn.conformance.reports.results.DeviceReport`;
- ``device``: the OpenCL device, or None;
- ``denormals``: whether it keeps subnormal numbers, or may flush them to zero;
- ``is_simulator``: whether it is so slow that only tiny cases make sense;
- ``unusable``: what is wrong with a device that failed its trial, or None;
- ``environment(folder)``: what the environment of its process needs beside this
  one's, with files of its own in a folder;
- ``reported()``: what watches its kernels and has reported since this was last
  asked; an empty text where nothing does;
- ``other_memory(sizes)``: a context in which it computes in other memory, which
  holds garbage, arrays of so many bytes.

``operation(stem)`` gives an object with ``forward`` and ``backward`` as in
:mod:`refcnn.reference`, or None where the operation is not offered.

An implementation of one's own is named MODULE:OBJECT: an object, or a module
(``MODULE:`` alone), with a function for each operation that it offers::

    conv2d(x, w, b, *, stride, padding, dilation, groups) -> y
    conv2d_backward(dy, x, w, b, *, stride, padding, dilation, groups) -> (dx, dw, db)
    sgd(w, g, v, *, lr, momentum, nesterov) -> (w, v)

with names, arrays and attributes as ``forward`` in :mod:`refcnn.reference` has
them. Arrays are float32 NumPy arrays in and out. A gradient of an input that
is None is not looked at. A function that is missing is not offered.
:mod:`refcnn.conformance.adapters` has those of other libraries, which have short names. An object may have a
``name``, a ``version``, and ``denormals`` if it flushes subnormal numbers to zero: False. If
it computes a convolution by Winograd's algorithm, which errs more, it must say
so to be judged by that bound: ``algorithms(operation, inputs, attributes)``
returns a dict, ``forward``, ``backward_x`` or ``backward_w`` to
``winograd_2x2`` or ``winograd_4x4`` (tiles of so many results, and the points
that :mod:`refcnn.conformance.theory.winograd` names; of a larger algorithm and
of other points nothing is known here), without those that are computed
directly.
"""
