"""Backends: array modules, coefficients per sample, and blocks of samples."""

import sys
from itertools import pairwise
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import special

from npdiff import backend
from npdiff.errors import InputError


def test_namespace_is_the_module_of_the_array() -> None:
    own = SimpleNamespace(name="own")

    class Foreign:
        def __array_namespace__(self):
            return own

    assert backend.namespace(np.ones(2)) is np
    assert backend.namespace(np.float32(1.0)) is np
    assert backend.namespace(Foreign()) is own
    for thing in (1.0, [1.0], None, "x"):
        with pytest.raises(InputError, match=f"got {type(thing).__name__}"):
            backend.namespace(thing)


def test_namespace_of_a_cupy_array_is_cupy(monkeypatch) -> None:
    cupy = ModuleType("cupy")
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    array = type("ndarray", (), {"__module__": "cupy._core.core"})()
    assert backend.namespace(array) is cupy


def test_module_by_name(monkeypatch) -> None:
    assert backend.module("numpy") is np
    with pytest.raises(InputError, match="unknown backend 'torch': choose one of numpy, cupy"):
        backend.module("torch")
    monkeypatch.setitem(sys.modules, "cupy", None)
    with pytest.raises(InputError, match="pip install"):
        backend.module("cupy")


def test_cupy_without_a_gpu_is_rejected(monkeypatch) -> None:
    def count() -> int:
        raise RuntimeError("no driver")

    cupy = ModuleType("cupy")
    cupy.cuda = SimpleNamespace(runtime=SimpleNamespace(getDeviceCount=count))
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    with pytest.raises(InputError, match=r"no usable GPU \(no driver\)"):
        backend.module("cupy")
    cupy.cuda.runtime.getDeviceCount = lambda: 1
    assert backend.module("cupy") is cupy


def test_to_host_copies_only_from_a_device() -> None:
    x = np.arange(3)
    assert backend.to_host(x) is x
    assert backend.to_host(SimpleNamespace(get=lambda: x)) is x


def test_per_sample_keeps_the_dtype_and_rejects_other_shapes() -> None:
    x = np.ones((2, 3, 4), dtype=np.float32)
    for a in (0.25, np.float64(0.25), np.array(0.25)):
        coefficient = backend.per_sample(a, x)
        assert type(coefficient) is float
        assert (coefficient * x).dtype == np.float32
    column = backend.per_sample(np.array([0.1, 0.2]), x)
    assert (column.shape, column.dtype) == ((2, 1, 1), np.float32)
    np.testing.assert_array_equal((column * x)[:, 2, 3], np.array([0.1, 0.2], dtype=np.float32))
    for wrong in (np.ones(3), np.ones((2, 1)), np.ones(1)):
        with pytest.raises(InputError, match=r"one coefficient per sample, shape \(2,\)"):
            backend.per_sample(wrong, x)


def test_erf_is_that_of_scipy() -> None:
    x = np.linspace(-3.0, 3.0, 7, dtype=np.float32)
    np.testing.assert_array_equal(backend.erf(x), special.erf(x))


@given(st.integers(0, 300), st.integers(0, 2**20), st.booleans())
def test_blocks_cover_all_samples_once_and_fit_the_limit(n, elements, host) -> None:
    found = backend.blocks(n, elements, np if host else object())
    rows = [i for block in found for i in range(block.start, block.stop)]
    assert rows == list(range(n))
    assert all(a.stop == b.start for a, b in pairwise(found))
    sizes = [block.stop - block.start for block in found]
    limit = 2**18 if host else 2**27
    # Sizes differ by at most 1, and exceed the limit by less than a sample, or are one sample.
    assert n == 0 or max(sizes) - min(sizes) <= 1
    assert all(size == 1 or (size - 1) * elements <= limit for size in sizes)
    assert len(found) == 1 or n * elements > limit or n == 0
