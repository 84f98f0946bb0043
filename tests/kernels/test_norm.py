"""The kernel of group normalization, and its functions for SiLU, equal their definitions."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import norm, workspace
from npdiff.kernels.conv import blocks
from npdiff.kernels.norm import group_norm

EPS = np.finfo(np.float32).eps


@st.composite
def group_norms(draw):
    """x, gamma, beta, groups, eps and samples per block: groups of any size, any mean."""
    n, *space = draw(st.lists(st.integers(1, 5), min_size=2, max_size=4))
    groups, per_group = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    C = groups * per_group
    x = rng.standard_normal((n, *space, C))
    # A mean for each sample and channel: some blocks, or some groups of one, have a large mean.
    x = x + draw(st.sampled_from([0.0, 1.0, 5.0])) * rng.standard_normal((n, *[1] * len(space), C))
    gamma, beta = rng.standard_normal((2, C))
    return x, gamma, beta, groups, draw(st.sampled_from([1e-5, 0.1])), draw(st.integers(1, n))


def by_definition(f, *args):
    with definitions_only():
        return f(*args)


@given(group_norms())
def test_it_equals_the_definition(assert_equals_definition, case) -> None:
    """In float64 to 1e-12, with blocks of any size."""
    *arrays, groups, eps, most = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(norm, "blocks", lambda n, *_: blocks(n, most))
        # 1 / std is up to 300 for groups of one element, and multiplies the error of x.
        assert_equals_definition(
            group_norm, ops.group_norm, *arrays, groups=groups, eps=eps, rtol=1e-11
        )


@pytest.mark.parametrize("groups", [1, 8])
@pytest.mark.parametrize("shape", [(3, 32, 32, 32), (5, 7, 9, 16), (4, 200, 8)])
def test_it_equals_the_definition_at_the_sizes_of_a_network(
    normals, assert_equals_definition, shape, groups
) -> None:
    C = shape[-1]
    arrays = normals(shape, (C,), (C,))
    assert_equals_definition(group_norm, ops.group_norm, *arrays, groups=groups)


def in_both(x, gamma, beta, dy, groups):
    """y, dx, dgamma and dbeta by the kernel, and by the definition in float64."""
    y, pullback = group_norm(x, gamma, beta, groups=groups)
    wide = [a.astype(np.float64) for a in (x, gamma, beta)]
    with definitions_only():
        exact, exact_pullback = ops.group_norm(*wide, groups=groups)
        exacts = exact, *exact_pullback(dy.astype(np.float64))
    return (y, *pullback(dy)), exacts


@pytest.mark.parametrize("mean", [0.0, 1.0, 2.5, 2.9])
@pytest.mark.parametrize("shape", [(3, 32, 32, 32), (5, 7, 9, 16)])
def test_single_precision_errors_are_bounded(normals, shape, mean) -> None:
    """In the norm, up to the mean at which differences are computed first.

    A sum of n terms has an error of about sqrt(n) eps / 2. A squared mean of up to 8 variances
    multiplies the relative error by that, 9 with the variance itself.
    """
    C = shape[-1]
    x, gamma, beta, dy = normals(shape, (C,), (C,), shape, dtype=np.float32)
    x = np.float32(mean) + x
    found, exact = in_both(x, gamma, beta, dy, 8)
    n = np.sqrt(x[0].size / 8)
    for a, b in zip(found, exact, strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) <= 9 * n / 2 * EPS * np.linalg.norm(b)


@pytest.mark.parametrize("mean", [1e3, -3e4])
@pytest.mark.parametrize("shape", [(3, 8, 8, 32), (2, 64, 64, 8), (2, 33, 31, 16)])
def test_errors_with_a_large_mean(normals, shape, mean) -> None:
    """The mean to a relative error of eps; the standard deviation to 12 eps, plus the effect of the
    mean's error; everything else as far as the mean's error allows."""
    C = shape[-1]
    x, gamma, beta, dy = normals(shape, (C,), (C,), shape, dtype=np.float32)
    x = np.float32(mean) + x
    off = EPS * abs(mean)
    groups = x.astype(np.float64).reshape(shape[0], -1, 8, C // 8)
    exact_mean = groups.mean(axis=(1, 3))
    exact_rstd = 1.0 / np.sqrt(groups.var(axis=(1, 3)) + 1e-5)
    found_mean, found_rstd = norm.statistics(x, 8, 1e-5)
    assert np.abs(found_mean - exact_mean).max() <= off
    assert np.abs(found_rstd / exact_rstd - 1.0).max() <= 12 * EPS + off**2
    found, exact = in_both(x, gamma, beta, dy, 8)
    for a, b in zip(found, exact, strict=True):
        # Sums over positions gather the same shift from each: it enters dgamma times sum(dy).
        most = np.abs(dy.sum(axis=(0, 1, 2))).max() if a.shape == (C,) else np.abs(gamma).max()
        assert np.abs(a - b).max() <= 3 * off * max(most, np.abs(b).max())


def test_a_constant_image_gives_beta(normals) -> None:
    """The variance is 0: differences are 0, and there is no warning."""
    x = np.broadcast_to(normals((2, 1, 1, 4), dtype=np.float32), (2, 8, 8, 4)).copy()
    gamma, beta = normals((4,), (4,), dtype=np.float32)
    y, pullback = group_norm(x, gamma, beta, groups=4)
    # The mean of 64 equal elements has an error of an eps or two, multiplied by 1 / sqrt(1e-5).
    np.testing.assert_allclose(y, np.broadcast_to(beta, y.shape), atol=600 * 3 * EPS)
    assert np.isfinite(pullback(y)[0]).all()


def test_silu_and_twice_its_derivative(normals) -> None:
    """Of the normalized block after gain and offset; exact in the limits on both sides."""
    x = normals((3, 4, 5, 6)).copy()
    x[0, 0, 0], x[0, 0, 1] = 400.0, -400.0
    gain, offset = normals((3, 6), (3, 6))
    mean, rstd = norm.statistics(x, 2, 1e-5)
    rest = gain, offset
    repeated = (np.repeat(a, 3, axis=1)[:, None, None] for a in (mean, rstd))
    mu, r = repeated
    z = gain[:, None, None] * (x - mu) * r + offset[:, None, None]
    (expected, silu_pullback), ones = by_definition(ops.silu, z), np.ones_like(z)
    np.testing.assert_allclose(norm.silu_of(x, mean, rstd, *rest), expected, rtol=0, atol=1e-13)
    value, slope = norm.silu_and_slope(x, mean, rstd, *rest)
    np.testing.assert_allclose(value, expected, rtol=0, atol=1e-13)
    np.testing.assert_allclose(slope, 2.0 * silu_pullback(ones)[0], rtol=0, atol=1e-13)


@pytest.mark.parametrize("limit", [0, 1000, 20_000])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    x, gamma, beta, dy = normals((4, 6, 7, 8), (8,), (8,), (4, 6, 7, 8))

    def run(x):
        y, pullback = group_norm(x, gamma, beta, groups=4)
        return y, *pullback(dy)

    expected = run(x), run(x + 100.0)
    small = workspace.Workspace(limit)
    monkeypatch.setattr("npdiff.kernels.norm.workspace", lambda: small)
    for _ in range(2):
        for results, right in zip((run(x), run(x + 100.0)), expected, strict=True):
            for a, b in zip(results, right, strict=True):
                np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


def test_results_are_not_scratch(normals) -> None:
    """They do not change while other shapes are computed."""
    args = normals((4, 6, 7, 8), (8,), (8,))
    y, pullback = group_norm(*args, groups=4)
    results = y, *pullback(y)
    copies = [a.copy() for a in results]
    for shape in ((9, 3, 3, 8), (4, 6, 7, 8), (1, 20, 20, 8)):
        other, other_pullback = group_norm(normals(shape, seed=3), *args[1:], groups=2)
        other_pullback(other)
    for a, b in zip(results, copies, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(pullback(y), copies[1:], strict=True):
        np.testing.assert_array_equal(a, b)


def test_four_threads_give_bit_identical_results(normals) -> None:
    """Compared with one thread."""
    gamma, beta = normals((16,), (16,))
    inputs = [normals((8, 12, 12, 16), seed=seed) + 10.0 * (seed % 2) for seed in range(8)]

    def run(x):
        y, pullback = group_norm(x, gamma, beta, groups=4)
        return y, *pullback(x)

    one_thread = [run(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, inputs * 3))
    for results, expected in zip(together, one_thread * 3, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    ("x", "groups"),
    [((2, 4), 2), ((0, 3, 4), 2), ((2, 0, 3, 4), 2), ((2, 3, 3, 6), 4)],
)
def test_shapes_that_the_kernel_does_not_cover(x, groups) -> None:
    """No space, no elements, or groups that do not divide the channels."""
    C = x[-1]
    assert group_norm(np.ones(x), np.ones(C), np.ones(C), groups=groups) is None


def test_arrays_that_the_kernel_does_not_cover(normals) -> None:
    x, gamma, beta = normals((2, 3, 4), (4,), (4,))
    assert group_norm(x, gamma, beta, groups=2) is not None
    for other in (x.view(type("Other", (np.ndarray,), {})), np.ones((2, 3, 4), int)):
        assert group_norm(other, gamma, beta, groups=2) is None
    assert group_norm(x.astype(np.float32), gamma, beta, groups=2) is None
    assert group_norm(x, gamma.astype(np.float32), beta, groups=2) is None
