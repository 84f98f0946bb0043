"""Upsampling and convolution as four small convolutions equal the two in sequence."""

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only, frozen_weights
from npdiff.kernels import conv, workspace
from npdiff.kernels.conv import blocks
from npdiff.kernels.upsampled import upsample_conv

EPS = np.finfo(np.float32).eps


@pytest.fixture(autouse=True)
def fresh_algorithms():
    """Clear the cache of algorithms after a test, which may change the constants."""
    yield
    conv._choose.cache_clear()


@st.composite
def images(draw):
    """x, w and b, from images of one pixel, of every remainder modulo the tile."""
    n, height, width = draw(st.tuples(st.integers(1, 5), *[st.integers(1, 9)] * 2))
    C, F = draw(st.tuples(*[st.integers(4, 7)] * 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    shapes = (n, height, width, C), (3, 3, C, F), (F,)
    return [rng.standard_normal(shape) for shape in shapes]


@pytest.mark.parametrize("most", [1, 2, 1000])
@given(case=images())
def test_it_equals_the_definition(assert_equals_definition, case, most) -> None:
    """In float64 to 1e-12, in blocks of one, two and all samples."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "MIN_WINOGRAD_TILES", 1)
        patch.setattr(conv, "blocks", lambda n, block: blocks(n, min(most, block)))
        conv._choose.cache_clear()
        assert_equals_definition(upsample_conv, ops.upsample_conv, *case)


@pytest.mark.parametrize("size", [None, (16, 16), [16, 16]])
@pytest.mark.parametrize("padding", [None, 1, ((1, 1), (1, 1))])
def test_explicit_size_and_padding_equal_the_defaults(
    normals, assert_equals_definition, size, padding
) -> None:
    arrays = normals((7, 8, 8, 16), (3, 3, 16, 24), (24,))
    assert_equals_definition(upsample_conv, ops.upsample_conv, *arrays, size=size, padding=padding)


def test_single_precision_errors_are_bounded(normals) -> None:
    """In the norm, as for any F(4, r). A folded tap is a sum of up to four taps."""
    x, w, b = normals((3, 16, 16, 32), (3, 3, 32, 32), (32,), dtype=np.float32)
    y, pullback = upsample_conv(x, w, b)
    dy = normals(y.shape, seed=2, dtype=np.float32)
    with definitions_only():
        exact, exact_pullback = ops.upsample_conv(*(a.astype(np.float64) for a in (x, w, b)))
        expected = exact, *exact_pullback(dy.astype(np.float64))
    for a, b, n in zip((y, *pullback(dy)), expected, (32, 4 * 32, 192, 3 * 32 * 32), strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) <= 3 / 2 * (np.sqrt(n) + 4) * EPS * np.linalg.norm(b)


@pytest.mark.parametrize(
    ("x", "w", "options"),
    [
        ((8, 8, 8, 16), (3, 3, 16, 16), {"size": (15, 16)}),
        ((8, 8, 8, 16), (3, 3, 16, 16), {"padding": 0}),
        ((8, 8, 8, 16), (3, 3, 16, 16), {"padding": ((1, 1), (0, 2))}),
        ((8, 8, 8, 16), (3, 5, 16, 16), {}),
        ((8, 8, 8, 16), (1, 1, 16, 16), {}),
        ((8, 64, 16), (3, 16, 16), {}),
        ((2, 4, 4, 8, 16), (3, 3, 3, 16, 16), {}),
        ((8, 8, 8, 16), (3, 3, 16, 1), {}),
        ((8, 8, 8, 15), (3, 3, 16, 16), {}),
    ],
)
def test_arguments_that_the_kernel_does_not_cover(normals, x, w, options) -> None:
    assert upsample_conv(*normals(x, w, (w[-1],)), **options) is None


def test_the_upsampled_image_is_not_saved(normals) -> None:
    x, w, b = normals((4, 8, 8, 16), (3, 3, 16, 16), (16,))
    _, pullback = upsample_conv(x, w, b)
    kept = [cell.cell_contents for cell in pullback.__closure__]
    arrays = [a for a in kept if isinstance(a, np.ndarray)]
    assert all(any(np.shares_memory(a, given) for given in (x, w, b)) for a in arrays)
    assert any(a is x for a in arrays)


def test_frozen_weights_give_bit_identical_results(normals) -> None:
    """Four entries in the cache for each direction, compared with no cache."""
    x, w, b = normals((6, 8, 8, 16), (3, 3, 16, 16), (16,))

    def run():
        y, pullback = upsample_conv(x, w, b)
        expected, expected_pullback = conv.conv(x, w, b)
        return y, *pullback(y), expected, *expected_pullback(expected)

    expected, forms = run(), {}
    with frozen_weights(forms):
        for _ in range(2):
            for a, b_ in zip(run(), expected, strict=True):
                np.testing.assert_array_equal(a, b_)
    assert len(forms) == 2 * (4 + 1)


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_results_do_not_depend_on_the_limit_of_scratch(normals, monkeypatch, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    args = normals((5, 9, 7, 8), (3, 3, 8, 8), (8,))

    def run():
        y, pullback = upsample_conv(*args)
        return y, *pullback(y)

    expected = run()
    small = workspace.Workspace(limit)
    for module in ("norm", "winograd"):
        monkeypatch.setattr(f"npdiff.kernels.{module}.workspace", lambda: small)
    for _ in range(2):
        for a, b in zip(run(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


def test_four_threads_give_bit_identical_results(normals) -> None:
    """Compared with one thread."""
    w, b = normals((3, 3, 8, 8), (8,))
    inputs = [normals((6, 9, 8, 8), seed=seed) for seed in range(6)]

    def run(x):
        y, pullback = upsample_conv(x, w, b)
        return y, *pullback(y)

    one_thread = [run(x) for x in inputs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, inputs * 3))
    for results, expected in zip(together, one_thread * 3, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("layout", ["broadcast", "transposed", "another dtype"])
def test_cotangents_of_any_memory_layout(normals, layout) -> None:
    """If whole tiles cover the image, dy is read in place."""
    dtype = np.float32 if layout == "another dtype" else np.float64
    x, w, b = normals((4, 8, 8, 8), (3, 3, 8, 8), (8,), dtype=dtype)
    y, pullback = upsample_conv(x, w, b)
    dy = normals(y.shape, seed=3)
    if layout == "broadcast":
        dy = np.broadcast_to(dy[..., :1], dy.shape)
    elif layout == "transposed":
        dy = dy.transpose(3, 1, 2, 0).copy().transpose(3, 1, 2, 0)
    for a, b in zip(pullback(dy), pullback(np.ascontiguousarray(dy, dtype)), strict=True):
        np.testing.assert_array_equal(a, b)
