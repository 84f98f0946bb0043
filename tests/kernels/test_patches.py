"""Convolution by patches equals the definition: value, pullback, threads, limits of scratch."""

import math
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import workspace
from npdiff.kernels.patches import Patches, add_in_place

EPS = np.finfo(np.float32).eps


@st.composite
def convolutions(draw):
    """x, w and the keywords of a convolution: up to 3 axes, even of one pixel, strides beyond the
    size of x and the kernel, and more padding than kernel."""
    dims = draw(st.integers(1, 3))
    space = draw(st.tuples(*[st.integers(1, 7)] * dims))
    kernel = draw(st.tuples(*[st.integers(1, 5)] * dims))
    pads = []
    for n, k in zip(space, kernel, strict=True):
        before, after = draw(st.tuples(*[st.integers(0, 4)] * 2))
        pads.append((before, max(after, k - n - before)))  # room for one window at least
    n, c, f = draw(st.tuples(*[st.integers(1, 4)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    x, w = rng.standard_normal((n, *space, c)), rng.standard_normal((*kernel, c, f))
    return x, w, draw(st.integers(1, 8)), tuple(pads)


def of(x, w, stride, pads) -> Patches:
    return Patches(x.shape[1:-1], w.shape[:-2], *w.shape[-2:], stride, pads, x.dtype)


def by_blocks(algorithm, x, w, dy, bias=None, residual=None):
    """y, dx and dw block by block as in ``conv``, of read-only arrays."""
    for a in (x, w, dy):
        a.flags.writeable = False
    forward, backward = algorithm.forward_weights(w), algorithm.backward_weights(w)
    y, dx = np.full(dy.shape, np.nan, dy.dtype), np.full(x.shape, np.nan, x.dtype)
    gradient = algorithm.gradient()
    for i in range(0, len(x), algorithm.block):
        rows = slice(i, i + algorithm.block)
        own = bias[rows] if bias is not None and bias.ndim == 2 else bias
        algorithm.forward(
            x[rows], forward, y[rows], own, None if residual is None else residual[rows]
        )
        dx[rows] = algorithm.backward(x[rows], dy[rows], backward, gradient)
    return y, dx, algorithm.weight_gradient(gradient)


def defined(x, w, stride, pads):
    """y, dx and dw by the definition, and dy."""
    with definitions_only():
        y, conv_pullback = ops.conv(x, w, stride=stride, padding=pads)
        dy = np.random.default_rng(1).standard_normal(y.shape).astype(x.dtype)
        return (y, *conv_pullback(dy)[:2]), dy


def roundings(x, w, dy, stride, pads):
    """The allowed error of each element of y, dx and dw for sums in float32.

    A sum of n products is off by at most n eps times the sum of their magnitudes, in whatever
    order; that sum is the convolution of magnitudes, in float64.
    """
    size = [np.abs(a).astype(np.float64) for a in (x, w, dy)]
    with definitions_only():
        y, conv_pullback = ops.conv(size[0], size[1], stride=stride, padding=pads)
        dx, dw, _ = conv_pullback(size[2])
    terms = (w[..., 0].size, w[..., 0, :].size, dy[..., 0].size)
    return [(n + 1) * EPS * a for n, a in zip(terms, (y, dx, dw), strict=True)]


@given(convolutions())
def test_it_equals_the_definition(case) -> None:
    """In float64 to 1e-12; no argument is written to."""
    x, w, stride, pads = case
    expected, dy = defined(x, w, stride, pads)
    for a, b in zip(by_blocks(of(x, w, stride, pads), x, w, dy), expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@given(convolutions())
def test_single_precision_errors_are_bounded(case) -> None:
    """By the a priori bound for a sum of as many products."""
    x, w, stride, pads = case
    x, w = x.astype(np.float32), w.astype(np.float32)
    _, dy = defined(x, w, stride, pads)
    exact, _ = defined(x.astype(np.float64), w.astype(np.float64), stride, pads)
    with definitions_only():
        _, conv_pullback = ops.conv(
            *(a.astype(np.float64) for a in (x, w)), stride=stride, padding=pads
        )
        exact = (exact[0], *conv_pullback(dy.astype(np.float64))[:2])
    bounds = roundings(x, w, dy, stride, pads)
    results = by_blocks(of(x, w, stride, pads), x, w, dy)
    for a, b, bound in zip(results, exact, bounds, strict=True):
        assert a.dtype == np.float32
        assert (np.abs(a - b) <= bound).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("size", "stride"), [(32, 2), (31, 2), (32, 1), (17, 3)])
def test_several_blocks_of_different_size(normals, dtype, size, stride) -> None:
    """At the sizes of a network, 11 samples; rounding errors in the norm."""
    pads = ((1, 1), (1, 1))
    x, w = normals((11, size, size, 16), (3, 3, 16, 24), dtype=dtype)
    expected, dy = defined(x, w, stride, pads)
    algorithm = of(x, w, stride, pads)
    algorithm.block = 4
    for a, b in zip(by_blocks(algorithm, x, w, dy), expected, strict=True):
        # Two float32 results of up to 11,264 terms: rounding errors add up like a random walk,
        # about sqrt(n) eps / 2 each; both sides have them.
        bound = np.sqrt(11 * 32 * 32) * EPS if dtype is np.float32 else 1e-13
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


@pytest.mark.parametrize("per_sample", [False, True])
def test_bias_and_residual_are_added(normals, per_sample) -> None:
    x, w, residual = normals((5, 6, 7, 3), (3, 3, 3, 4), (5, 3, 4, 4))
    bias = normals((5, 4) if per_sample else (4,), seed=2)
    pads = ((1, 1), (1, 1))
    (y, *_), dy = defined(x, w, 2, pads)
    got, *_ = by_blocks(of(x, w, 2, pads), x, w, dy, bias, residual)
    whole = bias[:, None, None] if per_sample else bias
    np.testing.assert_allclose(got, y + whole + residual, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("space", [(), (1,), (5,), (3, 4), (2, 3, 4)])
def test_add_in_place_equals_broadcasting(normals, space) -> None:
    start, residual = normals((2, *space, 1, 3), (2, *space, 1, 3))
    for shape in ((3,), (2, 3)):
        out, bias = start.copy(), normals(shape)
        add_in_place(out, bias, residual)
        whole = bias.reshape(-1, *(1,) * len(space), 1, 3)
        np.testing.assert_array_equal(out, start + whole + residual)
    add_in_place(out, None, None)


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    x, w = normals((40, 9, 8, 3), (3, 3, 3, 5))
    (_, *_), dy = defined(x, w, 2, ((1, 1), (1, 1)))
    algorithm = of(x, w, 2, ((1, 1), (1, 1)))
    expected = by_blocks(algorithm, x, w, dy)
    small = workspace.Workspace(limit)
    monkeypatch.setattr("npdiff.kernels.patches.workspace", lambda: small)
    for _ in range(2):
        for a, b in zip(by_blocks(algorithm, x, w, dy), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


def test_results_do_not_depend_on_earlier_contents_of_scratch(normals) -> None:
    """Blocks of few and of many samples, in turn with infinities."""
    x, w = normals((6, 7, 7, 2), (3, 3, 2, 3))
    pads = ((1, 1), (1, 1))
    algorithm = of(x, w, 2, pads)
    expected, dy = defined(x, w, 2, pads)
    with np.errstate(invalid="ignore"):
        by_blocks(algorithm, np.full_like(x, np.inf), w, np.full_like(dy, np.nan))
    for n in (6, 1, 4):
        y, dx, _ = by_blocks(algorithm, x[:n], w, dy[:n])
        np.testing.assert_allclose(y, expected[0][:n], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dx, expected[1][:n], rtol=1e-12, atol=1e-12)


def test_two_threads_give_bit_identical_results(normals) -> None:
    """With one algorithm object, compared with one thread."""
    pads = ((1, 1), (1, 1))
    w = normals((3, 3, 8, 8), seed=3)
    inputs = [normals((16, 16, 16, 8), seed=seed) for seed in range(8)]
    dy = normals((16, 8, 8, 8), seed=9)
    algorithm = of(inputs[0], w, 2, pads)
    one_thread = [by_blocks(algorithm, x, w, dy) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda x: by_blocks(algorithm, x, w, dy), inputs * 4))
    for results, expected in zip(together, one_thread * 4, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_backward_adds_to_the_gradient() -> None:
    """The earlier contents of the gradient stay in the sum."""
    x, w, dy = np.ones((1, 4, 4, 1)), np.ones((3, 3, 1, 1)), np.ones((1, 4, 4, 1))
    algorithm = of(x, w, 1, ((1, 1), (1, 1)))
    gradient = algorithm.gradient()
    for _ in range(2):
        algorithm.backward(x, dy, algorithm.backward_weights(w), gradient)
    assert algorithm.weight_gradient(gradient)[1, 1, 0, 0] == 2 * math.prod((4, 4))
