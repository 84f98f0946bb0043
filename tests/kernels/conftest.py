"""A fixture for tests of kernels, which compares a kernel with its definition."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from npdiff.acceleration import definitions_only


@pytest.fixture(scope="session")
def assert_equals_definition() -> Callable[..., Any]:
    """Compare a kernel with its definition, value and pullback; return y, dy, cotangents."""
    return _assert_equals_definition


def _assert_equals_definition(
    kernel: Any, definition: Any, *arrays: Any, rtol: float = 1e-12, **options: Any
) -> Any:
    """To ``rtol`` times the largest element of each result, or times 1, the size of the arguments,
    if that is larger: the cotangent of a group with one element is a difference of equal terms.

    Arguments and dy are read-only; dy is a slice of a wider array; the pullback is called twice,
    and its results are new arrays.
    """
    for a in arrays:
        if a is not None:
            a.flags.writeable = False
    traced = kernel(*arrays, **options)
    assert traced is not None, "the kernel does not cover these arguments"
    y, pullback = traced
    wide = np.random.default_rng(5).standard_normal((*y.shape[:-1], y.shape[-1] + 3))
    wide.flags.writeable = False
    dy = wide[..., 2:-1]
    first, again = pullback(dy), pullback(dy)
    with definitions_only():
        expected, definition_pullback = definition(*arrays, **options)
        cotangents = definition_pullback(dy)
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
