"""What may be asked of an implementation: cases to try it on, and how far a correct answer may be from the exact one.

:mod:`~refcnn.conformance.operations` has both for each operation, in terms of :mod:`~refcnn.conformance.theory`.
:mod:`~refcnn.conformance.judging` runs a case on one of the :mod:`~refcnn.conformance.subjects` and compares,
:mod:`~refcnn.conformance.running` does so with many, in processes apart.
"""
