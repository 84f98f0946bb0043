"""Convolutions with few channels on one side equal the definition, value and pullback."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import workspace
from npdiff.kernels.few_channels import (
    FewInputChannels,
    FewOutputChannels,
    few_channel_algorithm,
)
from npdiff.kernels.patches import Patches

EPS = np.finfo(np.float32).eps
ONE = ((1, 1), (1, 1))

both = pytest.mark.parametrize("kind", [FewInputChannels, FewOutputChannels])


@st.composite
def convolutions(draw):
    """x, w, dy and padding: up to 3 axes, even of one pixel, even kernels, much padding."""
    dims = draw(st.integers(1, 3))
    space = draw(st.tuples(*[st.integers(1, 7)] * dims))
    kernel = draw(st.tuples(*[st.integers(1, 5)] * dims))
    pads = []
    for n, k in zip(space, kernel, strict=True):
        before, after = draw(st.tuples(*[st.integers(0, 6)] * 2))
        pads.append((before, max(after, k - n - before)))  # room for one window at least
    n, c, f = draw(st.tuples(*[st.integers(1, 4)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = [m + sum(p) - k + 1 for m, k, p in zip(space, kernel, pads, strict=True)]
    shapes = (n, *space, c), (*kernel, c, f), (n, *out, f)
    return *map(rng.standard_normal, shapes), tuple(pads)


def of(kind, x, w, pads):
    return kind(x.shape[1:-1], w.shape[:-2], *w.shape[-2:], pads, x.dtype)


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


def defined(x, w, dy, pads):
    with definitions_only():
        y, conv_pullback = ops.conv(x, w, padding=pads)
        return y, *conv_pullback(dy)[:2]


@both
@given(convolutions())
def test_it_equals_the_definition(kind, case) -> None:
    """In float64 to 1e-12."""
    x, w, dy, pads = case
    results = by_blocks(of(kind, x, w, pads), x, w, dy)
    for a, b in zip(results, defined(*case), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-12, atol=1e-12)


@both
@given(convolutions())
def test_single_precision_errors_are_bounded(kind, case) -> None:
    """A sum of n products in any order has an error of at most n eps times the sum of their
    magnitudes, which is the same function of the magnitudes."""
    *arrays, pads = case
    x, w, dy = single = [a.astype(np.float32) for a in arrays]
    wide = [a.astype(np.float64) for a in single]
    exact, size = defined(*wide, pads), defined(*map(np.abs, wide), pads)
    terms = (w[..., 0].size, w[..., 0, :].size, dy[..., 0].size)
    results = by_blocks(of(kind, x, w, pads), x, w, dy)
    for n, a, b, s in zip(terms, results, exact, size, strict=True):
        assert a.dtype == np.float32
        assert (np.abs(a - b) <= (n + 1) * EPS * s).all()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize(("C", "F"), [(1, 32), (3, 64), (12, 64), (32, 1), (64, 3), (64, 12)])
def test_first_and_last_convolution_of_a_network(normals, dtype, C, F) -> None:
    """Images of 32 x 32 and of odd sizes, 7 samples in blocks of 4 and 3."""
    kind = FewInputChannels if C < F else FewOutputChannels
    for size in ((32, 32), (29, 31)):
        x, w, dy = normals((7, *size, C), (3, 3, C, F), (7, *size, F), dtype=dtype)
        algorithm = of(kind, x, w, ONE)
        algorithm.block = 4
        results = by_blocks(algorithm, x, w, dy)
        for a, b in zip(results, defined(x, w, dy, ONE), strict=True):
            # Rounding errors of up to n = 7 * 32 * 32 terms, on both sides, walk randomly.
            bound = np.sqrt(7 * 32 * 32) * EPS if dtype is np.float32 else 1e-13
            assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


@both
@pytest.mark.parametrize("per_sample", [False, True])
def test_bias_and_residual_are_added(normals, kind, per_sample) -> None:
    x, w, residual = normals((5, 6, 7, 3), (3, 3, 3, 4), (5, 6, 7, 4))
    bias = normals((5, 4) if per_sample else (4,), seed=2)
    got, *_ = by_blocks(of(kind, x, w, ONE), x, w, residual, bias, residual)
    y, *_ = defined(x, w, residual, ONE)
    whole = bias[:, None, None] if per_sample else bias
    np.testing.assert_allclose(got, y + whole + residual, rtol=1e-12, atol=1e-12)


@both
@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, kind, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    x, w, dy = normals((40, 9, 8, 3), (3, 3, 3, 5), (40, 9, 8, 5))
    algorithm = of(kind, x, w, ONE)
    expected = by_blocks(algorithm, x, w, dy)
    small = workspace.Workspace(limit)
    monkeypatch.setattr("npdiff.kernels.few_channels.workspace", lambda: small)
    for _ in range(2):
        for a, b in zip(by_blocks(algorithm, x, w, dy), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


@both
def test_results_do_not_depend_on_earlier_contents_of_scratch(normals, kind) -> None:
    """Blocks of few and of many samples, of two convolutions in turn, after infinities."""
    x, w, dy = normals((6, 7, 7, 3), (3, 3, 3, 2), (6, 7, 7, 2))
    algorithm, other = of(kind, x, w, ONE), of(kind, x, w, ((0, 2), (2, 0)))
    expected = defined(x, w, dy, ONE)
    with np.errstate(invalid="ignore"):
        by_blocks(algorithm, np.full_like(x, np.inf), w, np.full_like(dy, np.nan))
    for n in (6, 1, 4):
        by_blocks(other, x, w, dy)
        y, dx, _ = by_blocks(algorithm, x[:n], w, dy[:n])
        np.testing.assert_allclose(y, expected[0][:n], rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(dx, expected[1][:n], rtol=1e-12, atol=1e-12)


@both
def test_two_threads_give_bit_identical_results(normals, kind) -> None:
    """With one algorithm object, compared with one thread."""
    C, F = (2, 16) if kind is FewInputChannels else (16, 2)
    w, dy = normals((3, 3, C, F), (16, 16, 16, F), seed=3)
    inputs = [normals((16, 16, 16, C), seed=seed) for seed in range(8)]
    algorithm = of(kind, inputs[0], w, ONE)
    one_thread = [by_blocks(algorithm, x, w, dy) for x in inputs]
    with ThreadPoolExecutor(2) as pool:
        together = list(pool.map(lambda x: by_blocks(algorithm, x, w, dy), inputs * 4))
    for results, expected in zip(together, one_thread * 4, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_algorithms_have_different_names() -> None:
    """The name is the key of cached weights."""
    shapes = (8, 8), (3, 3), 4, 4
    names = {FewInputChannels(*shapes, ONE, "f4").name, FewOutputChannels(*shapes, ONE, "f4").name}
    assert len(names | {Patches(*shapes, 1, ONE, "f4").name}) == 3


@pytest.mark.parametrize(
    ("kernel", "C", "F", "stride", "kind"),
    [
        ((3, 3), 1, 32, 1, FewInputChannels),
        ((3, 3), 12, 64, 1, FewInputChannels),
        ((3, 3), 16, 64, 1, None),
        ((3, 3), 64, 12, 1, FewOutputChannels),
        ((3, 3), 64, 64, 1, None),
        ((5,), 64, 1, 1, FewOutputChannels),
        ((5,), 1, 64, 1, None),
        ((3, 3), 3, 64, 2, None),
        ((1, 1), 3, 64, 1, None),
    ],
)
def test_the_choice_compared_with_patches(kernel, C, F, stride, kind) -> None:
    assert few_channel_algorithm(kernel, C, F, stride) is kind


@pytest.mark.parametrize(
    ("C", "F", "kind"),
    [
        (3, 64, FewInputChannels),
        (4, 64, None),
        (64, 4, FewOutputChannels),
        (64, 5, None),
        (3, 12, None),
        (64, 64, None),
    ],
)
def test_the_choice_compared_with_winograd(C, F, kind) -> None:
    assert few_channel_algorithm((3, 3), C, F, 1, winograd=True) is kind
