"""Norm, SiLU and convolution in blocks equal the composition, with any optional arguments."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.acceleration import definitions_only
from npdiff.kernels import composite, conv, workspace
from npdiff.kernels.composite import norm_silu_conv
from npdiff.kernels.conv import blocks
from npdiff.random import Key

EPS = np.finfo(np.float32).eps


@pytest.fixture(autouse=True)
def fresh_algorithms():
    """Clear the cache of algorithms after a test, which may change the constants."""
    yield
    conv._choose.cache_clear()


def arguments(rng, n, space, C, F, out, present, kernel=(3, 3)):
    """The nine arrays, None where one is absent; present = modulated, shifted, added."""
    modulated, shifted, added = present
    arrays = [rng.standard_normal((n, *space, C)), *rng.standard_normal((2, C))]
    arrays += [rng.standard_normal((*kernel, C, F)), rng.standard_normal(F)]
    arrays += [rng.standard_normal((n, C)) if modulated else None for _ in range(2)]
    arrays.append(rng.standard_normal((n, F)) if shifted else None)
    arrays.append(rng.standard_normal((n, *out, F)) if added else None)
    return arrays


@st.composite
def halves(draw):
    """The arrays and options; all algorithms of convolution; blocks of one or of many samples."""
    dims = draw(st.sampled_from([1, 2, 2, 2, 3]))
    space = draw(st.tuples(*[st.integers(1, 9 if dims < 3 else 4)] * dims))
    kernel = draw(st.sampled_from([(3,) * dims, (3,) * dims, tuple(range(2, 2 + dims))]))
    pads = []
    for size, k in zip(space, kernel, strict=True):
        before, after = draw(st.tuples(*[st.sampled_from([0, 1, 1, 2])] * 2))
        pads.append((before, max(after, k - size - before)))
    groups, per_group = draw(st.sampled_from([(1, 4), (2, 2), (2, 3), (1, 1), (3, 2)]))
    C, F, n = groups * per_group, draw(st.sampled_from([1, 4, 5, 9, 32])), draw(st.integers(1, 5))
    out = [m + sum(p) - k + 1 for m, p, k in zip(space, pads, kernel, strict=True)]
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    present = draw(st.tuples(*[st.booleans()] * 3))
    arrays = arguments(rng, n, space, C, F, out, present, kernel)
    return arrays, {"groups": groups, "eps": draw(st.sampled_from([1e-5, 0.1])), "padding": pads}


@pytest.mark.parametrize("most", [1, 2, 1000])
@given(case=halves())
def test_it_equals_the_definition(assert_equals_definition, case, most) -> None:
    """In float64 to 1e-11: a group of one pixel has variance 0, and eps makes rstd about 300."""
    arrays, options = case
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(conv, "MIN_WINOGRAD_TILES", 1)
        for module in (conv, composite):
            patch.setattr(module, "blocks", lambda n, block: blocks(n, min(most, block)))
        conv._choose.cache_clear()
        algorithm = conv.choose_algorithm(arrays[0], *arrays[3:5], 1, options["padding"])
        if algorithm is None:  # the convolution is left to the definition, and all of this with it
            assert norm_silu_conv(*arrays, **options) is None
            return
        assert_equals_definition(norm_silu_conv, ops.norm_silu_conv, *arrays, **options, rtol=1e-11)


@pytest.mark.parametrize("present", list(product([False, True], repeat=3)))
@pytest.mark.parametrize(
    ("size", "C", "F"), [(32, 32, 32), (13, 16, 24), (8, 64, 128), (32, 32, 1)]
)
def test_it_equals_the_definition_at_the_sizes_of_a_network(
    assert_equals_definition, size, C, F, present
) -> None:
    """Seven samples in uneven blocks, each optional argument present and absent, to 1e-12."""
    rng = np.random.default_rng(size)
    arrays = arguments(rng, 7, (size, size), C, F, (size, size), present)
    assert_equals_definition(norm_silu_conv, ops.norm_silu_conv, *arrays, groups=8)


@pytest.mark.parametrize("mean", [0.0, 1e3])
@pytest.mark.parametrize(("size", "C", "F"), [(16, 32, 48), (7, 48, 32)])
def test_single_precision_errors_are_bounded(size, C, F, mean) -> None:
    """In the norm, to 20 roundings of the sums of convolution and norm, and for a large mean to the
    precision that float32 has for it.

    The norm passes on a relative error of about sqrt(n) eps / 2 (and mean times eps, see the norm's
    own tests) to Winograd's convolution, whose own is 3 / 2 (sqrt(C) + 4) eps.
    """
    rng = np.random.default_rng(1)
    arrays = arguments(rng, 3, (size, size), C, F, (size, size), (True, True, True))
    arrays[0] += mean
    single = [a.astype(np.float32) for a in arrays]
    y, pullback = norm_silu_conv(*single, groups=8)
    dy = rng.standard_normal(y.shape).astype(np.float32)
    with definitions_only():
        wide = [a.astype(np.float64) for a in single]
        exact, exact_pullback = ops.norm_silu_conv(*wide, groups=8)
        expected = exact, *exact_pullback(dy.astype(np.float64))
    terms = max(C, F, size * size * C / 8)
    bound = (3 / 2 * (np.sqrt(terms) + 4) + np.sqrt(terms) + 2 * mean) * EPS
    for a, b in zip((y, *pullback(dy)), expected, strict=True):
        assert a.dtype == np.float32
        assert np.linalg.norm(a - b) <= bound * np.linalg.norm(b)


def kept_by(pullback):
    """The arrays in a closure, and in lists and tuples there."""
    found = []
    for cell in pullback.__closure__:
        value = cell.cell_contents
        found += value if isinstance(value, list | tuple) else [value]
    return {id(a): a for a in found if isinstance(a, np.ndarray)}.values()


def test_only_the_input_is_saved(normals) -> None:
    """Of arrays of the size of images; in addition a few scalars per sample and channel."""
    rng = np.random.default_rng(0)
    arrays = arguments(rng, 4, (16, 16), 16, 24, (16, 16), (True, True, True))
    y, pullback = norm_silu_conv(*arrays, groups=4)
    kept = kept_by(pullback)
    assert any(a is arrays[0] for a in kept)
    images = [a for a in kept if a.size >= 4 * 16 * 16]
    assert {id(a) for a in images} <= {id(arrays[0]), id(arrays[3])}
    own = [a for a in kept if not any(np.shares_memory(a, given) for given in arrays)]
    assert sum(a.size for a in own) <= 3 * 4 * 16 + 2 * 4 * 4  # 1 + scale, gain, lift; mean, rstd
    assert not any(np.shares_memory(a, y) for a in kept)


def test_results_are_not_scratch(normals) -> None:
    """They do not change, and the pullback repeats them, while other shapes are computed."""
    rng = np.random.default_rng(0)
    everything = (True, True, True)
    arrays = arguments(rng, 4, (12, 12), 8, 12, (12, 12), everything)
    y, pullback = norm_silu_conv(*arrays, groups=4)
    dy = normals(y.shape)
    results = y, *pullback(dy)
    copies = [a.copy() for a in results]
    for n, size, C, F in ((9, 5, 8, 12), (4, 12, 8, 12), (2, 20, 16, 4)):
        others = arguments(rng, n, (size, size), C, F, (size, size), everything)
        others[0] += 50.0
        other, other_pullback = norm_silu_conv(*others, groups=2)
        other_pullback(other)
    for a, b in zip(results, copies, strict=True):
        np.testing.assert_array_equal(a, b)
    for a, b in zip(pullback(dy), copies[1:], strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("limit", [0, 1000, 100_000])
def test_results_do_not_depend_on_the_limit_of_scratch(monkeypatch, limit) -> None:
    """Scratch beyond the limit is allocated again, with bit-identical results."""
    arrays = arguments(
        np.random.default_rng(0), 5, (9, 8), 8, 12, (9, 8), (True, True, True), (3, 3)
    )

    def run():
        y, pullback = norm_silu_conv(*arrays, groups=4)
        return y, *pullback(y)

    expected = run()
    small = workspace.Workspace(limit)
    for module in ("norm", "winograd", "patches"):
        monkeypatch.setattr(f"npdiff.kernels.{module}.workspace", lambda: small)
    for _ in range(2):
        for a, b in zip(run(), expected, strict=True):
            np.testing.assert_array_equal(a, b)
    assert small.kept <= limit


def test_four_threads_give_bit_identical_results() -> None:
    """Compared with one thread."""
    cases = [
        arguments(np.random.default_rng(i), 6, (12, 12), 8, 12, (12, 12), (True, True, True))
        for i in range(6)
    ]

    def run(arrays):
        y, pullback = norm_silu_conv(*arrays, groups=4)
        return y, *pullback(y)

    one_thread = [run(arrays) for arrays in cases]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(run, cases * 3))
    for results, expected in zip(together, one_thread * 3, strict=True):
        for a, b in zip(results, expected, strict=True):
            np.testing.assert_array_equal(a, b)


def changed(arrays, place, value):
    return [value if i == place else a for i, a in enumerate(arrays)]


def test_arguments_that_the_kernel_does_not_cover() -> None:
    """Dropout with a rate above 0, and any array of another dtype, shape or type."""
    arrays = arguments(np.random.default_rng(0), 3, (8, 8), 8, 8, (8, 8), (True, True, True))
    key = Key(0, (0, 1, 2))
    assert norm_silu_conv(*arrays, groups=2) is not None
    assert norm_silu_conv(*arrays, groups=2, rate=0.5) is not None
    assert norm_silu_conv(*arrays, groups=2, rate=0.0, key=key) is not None
    assert norm_silu_conv(*arrays, groups=2, rate=0.5, key=key) is None
    assert norm_silu_conv(*arrays, groups=3) is None
    for place, a in enumerate(arrays):
        for other in (a.astype(np.float32), a[:1]):
            if place != 3 or other.dtype != a.dtype:  # a kernel of one line is a kernel
                assert norm_silu_conv(*changed(arrays, place, other), groups=2) is None, place
    for absent in (5, 6):
        assert norm_silu_conv(*changed(arrays, absent, None), groups=2) is None
    assert norm_silu_conv(*changed(arrays, 4, None), groups=2) is None


def test_a_cotangent_in_float64_of_a_network_in_float32(normals) -> None:
    """As a loss in float64 gives one."""
    arrays = arguments(np.random.default_rng(0), 3, (8, 8), 8, 8, (8, 8), (False, False, False))
    single = [None if a is None else a.astype(np.float32) for a in arrays]
    y, pullback = norm_silu_conv(*single, groups=2)
    dy = normals(y.shape)
    for a, b in zip(pullback(dy), pullback(dy.astype(np.float32)), strict=True):
        if a is not None:
            np.testing.assert_array_equal(a, b)
