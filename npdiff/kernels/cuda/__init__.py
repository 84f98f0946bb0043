"""Kernels for a GPU, through CuPy: the functions of :mod:`npdiff.ops` in few launches.

The text of a kernel is CUDA C++ in ``source/``, compiled when it is first used. What runs it stands
behind :class:`~npdiff.kernels.cuda.device.Device`, so that tests run the same text, and the same
code around it, where there is no GPU. Loading this package loads no CuPy.
"""
