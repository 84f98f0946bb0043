"""Convolution against explicit loops, SciPy and central differences; and the memory it keeps."""

import tracemalloc
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.signal import correlate

from npdiff import ops
from npdiff.backend import blocks
from npdiff.errors import InputError
from npdiff.ops._conv import output_size
from npdiff.verify import pullback

pytestmark = pytest.mark.usefixtures("implementation")


@st.composite
def convolutions(draw):
    """x, w, b or None, and options: 1 to 3 spatial axes, all sizes, strides and paddings."""
    dims = draw(st.integers(1, 3))
    space = draw(st.tuples(*[st.integers(1, 5)] * dims))
    kernel = draw(st.tuples(*[st.integers(1, 4)] * dims))
    # Less padding than kernel, so that the first window holds at least one element of x.
    pairs = st.tuples(*[st.tuples(st.integers(0, k - 1), st.integers(0, k - 1)) for k in kernel])
    padding = draw(st.none() | st.integers(0, min(kernel) - 1) | pairs)
    stride = draw(st.integers(1, 3))
    n, c, f = draw(st.tuples(*[st.integers(1, 3)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w = rng.standard_normal((n, *space, c)), rng.standard_normal((*kernel, c, f))
    b = rng.standard_normal(f) if draw(st.booleans()) else None
    pads = as_pairs(padding, kernel)
    if any(m + sum(p) < k for m, k, p in zip(space, kernel, pads, strict=True)):
        stride, padding = 1, None
    return x, w, b, {"stride": stride, "padding": padding}


def as_pairs(padding, kernel):
    if padding is None:
        return [((k - 1) // 2, k - 1 - (k - 1) // 2) for k in kernel]
    return [(padding, padding)] * len(kernel) if isinstance(padding, int) else padding


def by_loops(x, w, b, stride, padding):
    """The sum of the definition, one product at a time."""
    kernel, pads = w.shape[:-2], as_pairs(padding, w.shape[:-2])
    sizes = [
        len(range(0, n + sum(p) - k + 1, stride))
        for n, k, p in zip(x.shape[1:-1], kernel, pads, strict=True)
    ]
    y = np.zeros((x.shape[0], *sizes, w.shape[-1]))
    for n, *o in product(range(x.shape[0]), *map(range, sizes)):
        y[n, *o] = 0.0 if b is None else b
        for k in product(*map(range, kernel)):
            at = [stride * i + j - p[0] for i, j, p in zip(o, k, pads, strict=True)]
            if all(0 <= a < m for a, m in zip(at, x.shape[1:-1], strict=True)):
                for c, f in product(range(w.shape[-2]), range(w.shape[-1])):
                    y[n, *o, f] += x[n, *at, c] * w[*k, c, f]
    return y


@given(convolutions())
def test_the_pullback_against_central_differences(case) -> None:
    x, w, b, options = case
    arrays = (x, w) if b is None else (x, w, b)
    pullback(ops.conv, *arrays, **options).check()


@given(convolutions())
def test_the_value_against_explicit_loops(case) -> None:
    x, w, b, options = case
    y, _ = ops.conv(x, w, b, **options)
    np.testing.assert_allclose(y, by_loops(x, w, b, **options), rtol=1e-11, atol=1e-11)


def test_padding_larger_than_the_kernel() -> None:
    x, w = np.ones((1, 2, 1)), np.ones((2, 1, 1))
    y, _ = ops.conv(x, w, padding=((3, 1),))
    assert y[0, :, 0].tolist() == [0, 0, 1, 2, 1]


@pytest.mark.parametrize("space", [(50,), (33, 30), (9, 10, 11)])
def test_the_value_against_scipy_in_several_blocks(normals, space) -> None:
    """Large enough for several blocks of samples; the last has another size."""
    n, c, f = 7, 16, 5
    x, w = normals((n, *space, c), (*(3,) * len(space), c, f))
    if len(space) > 1:
        assert 1 < len(blocks(n, np.prod(space) * 3 ** len(space) * c, np)) < n + 1
    y, conv_pullback = ops.conv(x, w)
    padded = np.pad(x, [(0, 0), *[(1, 1)] * len(space), (0, 0)])
    for i, j in product(range(n), range(f)):
        expected = correlate(padded[i], w[..., j], mode="valid", method="direct")[..., 0]
        np.testing.assert_allclose(y[i, ..., j], expected, rtol=1e-10, atol=1e-10)
    # conv is linear in x and in w, so <dy, y> = <dx, x> = <dw, w>.
    dy = normals(y.shape, seed=1)
    dx, dw, _ = conv_pullback(dy)
    np.testing.assert_allclose([np.vdot(dx, x), np.vdot(dw, w)], np.vdot(dy, y), rtol=1e-10)


def test_arrays_that_are_not_contiguous_give_the_same(normals) -> None:
    x, w, dy = normals((3, 5, 2, 6), (3, 3, 3, 4), (4, 5, 2, 6))
    y, conv_pullback = ops.conv(x.T, w)
    same, same_pullback = ops.conv(x.T.copy(), w)
    np.testing.assert_array_equal(y, same)
    for a, b in zip(conv_pullback(dy.T)[:2], same_pullback(dy.T.copy())[:2], strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


def test_a_pixel_sized_kernel_is_a_linear_map(normals) -> None:
    x, w, b = normals((2, 3, 4, 5), (1, 1, 5, 6), (6,))
    y, _ = ops.conv(x, w, b)
    np.testing.assert_allclose(y, np.einsum("nhwc,cf->nhwf", x, w[0, 0]) + b, rtol=1e-12)
    pullback(ops.conv, x, w, b).check()
    pullback(ops.conv, x, w, b, stride=2).check()  # not a linear map of every pixel


def test_the_output_size_is_the_number_of_windows() -> None:
    for size, kernel, stride, before, after in product(
        range(1, 8), range(1, 5), range(1, 4), range(3), range(3)
    ):
        if size + before + after >= kernel:
            starts = range(0, size + before + after, stride)
            fits = sum(i + kernel <= size + before + after for i in starts)
            assert output_size(size, kernel, stride, (before, after)) == fits


def test_the_patches_are_not_saved(normals) -> None:
    """im2col would be 27 times as large as x; after the forward pass only y is new."""
    x, w = normals((2, 16, 16, 16, 8), (3, 3, 3, 8, 8))
    ops.conv(x, w)
    tracemalloc.start()
    y, conv_pullback = ops.conv(x, w)
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert y.nbytes <= kept < y.nbytes + 50_000 < 0.2 * 27 * x.nbytes
    assert conv_pullback(y)[0].shape == x.shape


@pytest.mark.parametrize(
    ("x", "w", "message"),
    [
        ((1, 4, 4, 2), (3, 2, 5), "2 spatial axes"),
        ((1, 4, 4, 2), (3, 3, 3, 5), "for 2 and 3"),
        ((1, 2, 4, 2), (5, 5, 2, 5), "does not fit"),
    ],
)
def test_wrong_shapes_are_rejected(x, w, message) -> None:
    with pytest.raises(InputError, match=message):
        ops.conv(np.zeros(x), np.zeros(w), padding=0)
