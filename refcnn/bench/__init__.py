"""The scoreboard: refcnn on its devices beside PyTorch and onnxruntime, in one run on the same cores.

:mod:`.workloads` says what is computed, each module of :mod:`.contestants` computes it in a process of its own,
:mod:`.measuring` lets them take turns, and :mod:`.board` holds what came of it.
"""
