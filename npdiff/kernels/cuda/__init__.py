"""Kernels for a GPU, through CuPy: functions of :mod:`npdiff.ops` in few launches.

The source of the kernels is CUDA C++ in ``source/``, compiled on first use. They are launched
through the interface :class:`~npdiff.kernels.cuda.device.Device`, so that tests can run the same
source, and the same code around it, without a GPU. Importing this package does not import CuPy.
"""
