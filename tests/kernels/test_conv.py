"""Convolution by any algorithm equals the definition: in blocks, in strips, on several threads."""

from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import IdleThreads, frozen_weights, idle_threads
from npdiff.kernels import composite, conv
from npdiff.kernels.conv import blocks
from npdiff.kernels.few_channels import FewInputChannels, FewOutputChannels
from npdiff.kernels.patches import Patches
from npdiff.kernels.winograd import Winograd

ONE = ((1, 1), (1, 1))


@pytest.fixture(autouse=True)
def fresh_algorithms():
    """Clear the caches, since a test may have changed constants."""
    yield
    conv._choose.cache_clear()
    conv._strips.cache_clear()


@st.composite
def convolutions(draw):
    """x, w, b or None, and options: 1 to 3 axes, strides, paddings, and every algorithm."""
    dims = draw(st.sampled_from([1, 2, 2, 2, 3]))
    space = draw(st.tuples(*[st.integers(1, 9 if dims < 3 else 4)] * dims))
    other = draw(st.tuples(*[st.integers(1, 5)] * dims))
    kernel = draw(st.sampled_from([(3,) * dims, other]))
    pads = []
    for size, k in zip(space, kernel, strict=True):
        before, after = draw(st.tuples(*[st.sampled_from([0, 1, 2, 2, 7])] * 2))
        pads.append((before, max(after, k - size - before)))
    n, c, f = draw(st.tuples(st.integers(1, 5), *[st.sampled_from([1, 3, 4, 5, 20])] * 2))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    arrays = rng.standard_normal((n, *space, c)), rng.standard_normal((*kernel, c, f))
    b = rng.standard_normal(f) if draw(st.booleans()) else None
    return *arrays, b, {"stride": draw(st.sampled_from([1, 1, 2, 3])), "padding": pads}


@pytest.mark.parametrize("most", [1, 2, 1000])
@given(case=convolutions())
def test_it_equals_the_definition(assert_equals_definition, case, most) -> None:
    """In float64 to 1e-12, in blocks of one, two and all samples."""
    *arrays, options = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "MIN_WINOGRAD_TILES", 1)
        patch.setattr(conv, "blocks", lambda n, block: blocks(n, min(most, block)))
        conv._choose.cache_clear()
        if conv.choose_algorithm(*arrays, *options.values()) is None:
            assert conv.conv(*arrays, **options) is None
        else:
            assert_equals_definition(conv.conv, ops.conv, *arrays, **options)


@pytest.mark.parametrize(
    ("x", "w", "stride", "padding", "kind"),
    [
        ((8, 16, 16, 32), (3, 3, 32, 32), 1, None, Winograd),
        ((8, 7, 5, 32), (3, 3, 32, 32), 1, 0, Winograd),
        ((1, 4, 4, 32), (3, 3, 32, 32), 1, None, Patches),
        ((8, 16, 16, 32), (3, 3, 32, 32), 2, None, Patches),
        ((8, 16, 16, 32), (5, 5, 32, 32), 1, None, Patches),
        ((8, 16, 32), (3, 32, 32), 1, None, Patches),
        ((8, 32, 32, 1), (3, 3, 1, 32), 1, None, FewInputChannels),
        ((8, 32, 32, 32), (3, 3, 32, 1), 1, None, FewOutputChannels),
        ((8, 16, 16, 32), (1, 1, 32, 32), 1, None, type(None)),
        ((8, 16, 16, 32), (3, 3, 3, 32), 1, None, type(None)),
        ((8, 16, 32), (3, 3, 32, 32), 1, None, type(None)),
        ((8, 2, 2, 32), (5, 5, 32, 32), 1, 0, type(None)),
        ((8, 4, 4, 32), (3, 3, 32, 32), 1, ((-1, 0), (0, 0)), type(None)),
        ((0, 4, 4, 32), (3, 3, 32, 32), 1, None, type(None)),
        ((2, 0, 4, 32), (3, 3, 32, 32), 1, None, type(None)),
    ],
)
def test_the_choice_of_the_algorithm(x, w, stride, padding, kind) -> None:
    algorithm = conv.choose_algorithm(np.zeros(x), np.zeros(w), np.zeros(w[-1]), stride, padding)
    assert type(algorithm) is kind


def test_arrays_that_no_algorithm_covers(normals) -> None:
    x, w, b = normals((8, 8, 8, 8), (3, 3, 8, 8), (8,))
    assert conv.choose_algorithm(x, w, b, 1, None) is not None
    for place in range(3):
        mixed = [a.astype(np.float32) if i == place else a for i, a in enumerate((x, w, b))]
        assert conv.choose_algorithm(*mixed, 1, None) is None
    assert conv.choose_algorithm(*(a.astype(int) for a in (x, w, b)), 1, None) is None
    assert conv.choose_algorithm(x.view(type("Other", (np.ndarray,), {})), w, b, 1, None) is None


@given(st.integers(1, 50), st.integers(1, 60))
def test_blocks_cover_the_samples_evenly(n, most) -> None:
    """Each sample once and in order, at most ``most``, in sizes that differ by at most one."""
    cut = blocks(n, most)
    assert [i for rows in cut for i in range(n)[rows]] == list(range(n))
    sizes = [rows.stop - rows.start for rows in cut]
    assert max(sizes) <= most
    assert max(sizes) - min(sizes) <= 1


def test_arrays_of_any_memory_layout(normals) -> None:
    """x, w and dy transposed, strided or broadcast; dy also in another dtype."""
    x, w, b = normals((8, 16, 9, 9), (8, 8, 3, 3), (8,))
    x, w = x.transpose(0, 2, 3, 1)[..., ::2], w.transpose(2, 3, 1, 0)
    y, pullback = conv.conv(x, w, b)
    same, same_pullback = conv.conv(x.copy(), w.copy(), b)
    np.testing.assert_array_equal(y, same)
    dy = normals(y.shape, seed=1)
    fortran, repeated = np.asfortranarray(dy), np.broadcast_to(dy[:1, :1], dy.shape)
    for other in (fortran, repeated, dy.astype(np.float32)):
        expected = same_pullback(np.ascontiguousarray(other, np.float64))
        for a, c in zip(pullback(other), expected, strict=True):
            np.testing.assert_allclose(a, c, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [8, 9])
def test_a_cotangent_in_float64_of_a_convolution_in_float32(normals, size) -> None:
    """It is rounded to float32."""
    x, w, b = normals((8, size, size, 8), (3, 3, 8, 8), (8,), dtype=np.float32)
    y, pullback = conv.conv(x, w, b)
    dy = normals(y.shape)
    for a, c in zip(pullback(dy), pullback(dy.astype(np.float32)), strict=True):
        np.testing.assert_array_equal(a, c)


def test_frozen_weights_are_converted_once(normals, monkeypatch) -> None:
    """For all threads; in every call if they are not frozen."""
    x, w, b = normals((8, 8, 8, 8), (3, 3, 8, 8), (8,))
    made = []
    own = Winograd.forward_weights
    monkeypatch.setattr(
        Winograd, "forward_weights", lambda algorithm, a: made.append(1) or own(algorithm, a)
    )

    def run(_=None):
        return conv.conv(x, w, b)[0]

    expected = run()
    run()
    assert len(made) == 2
    with frozen_weights():
        run()
        with ThreadPoolExecutor(1) as pool:
            results = [pool.submit(copy_context().run, run).result() for _ in range(3)]
    assert len(made) == 3
    for y in results:
        np.testing.assert_array_equal(y, expected)


# Strips.


@pytest.fixture
def in_strips(monkeypatch):
    """Run a function with idle threads that compute strips of images of any size."""
    monkeypatch.setattr(conv, "MIN_PARALLEL_ELEMENTS", 0)
    item_counts = []

    def run(size, f):
        with ThreadPoolExecutor(size) as pool:

            def parallel_for(g, items):
                item_counts.append(len(items))
                work = [pool.submit(copy_context().run, g, item) for item in items]
                for future in work:
                    future.result()

            with idle_threads(IdleThreads(size, parallel_for)):
                return f()

    run.item_counts = item_counts
    return run


def cases_for_strips(normals):
    """Winograd's and patches, all kinds of stride and padding, fewer rows than threads."""
    for size, kernel, stride, padding in [
        ((32, 16), 3, 1, None),
        ((33, 7), 3, 1, ((2, 0), (0, 2))),
        ((30, 8), 3, 1, 0),
        ((17, 9), 3, 2, None),
        ((19, 9), 5, 3, ((4, 1), (2, 2))),
        ((3, 40), 3, 1, None),
        ((1, 70), 3, 1, None),
        ((2, 30), 3, 1, ((9, 9), (1, 1))),
        ((40,), 3, 1, None),
        ((9, 5, 6), 3, 1, None),
    ]:
        for samples in (1, 2):
            shapes = (samples, *size, 8), (*(kernel,) * len(size), 8, 12), (12,)
            yield normals(*shapes), {"stride": stride, "padding": padding}


@pytest.mark.parametrize("threads", [2, 3, 8])
def test_strips_equal_the_undivided_convolution(normals, in_strips, threads) -> None:
    """Up to rounding: BLAS sums products of fewer rows in another order."""
    cut = 0
    for arrays, options in cases_for_strips(normals):
        whole, whole_pullback = conv.conv(*arrays, **options)
        y, pullback = in_strips(threads, lambda a=arrays, o=options: conv.conv(*a, **o))
        np.testing.assert_allclose(y, whole, rtol=1e-12, atol=1e-12 * np.abs(whole).max())
        for a, b in zip(pullback(y), whole_pullback(y), strict=True):
            np.testing.assert_array_equal(a, b)
        with idle_threads(IdleThreads(threads, lambda *_: None)):
            algorithm = conv.choose_algorithm(*arrays, *options.values())
            cut += len(conv.work_items(algorithm, len(arrays[0]))) > len(
                blocks(len(arrays[0]), algorithm.block)
            )
    assert cut >= (8 if threads == 2 else 16)
    assert len(in_strips.item_counts) >= cut


@pytest.mark.parametrize("threads", [2, 3, 8])
@pytest.mark.parametrize("mean", [0.0, 1e3])
def test_strips_of_norm_silu_conv_equal_the_undivided_function(
    normals, in_strips, threads, mean
) -> None:
    """With statistics of the whole image, shift of the sample and residual of the strip."""
    n = 1 if threads == 2 else 2
    x, w, b, gamma, beta = normals((n, 30, 9, 8), (3, 3, 8, 12), (12,), (8,), (8,))
    scale, offset, shift, residual = normals((n, 8), (n, 8), (n, 12), (n, 30, 9, 12), seed=1)
    arrays = x + mean, gamma, beta, w, b, scale, offset, shift, residual

    def run():
        return composite.norm_silu_conv(*arrays, groups=2)

    whole, whole_pullback = run()
    y, pullback = in_strips(threads, run)
    # Differences to the mean have an error of eps times the mean.
    close = {"rtol": 1e-12 * (1 + mean), "atol": 1e-12 * (1 + mean) * np.abs(whole).max()}
    np.testing.assert_allclose(y, whole, **close)
    for a, b_ in zip(pullback(y), whole_pullback(y), strict=True):
        np.testing.assert_allclose(a, b_, rtol=1e-12, atol=1e-12 * (1 + mean) * np.abs(b_).max())
    assert in_strips.item_counts


@pytest.mark.parametrize(
    ("height", "padding", "stride", "kernel"),
    [
        (32, (1, 1), 1, 3),
        (7, (2, 0), 1, 3),
        (9, (4, 1), 3, 5),
        (40, (0, 0), 2, 3),
        (13, (1, 1), 1, 3),
    ],
)
@pytest.mark.parametrize("count", [1, 2, 3, 5, 50])
def test_strips_cover_each_row_of_the_output_once(height, padding, stride, kernel, count) -> None:
    """In order, and each strip has the rows of the image that its output depends on."""
    shapes = (height, 8), (kernel, kernel), 8, 8
    pads = (padding, (1, 1))
    algorithms = [Patches(*shapes, stride, pads, np.float64)]
    if (kernel, stride) == (3, 1):
        algorithms.append(Winograd((height, 8), 3, 8, 8, pads, np.float64))
    for algorithm in algorithms:
        strips = conv._strips(algorithm, count)
        rows = [i for s in strips for i in range(algorithm.out[0])[s.target]]
        assert rows == list(range(algorithm.out[0]))
        for strip in strips:
            assert strip.algorithm.out[0] == len(range(algorithm.out[0])[strip.target])
            assert strip.algorithm.space[0] == len(range(height)[strip.source])


def test_large_images_are_divided_into_strips_that_fit_the_cache(normals, monkeypatch) -> None:
    """Also without idle threads; together the strips equal the whole."""
    x, w, b = normals((2, 64, 16, 8), (3, 3, 8, 8), (8,))
    (whole,) = conv.work_items(conv.choose_algorithm(x, w, b, 1, None), 1)
    assert whole.source == slice(None)
    y, _ = conv.conv(x, w, b)
    monkeypatch.setattr(conv, "STRIP_ELEMENTS", 2048)
    items = conv.work_items(conv.choose_algorithm(x, w, b, 1, None), 2)
    assert len(items) == 2 * 4
    assert all(len(range(64)[item.source]) <= 16 + 2 for item in items)
    cut, _ = conv.conv(x, w, b)
    np.testing.assert_allclose(cut, y, rtol=1e-12, atol=1e-12 * np.abs(y).max())


@pytest.mark.parametrize(("samples", "threads", "each"), [(1, 8, 8), (2, 8, 4), (3, 8, 3)])
def test_idle_threads_each_get_a_strip(normals, monkeypatch, samples, threads, each) -> None:
    monkeypatch.setattr(conv, "MIN_PARALLEL_ELEMENTS", 0)
    x, w, b = normals((samples, 64, 16, 8), (3, 3, 8, 8), (8,))
    with idle_threads(IdleThreads(threads, lambda *_: None)):
        assert (
            len(conv.work_items(conv.choose_algorithm(x, w, b, 1, None), samples)) == samples * each
        )


def test_an_image_is_not_divided_if_a_strip_would_be_only_padding(normals, in_strips) -> None:
    """Rows of the output that depend on no row of x."""
    x, w, b = normals((1, 2, 30, 8), (3, 3, 8, 12), (12,))
    padding = ((30, 30), (1, 1))
    whole, _ = conv.conv(x, w, b, padding=padding)
    y, _ = in_strips(8, lambda: conv.conv(x, w, b, padding=padding))
    np.testing.assert_array_equal(y, whole)


def test_small_images_and_full_batches_are_not_divided(normals, monkeypatch) -> None:
    """A small image, or as many samples as threads, run block by block on one thread."""

    def forbidden(f, items):
        raise AssertionError(f"{len(items)} items on threads")

    x, w = normals((2, 16, 16, 8), (3, 3, 8, 8))
    with idle_threads(IdleThreads(4, forbidden)):
        conv.conv(x[:1], w)
        monkeypatch.setattr(conv, "MIN_PARALLEL_ELEMENTS", 0)
        with pytest.raises(AssertionError, match="items on threads"):
            conv.conv(x[:1], w)
    with idle_threads(IdleThreads(2, forbidden)):
        conv.conv(x, w)


def test_four_threads_give_bit_identical_results(normals) -> None:
    """With all algorithms in turn, compared with one thread."""
    cases = [
        (normals((6, 12, 12, 8), (3, 3, 8, 12), (12,), seed=0), {}),
        (normals((6, 13, 11, 8), (3, 3, 8, 12), (12,), seed=1), {"stride": 2}),
        (normals((6, 12, 12, 1), (3, 3, 1, 32), (32,), seed=2), {}),
        (normals((6, 12, 12, 32), (3, 3, 32, 1), (1,), seed=3), {}),
        (normals((6, 40, 8), (3, 8, 12), (12,), seed=4), {"padding": ((0, 2),)}),
    ]

    def run(case):
        arrays, options = case
        y, pullback = conv.conv(*arrays, **options)
        return y, *pullback(y)

    one_thread = [run(case) for case in cases]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, cases * 6))
    for results, expected in zip(together, one_thread * 6, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)
