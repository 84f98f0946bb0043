"""How fast npdiff is on this machine, beside PyTorch in the same sitting: ``npdiff bench``.

Every contender is a process of its own (:mod:`~npdiff.bench.worker`); they take turns, one task at
a time, and a turn in which other programs used the processors is done again
(:mod:`~npdiff.bench.measure`). PyTorch is optional, and known to ``npdiff.bench.pytorch``
alone.
"""
