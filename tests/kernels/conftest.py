"""What proofs of kernels share: one function that holds a kernel to its definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(scope="session")
def held_to() -> Callable[..., Any]:
    """Hold a kernel to its definition in float64, value and pullback; return y, dy, cotangents."""
    return _held_to


def _held_to(
    kernel: Any, definition: Any, *arrays: Any, rtol: float = 1e-12, **options: Any
) -> Any:
    """To ``rtol`` of the largest number of each result, or of 1, which arguments are the size of:
    where a group is one number its cotangent is a difference of equals.

    Arguments and dy cannot be written to; dy is a slice of a wider array; the pullback is called
    twice, and what it gives is fresh.
    """
    for a in arrays:
        if a is not None:
            a.flags.writeable = False
    traced = kernel(*arrays, **options)
    assert traced is not None, "the kernel leaves this to the definition"
    y, vjp = traced
    wide = np.random.default_rng(5).standard_normal((*y.shape[:-1], y.shape[-1] + 3))
    wide.flags.writeable = False
    dy = wide[..., 2:-1]
    first, again = vjp(dy), vjp(dy)
    with definitions_only():
        expected, definition_vjp = definition(*arrays, **options)
        cotangents = definition_vjp(dy)
    assert len(first) == len(cotangents)
    for a, b in zip(first, again, strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)
            assert a is dy or not any(np.shares_memory(a, other) for other in (b, dy, y, *arrays))
    for a, b in zip((y, *first), (expected, *cotangents), strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            assert (a.shape, a.dtype) == (b.shape, b.dtype)
            largest = np.abs(b).max(initial=1.0)
            np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * largest)
    return y, dy, first
