"""Shards on threads: the order of results, errors, limits of BLAS, idle threads."""

import sys
import threading
from contextvars import ContextVar

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import idle_thread_count
from npdiff.errors import InputError
from npdiff.nn import UNet
from npdiff.pullback import differentiable, forward_only
from npdiff.runtime.shards import forward
from npdiff.runtime.threads import ThreadPool, thread_count


def test_results_are_in_the_order_of_the_shards():
    release = threading.Event()

    def f(i):
        if i == 0:
            assert release.wait(10)
        else:
            release.set()
        return i

    with ThreadPool(2) as workers:
        assert workers.map(f, range(6)) == list(range(6))


def test_sums_are_bit_identical_for_any_number_of_threads():
    terms = np.random.default_rng(0).standard_normal((50, 3, 1000)).astype(np.float32)
    in_order = terms[0].copy()
    for term in terms[1:]:
        in_order = in_order + term
    assert not (in_order == terms[::-1].cumsum(0, dtype=np.float32)[-1]).all()  # order matters
    for threads in (1, 2, 8):
        with ThreadPool(threads) as workers:
            (total,) = workers.sum(lambda i: (terms[i],), range(50))
        assert (total == in_order).all()


def test_a_sum_does_not_write_to_its_terms():
    terms = [np.ones(3), np.ones(3)]
    for term in terms:
        term.flags.writeable = False
    with ThreadPool(1) as workers:
        assert workers.sum(lambda i: (terms[i],), range(2))[0].tolist() == [2.0, 2.0, 2.0]


def test_shards_run_in_a_copy_of_the_callers_context():
    variable = ContextVar("variable", default="lost")

    @differentiable
    def identity(x):
        return x, lambda dy: (dy,)

    def f(_):
        return variable.get(), threading.get_ident(), identity(1.0)[1].__name__

    token = variable.set("kept")
    with ThreadPool(2) as workers, forward_only():
        results = workers.map(f, range(4))
    variable.reset(token)
    assert {(value, name) for value, _, name in results} == {("kept", "dropped")}
    assert threading.get_ident() not in {thread for _, thread, _ in results}


def test_an_error_in_a_shard_is_raised_and_the_rest_is_dropped():
    begun = []

    def f(i):
        begun.append(i)
        raise InputError(f"shard {i}")

    for threads in (1, 2):
        begun.clear()
        with ThreadPool(threads) as workers, pytest.raises(InputError, match="shard 0"):
            workers.map(f, range(1000))
        assert len(begun) < 1000


def test_blas_has_one_thread_only_while_shards_run():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas(_=None):
        pools = threadpoolctl.threadpool_info()
        return [pool["num_threads"] for pool in pools if pool["user_api"] == "blas"]

    if not blas():
        pytest.skip("threadpoolctl finds no BLAS")
    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before = blas()
        for threads in (1, 2):
            with ThreadPool(threads) as workers:
                for during in workers.map(blas, range(3)):
                    assert set(during) == {1}
                assert blas() == before
                with pytest.raises(ZeroDivisionError):
                    workers.map(lambda i: 1 // i, range(3))
                assert blas() == before


def test_threadpoolctl_is_optional(monkeypatch):
    monkeypatch.setitem(sys.modules, "threadpoolctl", None)
    with ThreadPool(2) as workers:
        assert workers.map(lambda i: i + 1, range(3)) == [1, 2, 3]


def test_blas_has_one_thread_until_the_last_of_two_users_ends():
    threadpoolctl = pytest.importorskip("threadpoolctl")

    def blas():
        pools = threadpoolctl.threadpool_info()
        return {pool["num_threads"] for pool in pools if pool["user_api"] == "blas"}

    if not blas():
        pytest.skip("threadpoolctl finds no BLAS")
    a_started, b_started, a_may_end, b_may_end = (threading.Event() for _ in range(4))

    def use_one_blas_thread(started, may_end):
        with ThreadPool(1) as workers, workers.one_blas_thread():
            started.set()
            assert may_end.wait(10)

    with threadpoolctl.threadpool_limits(2, user_api="blas"):  # this thread sets a limit as well
        a = threading.Thread(target=use_one_blas_thread, args=(a_started, a_may_end))
        b = threading.Thread(target=use_one_blas_thread, args=(b_started, b_may_end))
        assert blas() == {2}
        a.start()
        assert a_started.wait(10)
        assert blas() == {1}
        b.start()
        assert b_started.wait(10)
        a_may_end.set()
        a.join()
        assert blas() == {1}
        b_may_end.set()
        b.join()
        assert blas() == {2}


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_parallel_for_runs_each_item_once_in_the_callers_context(threads):
    variable = ContextVar("variable", default="lost")
    token = variable.set("kept")
    done = []
    with ThreadPool(threads) as workers:
        workers.parallel_for(lambda item: done.append((item, variable.get())), range(500))
        workers.parallel_for(done.append, [])
    variable.reset(token)
    assert sorted(done) == [(item, "kept") for item in range(500)]


def test_parallel_for_does_not_wait_for_busy_threads():
    release, done = threading.Event(), []
    with ThreadPool(2) as workers:
        results = workers.results(lambda i: i == 0 or release.wait(10), range(3))
        assert next(results)
        workers.parallel_for(done.append, range(50))  # both threads wait for the event
        release.set()
        assert list(results) == [True, True]
    assert sorted(done) == list(range(50))


@pytest.mark.parametrize("error", [IndexError, KeyboardInterrupt])
@pytest.mark.parametrize("threads", [1, 2, 8])
def test_an_error_in_parallel_for_is_raised_when_no_item_runs_any_more(threads, error):
    begun, ended = [], []

    def f(item):
        begun.append(item)
        if item == 20:
            raise error(f"item {item}")
        ended.append(item)

    with ThreadPool(threads) as workers:
        with pytest.raises(error, match="item 20"):
            workers.parallel_for(f, range(10**5))
        assert len(begun) == len(ended) + 1 < 10**5


def test_no_shards_and_no_samples_are_input_errors():
    with ThreadPool(2) as workers:
        with pytest.raises(InputError, match="expected one shard or more"):
            workers.sum(lambda i: (np.ones(2),), [])
        assert workers.map(lambda i: i, []) == []
        with pytest.raises(InputError, match=r"expected one sample or more, got .* \(0, 4, 4, 1\)"):
            forward(lambda x, t: (x, None), np.zeros((0, 4, 4, 1)), 0.0, workers=workers, size=2)


def test_fewer_samples_than_threads_and_than_a_shard_are_one_shard():
    x = np.arange(3.0).reshape(3, 1)
    seen = []

    def double(x, t):
        seen.append(len(x))
        return 2 * x, None

    with ThreadPool(8) as workers:
        y = forward(double, x, 0.0, workers=workers, size=100)
    assert seen == [3]
    assert (y == 2 * x).all()


def test_if_no_thread_can_start_shards_run_one_after_another(monkeypatch):
    def refuse(self):
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    with ThreadPool(4) as workers:
        assert workers.threads == 1
        ran_in = workers.map(lambda _: threading.get_ident(), range(3))
    assert set(ran_in) == {threading.get_ident()}


def test_no_thread_outlives_the_pool():
    with ThreadPool(3) as workers:
        workers.map(lambda i: i, range(9))
        assert any(t.name.startswith("npdiff-shard") for t in threading.enumerate())
    assert not any(t.name.startswith("npdiff-shard") for t in threading.enumerate())


def test_the_environment_sets_the_number_of_threads(monkeypatch):
    monkeypatch.setenv("NPDIFF_THREADS", "3")
    assert thread_count() == 3
    monkeypatch.delenv("NPDIFF_THREADS")
    assert thread_count() >= 1
    for wrong in ("0", "-1", "two", "", "1.5", "²"):
        monkeypatch.setenv("NPDIFF_THREADS", wrong)
        with pytest.raises(InputError, match="NPDIFF_THREADS must be an integer from 1 up"):
            ThreadPool()
    with pytest.raises(InputError, match="1 or more"):
        ThreadPool(0)


def test_a_sharded_forward_pass_gives_each_sample_its_conditions():
    unet = UNet.init(0, width=8, multipliers=(1,), attention=(), heads=2, classes=3, patch=2)
    rng = np.random.default_rng(0)
    unet = unet.replace(head=unet.head.replace(w=rng.standard_normal(unet.head.w.shape)))
    unet = tree.map(lambda leaf: leaf.astype(np.float64), unet)
    x, timestep, labels = rng.standard_normal((5, 4, 4, 1)), np.arange(5.0) * 99, np.arange(5) % 3
    whole, _ = unet(x, timestep, labels=labels)
    assert np.abs(whole[0] - whole[3]).max() > 1e-3
    for threads in (1, 2):
        with ThreadPool(threads) as workers:
            cut = forward(unet, x, timestep, workers=workers, size=2, labels=labels, key=None)
            np.testing.assert_allclose(cut, whole, rtol=0, atol=1e-12)
            (single,) = forward(
                unet, x[3:4], timestep[3:4], workers=workers, size=2, labels=labels[3:4]
            )
            np.testing.assert_allclose(single, whole[3], rtol=0, atol=1e-12)


def test_kernels_get_idle_threads_if_there_are_fewer_samples_than_threads():
    """With as many samples as threads there are no idle threads."""
    sizes = []

    def network(x, timestep):
        sizes.append((len(x), idle_thread_count()))
        return x, None

    with ThreadPool(3) as workers:
        for count in (1, 2, 3):
            forward(network, np.zeros((count, 2)), np.zeros(count), workers=workers, size=1)
    assert sizes == [(1, 3), (2, 3), (1, 1), (1, 1), (1, 1)]
