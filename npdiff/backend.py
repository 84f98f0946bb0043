"""Which array module an array belongs to, and the way to and from the host. Nothing here is global.

Every function of npdiff asks its own arguments, ``xp = namespace(x)``, and computes with what they
are made of. Two backends can therefore be compared in one process.
"""

import itertools
import sys
from typing import Any

import numpy as np

from npdiff.errors import InputError

#: An array of any backend. NumPy's and CuPy's share an interface but no base class.
Array = Any

BACKENDS = ("numpy", "cupy")


def namespace(x: Array) -> Any:
    """The module whose functions apply to ``x``: NumPy, CuPy, or what ``x`` itself names.

    Raises
    ------
    InputError
        If ``x`` is no array.
    """
    kind = type(x)
    if kind is np.ndarray or isinstance(x, np.generic):
        return np
    if kind.__module__.partition(".")[0] == "cupy":
        return sys.modules["cupy"]
    if hasattr(x, "__array_namespace__"):
        return x.__array_namespace__()
    raise InputError(f"expected an array of NumPy or CuPy, got {kind.__name__}")


def module(name: str) -> Any:
    """The array module called ``name``, ready for use.

    Raises
    ------
    InputError
        If the name is unknown, CuPy is not installed, or no GPU answers.
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
    """``x`` as a NumPy array; a copy only where it has to leave a device."""
    return x.get() if hasattr(x, "get") else np.asarray(x)


def per_sample(a: float | np.ndarray, x: Array) -> Any:
    """A host coefficient made ready to multiply ``x``.

    Schedules are evaluated on the host in float64; this is where they meet the arrays. A scalar
    becomes a Python float (weak: it leaves the dtype of ``x`` alone), an ``(N,)`` array becomes an
    ``(N, 1, ..., 1)`` array of the dtype and backend of ``x``.

    Raises
    ------
    InputError
        If ``a`` is neither a scalar nor one number a sample.
    """
    a = np.asarray(a, dtype=np.float64)
    if a.ndim == 0:
        return float(a)
    if a.shape != (x.shape[0],):
        raise InputError(
            f"expected one number a sample, shape ({x.shape[0]},), got shape {a.shape}"
        )
    column = a.reshape(-1, *(1,) * (x.ndim - 1))
    return namespace(x).asarray(column, dtype=x.dtype)


def erf(x: Array) -> Array:
    """The error function of every element, on the array's own backend."""
    return _special(x).erf(x)


def log_ndtr(x: Array) -> Array:
    """The logarithm of the standard normal distribution function, on the array's own backend."""
    return _special(x).log_ndtr(x)


def _special(x: Array) -> Any:
    if type(x).__module__.partition(".")[0] == "cupy":
        from cupyx.scipy import special
    else:
        from scipy import special
    return special


def blocks(n: int, elements: int, xp: Any) -> list[slice]:
    """The rows 0 .. n - 1 in equal blocks whose scratch array stays in the cache.

    Parameters
    ----------
    n : number of samples
    elements : size of the scratch array one sample needs
    xp : the array module; a GPU is given large blocks, a CPU what fits its second-level cache
    """
    limit = 2**18 if xp is np else 2**27
    count = min(n, max(1, -(-n * elements // limit)))
    edges = [i * n // count for i in range(count + 1)] if count else []
    return [slice(a, b) for a, b in itertools.pairwise(edges)]
