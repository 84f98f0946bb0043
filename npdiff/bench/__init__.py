"""The speed of npdiff on this machine, compared with PyTorch in the same session: ``npdiff bench``.

Each contender is a separate process (:mod:`~npdiff.bench.worker`). They take turns, one task at a
time, and a turn in which other programs used the CPUs is repeated (:mod:`~npdiff.bench.measure`).
PyTorch is optional; only ``npdiff.bench.pytorch`` imports it.
"""
