"""Winograd's convolution equals the definition: any size, padding, block; bounded rounding."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import conv, workspace
from npdiff.kernels.winograd import Winograd

EPS = np.finfo(np.float32).eps
ONE = ((1, 1), (1, 1))
SOLVER_PREDICTIONS = [(4, 3), (2, 3), (4, 2)]


@st.composite
def convolutions(draw):
    """Tile, x, w, dy, padding and block: from images of a pixel, padding beyond the kernel."""
    m, r = draw(st.sampled_from(SOLVER_PREDICTIONS))
    space = draw(st.tuples(*[st.integers(1, 10)] * 2))
    pads = []
    for size in space:
        before, after = draw(st.tuples(*[st.sampled_from([0, 1, 1, 2, 3, 9])] * 2))
        pads.append((before, max(after, r - size - before)))  # room for one window at least
    n, c, f = draw(st.tuples(*[st.integers(1, 5)] * 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    out = [size + sum(p) - r + 1 for size, p in zip(space, pads, strict=True)]
    shapes = (n, *space, c), (r, r, c, f), (n, *out, f)
    return m, *map(rng.standard_normal, shapes), tuple(pads), draw(st.integers(1, n))


def of(m, x, w, pads) -> Winograd:
    return Winograd(x.shape[1:3], len(w), *w.shape[2:], pads, x.dtype, m)


def by_blocks(algorithm, x, w, dy, bias=None, residual=None):
    """y, dx and dw block by block as in ``conv``, of read-only arrays."""
    for a in (x, w, dy):
        a.flags.writeable = False
    forward, backward = algorithm.forward_weights(w), algorithm.backward_weights(w)
    y, dx = np.full(dy.shape, np.nan, dy.dtype), np.full(x.shape, np.nan, x.dtype)
    gradient = algorithm.gradient()
    for rows in conv.blocks(len(x), algorithm.block):
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


def alike(found, expected, rtol=1e-12) -> None:
    for a, b in zip(found, expected, strict=True):
        np.testing.assert_allclose(a, b, rtol=rtol, atol=rtol * np.abs(b).max(initial=1.0))


@given(convolutions())
def test_it_equals_the_definition(case) -> None:
    """In float64 to 1e-12."""
    m, x, w, dy, pads, block = case
    algorithm = of(m, x, w, pads)
    algorithm.block = block
    alike(by_blocks(algorithm, x, w, dy), defined(x, w, dy, pads))


@pytest.mark.parametrize(("m", "r"), SOLVER_PREDICTIONS)
@pytest.mark.parametrize("pads", [((0, 9), (9, 0)), ((9, 0), (0, 9)), ((20, 20), (20, 20))])
def test_more_padding_than_image_is_covered(normals, m, r, pads) -> None:
    """Tiles, columns of tiles and whole planes without a pixel of x."""
    for size in (1, 2, 5):
        out = [size + sum(p) - r + 1 for p in pads]
        x, w, dy = normals((3, size, size, 2), (r, r, 2, 3), (3, *out, 3))
        alike(by_blocks(of(m, x, w, pads), x, w, dy), defined(x, w, dy, pads))


@given(convolutions())
def test_single_precision_errors_are_bounded(case) -> None:
    """By the a priori bound for each element.

    Every element is a sum of products along paths through the transforms. A path with k roundings
    is off by at most k eps / 2 of itself and higher powers of eps, for which the other half is
    left; the sum of the magnitudes of all paths is the same algorithm with every element replaced
    by its magnitude. A sum of n terms costs a path n roundings, and each matrix one for its
    entries, which are fractions.
    """
    m, x, w, dy, pads, block = case
    x, w, dy = (a.astype(np.float32) for a in (x, w, dy))
    wide = [a.astype(np.float64) for a in (x, w, dy)]
    algorithm, sizes = of(m, x, w, pads), of(m, *wide[:2], pads)
    algorithm.block = sizes.block = block
    for name in ("A", "AT", "B", "BT", "GG"):
        setattr(sizes, name, np.abs(getattr(sizes, name)))
    n, r, positions = algorithm.n, algorithm.r, len(x) * algorithm.h * algorithm.w
    weights, two_of_n, two_of_m = r**2 + 2, 2 * (n + 1), 2 * (m + 1)
    roundings = (
        two_of_n + weights + w.shape[2] + two_of_n,
        two_of_m + weights + w.shape[3] + two_of_n + 2,  # overlapping tiles are added up
        two_of_n + two_of_m + 2 * positions + n**2 + 2,
    )
    exact, bounds = defined(*wide, pads), by_blocks(sizes, *(np.abs(a) for a in wide))
    for a, b, k, bound in zip(
        by_blocks(algorithm, x, w, dy), exact, roundings, bounds, strict=True
    ):
        assert a.dtype == np.float32
        assert (np.abs(a - b) <= k * EPS * bound).all()


@pytest.mark.parametrize(("tile", "factor"), [(2, 1.0), (4, 3.0)])
@pytest.mark.parametrize(("size", "channels"), [(32, 32), (8, 128), (13, 48)])
def test_the_rounding_error_of_larger_tiles(normals, tile, factor, size, channels) -> None:
    """In the norm the errors of n terms add up like a random walk, sqrt(n) eps / 2, plus those of
    a dozen transforms; intermediate values of F(4x4) are larger, and so are its errors.
    """
    shape = (3, size, size, channels)
    x, w, dy = normals(shape, (3, 3, channels, channels), shape, dtype=np.float32)
    exact = defined(*(a.astype(np.float64) for a in (x, w, dy)), ONE)
    algorithm = of(tile, x, w, ONE)
    terms = channels, channels, 3 * algorithm.h * algorithm.w
    for a, b, n in zip(by_blocks(algorithm, x, w, dy), exact, terms, strict=True):
        bound = factor * (np.sqrt(n) + 4) / 2 * EPS
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


@pytest.mark.parametrize(("m", "r"), SOLVER_PREDICTIONS)
@pytest.mark.parametrize("size", [8, 7])
@pytest.mark.parametrize("per_sample", [False, True])
def test_bias_and_residual_are_added(normals, m, r, size, per_sample) -> None:
    """With whole tiles and with tiles that extend over the edge."""
    pads = ((1, r - 2), (r - 2, 1))
    x, w, residual = normals((5, size, size, 3), (r, r, 3, 4), (5, size, size, 4))
    bias = normals((5, 4) if per_sample else (4,), seed=2)
    algorithm = of(m, x, w, pads)
    algorithm.block = 2
    y = defined(x, w, residual, pads)[0] + (bias[:, None, None] if per_sample else bias)
    alike(by_blocks(algorithm, x, w, residual, bias)[:1], [y])
    alike(by_blocks(algorithm, x, w, residual, bias, residual)[:1], [y + residual])


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    cases = []
    for size in (9, 4, 12):
        x, w, dy = normals((5, size, size, 3), (3, 3, 3, 5), (5, size, size, 5))
        algorithm = of(4, x, w, ONE)
        algorithm.block = 3
        cases.append((algorithm, x, w, dy))
    expected = [by_blocks(*case) for case in cases]
    small = workspace.Workspace(limit)
    monkeypatch.setattr("npdiff.kernels.winograd.workspace", lambda: small)
    for _ in range(2):
        for case, right in zip(cases, expected, strict=True):
            for a, b in zip(by_blocks(*case), right, strict=True):
                np.testing.assert_array_equal(a, b)
            assert small.kept <= limit


@pytest.mark.parametrize("size", [7, 8])
def test_results_do_not_depend_on_earlier_contents_of_scratch(normals, size) -> None:
    """Blocks of few and of many samples, of several convolutions in turn, after infinities.

    The others have planes of the same shape with another border, or share all scratch but one.
    """
    shape = (6, size, size, 3)
    x, w, dy = normals(shape, (3, 3, 3, 3), shape)
    wider = normals((3, 3, 3, 9), seed=1)
    others = [
        (of(4, x, w, ((0, 2), (2, 0))), w, dy),
        (of(4, x, w, ((2, 0), (0, 2))), w, dy),
        (of(4, x, wider, ONE), wider, np.repeat(dy, 3, axis=-1)),
        (of(2, x, w, ONE), w, dy),
    ]
    algorithm, expected = of(4, x, w, ONE), defined(x, w, dy, ONE)
    with np.errstate(invalid="ignore", over="ignore"):
        for other, other_w, other_dy in [*others, (algorithm, w, dy)]:
            nothing = np.full_like(x, np.inf), other_w, np.full_like(other_dy, np.nan)
            by_blocks(other, *nothing)
    for n in (6, 1, 4):
        for other, other_w, other_dy in others:
            by_blocks(other, x[:n], other_w, other_dy[:n])
            y, dx, _ = by_blocks(algorithm, x[:n], w, dy[:n])
            alike((y, dx), (expected[0][:n], expected[1][:n]))
    alike(by_blocks(algorithm, x, w, dy), expected)


def test_four_threads_give_bit_identical_results(normals) -> None:
    """With one algorithm object, compared with one thread."""
    w, dy = normals((3, 3, 8, 8), (16, 12, 12, 8), seed=3)
    inputs = [normals((16, 12, 12, 8), seed=seed) for seed in range(8)]
    algorithm = of(4, inputs[0], w, ONE)
    one_thread = [by_blocks(algorithm, x, w, dy) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda x: by_blocks(algorithm, x, w, dy), inputs * 3))
    for results, expected in zip(together, one_thread * 3, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def test_backward_adds_to_the_gradient(normals) -> None:
    """The earlier contents of the gradient stay in the sum."""
    x, w, dy = normals((2, 5, 5, 2), (3, 3, 2, 3), (2, 5, 5, 3))
    algorithm = of(4, x, w, ONE)
    gradient = algorithm.gradient()
    for _ in range(2):
        algorithm.backward(x, dy, algorithm.backward_weights(w), gradient)
    alike([algorithm.weight_gradient(gradient)], [2.0 * defined(x, w, dy, ONE)[2]])


def test_a_sample_does_not_depend_on_others_in_its_block(normals) -> None:
    """NaN stays in its sample."""
    x, w = normals((3, 6, 6, 4), (3, 3, 4, 4))
    x = x.copy()
    x[1, 2, 3, 0] = np.nan
    y, dx, _ = by_blocks(of(4, x, w, ONE), x, w, np.ones_like(x))
    assert np.isnan(y[1]).any()
    assert np.isfinite(y[[0, 2]]).all()
    assert np.isfinite(dx).all()


@cache
def blocks_of(size: int, channels: int) -> int:
    return Winograd((size, size), 3, channels, channels, ONE, np.float32).block


def test_a_block_has_at_least_one_sample() -> None:
    """However large the image; small images are grouped."""
    assert blocks_of(4096, 256) == 1
    assert blocks_of(8, 32) > blocks_of(32, 32) >= 1
    assert blocks_of(1, 64) > 1


def test_algorithms_with_different_weights_have_different_names() -> None:
    """The name is the key of cached weights."""
    assert len({Winograd((8, 8), r, 4, 4, ONE, "f4", m).name for m, r in SOLVER_PREDICTIONS}) == 3


@pytest.mark.parametrize(
    ("size", "C", "F", "block"),
    [
        (32, 32, 32, 8),  # the cache
        (32, 64, 64, 3),  # products without packing
        (16, 256, 128, 1),
        (8, 256, 256, 32),  # too many channels for that: tiles enough for a product
        (64, 256, 256, 1),
    ],
)
def test_the_number_of_samples_in_a_block(size, C, F, block) -> None:
    algorithm = Winograd((size, size), 3, C, F, ((1, 1), (1, 1)), np.float32)
    assert algorithm.block == block
    if block > 1 and C < 256:
        assert block * algorithm.h * algorithm.w * C * F <= 10**6
