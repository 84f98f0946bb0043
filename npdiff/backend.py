"""Array backends: the array module of an array, and transfers between host and device.

Every function of npdiff takes the module from its arguments, ``xp = namespace(x)``. There is no
global switch, so two backends can be compared in one process.
"""

import sys
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.slices import split_evenly

#: An array of any backend: those of NumPy and CuPy share an interface but no base class.
Array = Any

BACKENDS = ("numpy", "cupy")


def namespace(x: Array) -> Any:
    """The array module of ``x``: NumPy, CuPy, or the one from ``x.__array_namespace__()``.

    Raises
    ------
    InputError
        If ``x`` is not an array.
    """
    kind = type(x)
    if kind is np.ndarray or isinstance(x, np.generic):
        return np
    if kind.__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    raise InputError(f"expected a NumPy or CuPy array, got {kind.__name__}")


def module(name: str) -> Any:
    """The array module with this name; raises an error if it cannot be used.

    Raises
    ------
    InputError
        If the name is unknown, CuPy is not installed, or there is no usable GPU.
    """
    if name == "numpy":
        return np
    if name != "cupy":
        raise InputError(f"unknown backend {name!r}: choose one of {', '.join(BACKENDS)}")
    try:
        import cupy
    except ImportError as error:
        raise InputError(
            "backend 'cupy' needs CuPy, which is not installed: "
            "pip install 'npdiff[gpu]', or use --backend numpy"
        ) from error
    try:
        cupy.cuda.runtime.getDeviceCount()
    except Exception as error:
        raise InputError(
            f"backend 'cupy' found no usable GPU ({error}): use --backend numpy"
        ) from error
    return cupy


def to_host(x: Array) -> np.ndarray:
    """``x`` as a NumPy array; copied only if it is on a device."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def per_sample(a: float | np.ndarray, x: Array) -> Any:
    """``a``, a scalar or one coefficient per sample, in a shape that multiplies ``x``.

    Schedules are evaluated on the host in float64. A scalar becomes a Python float, which does not
    change the dtype of ``x``; an ``(N,)`` array becomes ``(N, 1, ..., 1)`` with the dtype and
    backend of ``x``.

    Raises
    ------
    InputError
        If ``a`` is neither a scalar nor of shape ``(N,)``.
    """
    a = np.asarray(a, dtype=np.float64)
    if a.ndim == 0:
        return float(a)
    if a.shape != (x.shape[0],):
        raise InputError(
            f"expected a scalar or one coefficient per sample, shape ({x.shape[0]},), "
            f"got shape {a.shape}"
        )
    column = a.reshape(-1, *(1,) * (x.ndim - 1))
    return namespace(x).asarray(column, dtype=x.dtype)


def erf(x: Array) -> Array:
    """The error function, elementwise, on the backend of ``x``."""
    return _special(x).erf(x)


def log_ndtr(x: Array) -> Array:
    """The log of the standard normal CDF, elementwise, on the backend of ``x``."""
    return _special(x).log_ndtr(x)


def _special(x: Array) -> Any:
    if type(x).__module__.partition(".")[0] == "cupy":
        from cupyx.scipy import special
    else:
        from scipy import special
    return special


def blocks(n: int, elements: int, xp: Any) -> list[slice]:
    """Slices that cut n samples into equal blocks whose scratch memory fits the cache.

    Parameters
    ----------
    n : number of samples
    elements : scratch elements per sample
    xp : the array module: blocks are large on a GPU, and fit the second-level cache on a CPU
    """
    limit = 2**18 if xp is np else 2**27
    return split_evenly(n, min(n, max(1, -(-n * elements // limit))))
