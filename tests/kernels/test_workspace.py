"""Scratch is bounded, private to a thread and released on request; borders stay zero."""

import gc
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from weakref import WeakSet

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import ops
from npdiff.errors import InputError
from npdiff.kernels import workspace
from npdiff.kernels.workspace import Workspace


def in_a_new_thread(f):
    """What ``f`` returns or raises, in a new thread."""
    with ThreadPoolExecutor(1) as pool:
        return pool.submit(f).result()


def test_memory_is_reused_under_its_name() -> None:
    """For any shape and dtype; another name has other memory."""
    space = Workspace(10_000)
    a = space.scratch("a", (5, 20), np.float64)
    for shape, dtype in (((3, 4), np.float64), ((100,), np.float32), ((2, 2), np.float32)):
        b = space.scratch("a", shape, dtype)
        assert np.shares_memory(a, b)
        assert (b.shape, b.dtype) == (shape, np.dtype(dtype))
        assert b.flags.c_contiguous
        assert b.ctypes.data % 16 == 0
    assert not np.shares_memory(a, space.scratch("b", (5, 20), np.float64))
    assert space.kept == 2 * 800


def test_memory_grows_to_the_largest_request() -> None:
    space = Workspace(10_000)
    for count, kept in ((100, 800), (50, 800), (200, 1600), (0, 1600), (150, 1600)):
        assert space.scratch("a", (count,), np.float64).size == count
        assert space.kept == kept


requests = st.tuples(
    st.sampled_from("abc"), st.integers(0, 30), st.booleans(), st.sampled_from([0, 1, 2])
)


@given(st.integers(0, 600), st.lists(requests, max_size=40))
def test_the_limit_is_never_exceeded(most, requests) -> None:
    """Arrays have the right shape, and ``kept`` is the number of bytes that are kept."""
    space = Workspace(most)
    for name, count, framed, frame in requests:
        if framed:
            a = space.framed(name, (count, 2), np.float32, frame)
            assert not a[:, 1].any()
            a[:, 0] = 1.0
        else:
            a = space.scratch(name, (count, 2), np.float32)
            a[...] = np.nan
        assert (a.shape, a.dtype) == ((count, 2), np.float32)
        assert 0 <= space.kept <= most
    space.clear()
    assert space.kept == 0


def test_framed_arrays_keep_their_contents() -> None:
    """There is one array for each shape, dtype and frame."""
    space = Workspace(100_000)
    frames = [((1, 1), np.float64), ((0, 2), np.float64), ((1, 1), np.float32)]
    for _ in range(3):
        for size in (4, 6):
            for (top, bottom), dtype in frames:
                a = space.framed("a", (size + top + bottom, 3), dtype, (top, bottom))
                assert a.dtype == dtype
                assert not a[:top].any()
                assert not a[size + top :].any()
                a[top : size + top] = np.nan
                scratch = space.scratch("a", (size + top + bottom, 3), dtype)
                assert not np.shares_memory(a, scratch)
                scratch[...] = np.nan


def test_framed_arrays_are_replaced_at_the_limit() -> None:
    """Earlier ones are released; scratch by name stays."""
    space = Workspace(1000)
    scratch = space.scratch("s", (50,), np.float64)
    first = space.framed("a", (60,), np.float64, None)
    assert space.kept == 880
    second = space.framed("b", (70,), np.float64, None)
    assert space.kept == 400 + 560
    assert space.framed("b", (70,), np.float64, None) is second
    assert space.framed("a", (60,), np.float64, None) is not first
    assert np.shares_memory(space.scratch("s", (50,), np.float64), scratch)
    too_large = space.framed("c", (1000,), np.float64, None)
    assert too_large.shape == (1000,)
    assert space.framed("c", (1000,), np.float64, None) is not too_large


def test_views_are_cached_until_their_memory_is_replaced() -> None:
    """They are made again for the new memory."""
    space, made = Workspace(10_000), []

    def make():
        made.append(1)
        return space.scratch("a", (10,), np.float64)[::2], space.framed("f", (4,), np.float64, 0)

    for _ in range(3):
        views = space.views("key", make)
    assert len(made) == 1
    space.scratch("a", (5,), np.float64)
    assert space.views("key", make) is views
    larger = space.scratch("a", (20,), np.float64)
    views = space.views("key", make)
    assert len(made) == 2
    assert np.shares_memory(views[0], larger)
    space.clear()
    space.views("key", make)
    assert len(made) == 3
    assert space.kept == 80 + 32


@pytest.mark.parametrize("sizes", [(10, 20), (20, 10)])
def test_views_of_memory_that_is_not_kept_are_not_cached(sizes) -> None:
    """Otherwise they would keep it alive; whether the first or the last array exceeds the limit."""
    space, made = Workspace(100), []

    def make():
        made.append(1)
        return [space.scratch(f"a{size}", (size,), np.float64) for size in sizes]

    for _ in range(3):
        space.views("key", make)
        assert space.kept == 80
    assert len(made) == 3


@contextmanager
def workspace_limit(monkeypatch, limit_text):
    monkeypatch.setenv("NPDIFF_WORKSPACE", limit_text)
    yield
    monkeypatch.delenv("NPDIFF_WORKSPACE")


def convolve(dtype=np.float64):
    """Value and pullback of a convolution with norm, activation and residual."""
    rng = np.random.default_rng(0)
    shapes = (8, 9, 9, 8), (8,), (8,), (3, 3, 8, 12), (12,)
    arrays = [rng.standard_normal(shape).astype(dtype) for shape in shapes]
    y, pullback = ops.norm_silu_conv(*arrays, groups=2)
    return y, *(a for a in pullback(y) if a is not None)


@pytest.mark.parametrize("limit_text", ["0", "1", "100000"])
def test_the_environment_sets_the_limit_of_new_threads(monkeypatch, limit_text) -> None:
    """Results are bit-identical for any limit; with 0 nothing is kept."""
    expected = convolve()

    def run():
        results = [convolve() for _ in range(2)]
        mine = workspace.workspace()
        assert mine.most == int(limit_text) * 2**20
        assert mine.kept <= mine.most
        assert (mine.kept == 0) is (limit_text == "0")
        return results

    with workspace_limit(monkeypatch, limit_text):
        for results in in_a_new_thread(run):
            for a, b in zip(results, expected, strict=True):
                np.testing.assert_array_equal(a, b)


def test_the_default_limit(monkeypatch) -> None:
    monkeypatch.delenv("NPDIFF_WORKSPACE", raising=False)
    assert workspace.limit() == 512 * 2**20


@pytest.mark.parametrize("limit_text", ["", "-1", "1.5", "512MB", "many", "²"])
def test_a_wrong_limit_is_an_error(monkeypatch, limit_text) -> None:
    """In every call, until it is corrected."""
    with workspace_limit(monkeypatch, limit_text):
        with pytest.raises(InputError, match="NPDIFF_WORKSPACE must be a number of MiB"):
            workspace.limit()

        def run():
            for _ in range(2):
                with pytest.raises(InputError, match="NPDIFF_WORKSPACE"):
                    convolve()
            monkeypatch.setenv("NPDIFF_WORKSPACE", "1")
            return convolve()

        assert np.isfinite(in_a_new_thread(run)[0]).all()


def test_every_thread_has_a_separate_workspace() -> None:
    mine = workspace.workspace()
    assert workspace.workspace() is mine
    assert in_a_new_thread(workspace.workspace) is not mine


def test_kept_counts_all_living_threads() -> None:
    """``release`` releases all, and the next calls allocate again."""
    workspace.release()
    gc.collect()
    assert workspace.kept() == 0
    convolve()
    mine = workspace.kept()
    assert mine == workspace.workspace().kept > 0
    with ThreadPoolExecutor(1) as pool:
        pool.submit(convolve).result()
        assert workspace.kept() == 2 * mine
    gc.collect()
    assert workspace.kept() == mine
    workspace.release()
    assert workspace.kept() == 0
    convolve()
    assert workspace.kept() == mine


def test_release_while_kernels_run_in_other_threads() -> None:
    """Results are bit-identical, and ``kept`` stays correct."""
    expected = {dtype: convolve(dtype) for dtype in (np.float64, np.float32)}
    done = threading.Event()

    def run(dtype):
        for _ in range(60):
            for a, b in zip(convolve(dtype), expected[dtype], strict=True):
                np.testing.assert_array_equal(a, b)
        return workspace.workspace()

    def disturb():
        while not done.is_set():
            workspace.release()
            assert workspace.kept() >= 0

    with ThreadPoolExecutor(3) as pool:
        disturbing = pool.submit(disturb)
        running = [pool.submit(run, dtype) for dtype in expected]
        try:
            spaces = [future.result() for future in running]
        finally:
            done.set()
        disturbing.result()
        assert 0 <= workspace.kept() <= sum(space.most for space in spaces)
        workspace.release()
        assert sum(space.kept for space in spaces) == 0


def test_a_thread_can_start_while_all_workspaces_are_listed(monkeypatch) -> None:
    """A new workspace waits until the set has been read."""
    coming = []

    class Slow(WeakSet):
        def __iter__(self):
            for item in super().__iter__():
                thread = threading.Thread(target=workspace.workspace)
                coming.append(thread)
                thread.start()
                thread.join(0.05)
                yield item

    mine = workspace.workspace(), Workspace(0)
    monkeypatch.setattr(workspace, "_all", Slow(mine))
    assert workspace.kept() == mine[0].kept
    workspace.release()
    assert mine[0].kept == 0
    assert len(coming) >= 4
    for thread in coming:
        thread.join()
