"""Checks of the equations of :mod:`npdiff.kernels`."""
