import gc
import sys
import threading
import tracemalloc
import weakref
from types import SimpleNamespace

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import definitions_only
from npdiff.nn import UNet
from npdiff.runs.checkpoint import new_model
from npdiff.runtime.shards import SINGLE_MACHINE
from npdiff.runtime.threads import ThreadPool
from npdiff.training.flat import ALIGNMENT, Flat, Layout
from npdiff.training.loop import resolve_config
from npdiff.training.step import State, apply_gradient, loss_and_gradient

SMALL = {
    "width": 8,
    "multipliers": (1, 2),
    "blocks": 1,
    "attention": (1,),
    "heads": 2,
    "classes": 2,
}


@pytest.fixture
def config(config, dataset):
    return resolve_config(config, dataset).replace(clip=0.1)


@pytest.fixture
def model():
    """A network without zero weights, with attention, a skip and two resolutions."""
    rng = np.random.default_rng(0)
    return tree.map(
        lambda leaf: (leaf + 0.1 * rng.standard_normal(leaf.shape)).astype(leaf.dtype),
        UNet.init(0, **SMALL),
    )


def like(model, seed):
    rng = np.random.default_rng(seed)
    return tree.map(lambda leaf: rng.standard_normal(leaf.shape).astype(leaf.dtype), model)


def bits(of):
    return {name: leaf.tobytes() for name, leaf in tree.named_leaves(of)}


def test_parameters_are_disjoint_and_aligned_and_decayed_ones_come_first(model):
    layout, leaves = Layout(model), tree.leaves(model)
    marks = np.zeros(layout.size, int)
    for part, leaf in zip(layout.parts, leaves, strict=True):
        marks[part] += 1
        assert part.start % ALIGNMENT == 0
        assert part.stop - part.start == leaf.size
        assert (part.stop <= layout.decayed) == (leaf.ndim > 1)
    assert marks.max() == 1
    assert marks.sum() == tree.size(model)
    assert layout.size - tree.size(model) < ALIGNMENT * len(leaves)


def test_views_have_the_shapes_of_the_parameters(model):
    layout = Layout(model)
    flat = np.zeros(layout.size, np.float32)
    views = layout.views(flat, model)
    for view, leaf in zip(tree.leaves(views), tree.leaves(model), strict=True):
        assert np.shares_memory(view, flat)
        assert view.flags.c_contiguous
        view[...] = leaf
    assert bits(views) == bits(model)


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_flat_steps_equal_the_definitions_to_the_last_bit(model, config, threads, dtype):
    model = tree.map(lambda leaf: leaf.astype(dtype), model)
    defined = State.initial(model)
    with ThreadPool(threads) as workers:
        flat = Flat.of(defined, workers)
        state = flat.state
        assert bits(state) == bits(defined)
        for step in range(1, 6):
            gradient, norm = like(model, step), 0.05 * step  # within the limit, then beyond
            defined = apply_gradient(defined, gradient, norm, step, config)
            state = apply_gradient(state, gradient, norm, step, config, flat)
            assert [n for n, _ in tree.named_leaves(state)] == [
                n for n, _ in tree.named_leaves(defined)
            ]
            assert bits(state) == bits(defined)
            assert type(state) is State


def test_a_step_keeps_the_previous_state_until_the_next_step(model, config):
    with ThreadPool(2) as workers:
        flat = Flat(State.initial(model), workers)
        first = flat.state
        before = bits(first)
        second = apply_gradient(first, like(model, 0), 1.0, 1, config, flat)
        assert bits(first) == before
        assert bits(second) != before
        with pytest.raises(RuntimeError, match="pass the latest state"):
            apply_gradient(first, like(model, 0), 1.0, 1, config, flat)


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_update_loses_nothing(model, config, error, monkeypatch):
    """Interrupted between its chunks; the repeated step gives the right result."""
    from npdiff.kernels import adamw

    monkeypatch.setattr(adamw, "CHUNK", 500)
    with ThreadPool(2) as workers:
        flat = Flat(State.initial(model), workers)
        state = apply_gradient(flat.state, like(model, 1), 1.0, 1, config, flat)
        before, parallel_for, calls = bits(state), workers.parallel_for, []

        def breaking(f, pieces):
            def counted(piece):
                calls.append(piece)
                if len(calls) == 20:
                    raise error
                f(piece)

            parallel_for(counted, pieces)

        monkeypatch.setattr(workers, "parallel_for", breaking)
        with pytest.raises(error):
            apply_gradient(state, like(model, 2), 1.0, 2, config, flat)
        assert flat.state is state
        assert bits(state) == before
        monkeypatch.undo()
        again = apply_gradient(state, like(model, 2), 1.0, 2, config, flat)
        with definitions_only():
            undisturbed = apply_gradient(State.initial(model), like(model, 1), 1.0, 1, config)
            undisturbed = apply_gradient(undisturbed, like(model, 2), 1.0, 2, config)
        assert bits(again) == bits(undisturbed)


def test_a_foreign_state_is_copied_into_the_arrays(model, config):
    """Steps alternate between kernels and definitions."""
    defined = State.initial(model)
    with ThreadPool(1) as workers:
        flat = Flat(defined, workers)
        state = flat.state
        for step in range(1, 7):
            defined = apply_gradient(defined, like(model, step), 1.0, step, config)
            if step % 3:
                state = apply_gradient(state, like(model, step), 1.0, step, config, flat)
            else:
                with definitions_only():
                    state = apply_gradient(state, like(model, step), 1.0, step, config, flat)
        assert bits(state) == bits(defined)


def test_a_step_allocates_nothing_beyond_eight_arrays(config):
    """On one thread: each further thread allocates scratch memory at its first task."""
    model = like(UNet.init(0, width=32, multipliers=(1, 2), attention=(), classes=2), 0)
    own = sum(leaf.nbytes for leaf in tree.leaves(model))
    gradients = [like(model, seed) for seed in range(3)]
    losses = np.zeros(3)
    with ThreadPool(1) as workers:
        tracemalloc.start()
        try:
            flat = Flat(State.initial(model), workers)
            held, _ = tracemalloc.get_traced_memory()
            assert held < 8.1 * own
            for step in range(1, 5):
                if step == 3:  # scratch is there by now
                    gc.collect()
                    tracemalloc.reset_peak()
                    settled, _ = tracemalloc.get_traced_memory()
                _, norm, gradient = flat.sum(
                    lambda i: (losses[i], gradients[i]), range(3), SINGLE_MACHINE
                )
                apply_gradient(flat.state, gradient, float(norm), step, config, flat)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak - settled < 0.05 * own


@pytest.mark.parametrize("threads", [1, 2, 8])
def test_gradients_are_summed_in_the_order_of_the_shards(model, threads):
    """Also gradients that are not contiguous."""
    terms = [like(model, seed) for seed in range(7)]
    terms[3] = tree.map(lambda leaf: leaf.copy(order="F"), terms[3])
    in_order = terms[0]
    for term in terms[1:]:
        in_order = tree.map(np.add, in_order, term)
    backwards = terms[6]
    for term in terms[-2::-1]:
        backwards = tree.map(np.add, backwards, term)
    assert bits(backwards) != bits(in_order)
    before = [bits(term) for term in terms]
    with ThreadPool(threads) as workers:
        flat = Flat(State.initial(model), workers)
        for _ in range(2):  # the second sum begins where the first lies
            loss, norm, gradient = flat.sum(lambda i: (0.5 * i, terms[i]), range(7), SINGLE_MACHINE)
            assert bits(gradient) == bits(in_order)
            assert loss == 10.5
            square = sum((leaf.astype(np.float64) ** 2).sum() for leaf in tree.leaves(in_order))
            assert norm == pytest.approx(np.sqrt(square), rel=1e-14)
    assert [bits(term) for term in terms] == before


@pytest.mark.parametrize("in_flat", [True, False])
@pytest.mark.parametrize("threads", [1, 3])
def test_at_most_one_gradient_more_than_threads_is_in_memory(model, threads, in_flat):
    alive, most, lock = set(), [0], threading.Lock()

    def f(i):
        gradient = like(model, i)
        leaf = tree.leaves(gradient)[0]
        with lock:
            alive.add(i)
            most[0] = max(most[0], len(alive))
        weakref.finalize(leaf, alive.discard, i)
        return np.float32(1.0), gradient

    with ThreadPool(threads) as workers:
        if in_flat:
            Flat(State.initial(model), workers).sum(f, range(30), SINGLE_MACHINE)
        else:
            workers.sum(f, range(30))
    assert most[0] <= (1 if threads == 1 else threads + 1)


class Joined:
    """Threads of this process that act as machines and wait for each other."""

    def __init__(self, machines):
        self.parts, self.barrier = [None] * machines, threading.Barrier(machines)

    def of(self, machine):
        def total(part):
            self.parts[machine] = part
            self.barrier.wait(10)
            result = sum(self.parts[1:], self.parts[0])
            self.barrier.wait(10)
            return result

        return SimpleNamespace(total=total)


def test_machines_that_split_a_batch_get_the_same_sum(model):
    """Two machines with half of the shards each; integers, whose sum is exact in any order."""
    terms = [
        tree.map(lambda leaf: np.rint(8 * leaf).astype(np.float32), like(model, seed))
        for seed in range(6)
    ]
    whole = terms[0]
    for term in terms[1:]:
        whole = tree.map(np.add, whole, term)
    joined, results = Joined(2), [None, None]

    def machine(i):
        with ThreadPool(2) as workers:
            flat = Flat(State.initial(model), workers)
            shards = range(3 * i, 3 * i + 3)
            loss, norm, gradient = flat.sum(lambda k: (1.0 * k, terms[k]), shards, joined.of(i))
            results[i] = float(loss), float(norm), bits(gradient)

    threads = [threading.Thread(target=machine, args=(i,)) for i in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results[0] == results[1]
    assert results[0][0] == 15.0
    assert results[0][2] == bits(whole)


class Doubled:
    def total(self, part):
        return part * 2


@pytest.mark.parametrize("in_flat", [True, False])
def test_the_loss_the_norm_and_the_gradient_are_those_of_all_machines(config, dataset, in_flat):
    own, config = new_model(config), config.replace(batch=4)
    own = like(own, 0)
    with ThreadPool(1) as workers:
        flat = Flat(State.initial(own), workers) if in_flat else None
        loss, norm, gradient = loss_and_gradient(own, dataset, 1, config, workers, flat)
        expected = 2 * loss, 2 * norm, bits(tree.scale(gradient, 2))
        loss, norm, gradient = loss_and_gradient(own, dataset, 1, config, workers, flat, Doubled())
    assert (loss, norm, bits(gradient)) == expected


def test_without_kernels_the_definitions_are_used(model, monkeypatch):
    state = State.initial(model)
    with ThreadPool(1) as workers:
        assert Flat.of(state, workers) is not None
        with definitions_only():
            assert Flat.of(state, workers) is None
        mixed = State.initial((np.zeros(2, np.float32), np.zeros(2, np.float64)))
        assert Flat.of(mixed, workers) is None
        monkeypatch.setitem(sys.modules, "npdiff.kernels", None)
        assert Flat.of(state, workers) is None
