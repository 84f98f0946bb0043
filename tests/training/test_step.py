from contextlib import nullcontext

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import definitions_only, prepacked
from npdiff.objective import TIME_SAMPLERS, Objective, output_weight
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.runs.checkpoint import new_model
from npdiff.runtime.threads import ThreadPool
from npdiff.schedules import SCHEDULES
from npdiff.training.flat import Flat
from npdiff.training.loop import resolve_config
from npdiff.training.step import State, apply_gradient, learning_rate_at, loss_and_gradient
from npdiff.tree import Module


class Constant(Module):
    """A network with a constant output: its loss and gradient are known in closed form."""

    value: np.ndarray
    seen: tuple = ()

    def __call__(self, x, timestep, *, labels=None, key=None):
        if isinstance(self.seen, list):
            self.seen.append((timestep.copy(), labels, key))

        def constant_pullback(dy):
            return self.replace(value=dy.sum().reshape(1)), None, None

        return np.broadcast_to(self.value, x.shape), constant_pullback


@pytest.fixture
def config(config, dataset):
    return resolve_config(config, dataset)


def perturbed_model(config) -> object:
    """A network without zero weights, so that every part has a gradient."""
    rng = np.random.default_rng(0)
    return tree.map(
        lambda leaf: (leaf + 0.1 * rng.standard_normal(leaf.shape)).astype(leaf.dtype),
        new_model(config),
    )


def test_loss_and_gradient_are_those_of_the_objective_over_the_whole_batch(config, dataset):
    config = config.replace(batch=7, shard=3, weighting="min-snr", prediction="eps")
    with ThreadPool(1) as workers:
        loss, norm, gradient = loss_and_gradient(
            Constant(np.array([0.3])), dataset, 5, config, workers
        )
    from npdiff.data import batch_indices

    schedule, parameterization = SCHEDULES["cosine"](), PARAMETERIZATIONS["eps"]
    key = Key(config.seed, np.arange(7), 5, "train")
    chosen = batch_indices(config.seed, 4, 7, 40)
    x_0 = dataset.images[chosen] / 127.5 - 1.0
    times = Objective(schedule, parameterization).draw_times(key)
    eps = key.fold("noise").normal((8, 8, 1))
    from npdiff.objective import WEIGHTINGS

    w = output_weight(schedule, parameterization, WEIGHTINGS["min-snr"], times)
    residual = 0.3 - parameterization.target(schedule, x_0, eps, times)
    assert loss == pytest.approx((w[:, None, None, None] * residual**2).mean(), rel=1e-9)
    slope = (w[:, None, None, None] * 2 * residual).mean()
    assert gradient.value.item() == pytest.approx(slope, rel=1e-9)
    assert norm == pytest.approx(abs(slope), rel=1e-9)


@pytest.mark.parametrize("name", sorted(TIME_SAMPLERS))
def test_times_come_from_the_configured_time_sampler(config, dataset, name):
    """Over all shards of a batch: a sample's time does not depend on its shard."""
    config, seen = config.replace(batch=8, shard=3, time_sampler=name), []
    with ThreadPool(1) as workers:
        loss_and_gradient(Constant(np.array([0.3]), seen), dataset, 4, config, workers)
    schedule = SCHEDULES[config.schedule]()
    key = Key(config.seed, np.arange(8), 4, "train")
    expected = Objective(
        schedule, PARAMETERIZATIONS["v"], time_sampler=TIME_SAMPLERS[name]
    ).draw_times(key)
    ticks = np.concatenate([timestep for timestep, *_ in seen])
    np.testing.assert_array_equal(ticks, schedule.timestep(expected))
    if name == "low-discrepancy":  # one in every eighth
        parts = np.sort(np.ceil(expected / schedule.t_max * 8))
        np.testing.assert_array_equal(parts, np.arange(1, 9))


@pytest.mark.parametrize("parameterization", ["v", "eps"])
def test_the_step_is_bit_identical_for_any_number_of_threads(config, dataset, parameterization):
    config = config.replace(prediction=parameterization, batch=11, shard=2)
    results = []
    for threads in (1, 2, 8):
        with ThreadPool(threads) as workers:
            results.append(loss_and_gradient(perturbed_model(config), dataset, 3, config, workers))
    (loss, norm, gradient), *others = results
    assert all(leaf.any() for name, leaf in tree.named_leaves(gradient))
    for other_loss, other_norm, other in others:
        assert (loss, norm) == (other_loss, other_norm)
        for a, b in zip(tree.leaves(gradient), tree.leaves(other), strict=True):
            assert a.tobytes() == b.tobytes()


@pytest.mark.parametrize("kernels", [True, False])
def test_training_a_unet_is_bit_identical_for_any_number_of_threads(config, dataset, kernels):
    """Three steps of a network wide enough for every kernel; the last shard is smaller."""
    model = {**config.model, "width": 32, "multipliers": (1, 2), "attention": (1,), "patch": 1}
    config = config.replace(model=model, batch=11, shard=2, clip=0.1)
    outcomes = set()
    for threads in (1, 2, 8):
        with ThreadPool(threads) as workers, nullcontext() if kernels else definitions_only():
            state = State.initial(perturbed_model(config))
            flat = Flat.of(state, workers)
            assert (flat is not None) == kernels
            numbers = []
            for step in (1, 2, 3):
                loss, norm, gradient = loss_and_gradient(
                    state.model, dataset, step, config, workers, flat
                )
                state = apply_gradient(state, gradient, norm, step, config, flat)
                numbers += [loss, norm]
            outcomes.add((*numbers, b"".join(leaf.tobytes() for leaf in tree.leaves(state))))
    assert len(outcomes) == 1


def test_weights_are_packed_once_per_step(config, dataset):
    """For all shards and threads; the next step has other weights and packs them again."""
    made = []

    class Preparing(Constant):
        def __call__(self, x, timestep, *, labels=None, key=None):
            prepacked("twice", self.value, lambda w: made.append(w))
            return super().__call__(x, timestep, labels=labels, key=key)

    config = config.replace(batch=8, shard=2)
    with ThreadPool(1) as workers:
        for step in (1, 2):
            loss_and_gradient(Preparing(np.array([0.3])), dataset, step, config, workers)
            assert len(made) == step
    with ThreadPool(4) as workers:  # no shard comes after another: nothing is kept for it
        loss_and_gradient(Preparing(np.array([0.3])), dataset, 3, config, workers)
    assert len(made) == 2 + 4


@pytest.mark.parametrize("threads", [1, 8])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_batch_of_fewer_samples_than_threads_or_a_shard(config, dataset, threads, batch):
    config = config.replace(batch=batch, shard=32)
    with ThreadPool(threads) as workers:
        state = State.initial(perturbed_model(config))
        flat = Flat.of(state, workers)
        results = [
            loss_and_gradient(state.model, dataset, 1, config, workers, memory)[:2]
            for memory in (flat, None)
        ]
    assert results[0] == pytest.approx(results[1], rel=1e-12)
    assert 0.0 < results[0][1] < np.inf


def test_the_shard_size_changes_only_rounding(config, dataset):
    with ThreadPool(1) as workers:
        results = [
            loss_and_gradient(
                perturbed_model(config), dataset, 3, config.replace(shard=size), workers
            )
            for size in (1, 4, 10)
        ]
    for loss, norm, _ in results[1:]:
        assert loss == pytest.approx(results[0][0], rel=1e-5)
        assert norm == pytest.approx(results[0][1], rel=1e-4)


def test_accumulated_batches_equal_one_large_batch(config, dataset):
    with ThreadPool(1) as workers:
        large, small = (
            loss_and_gradient(
                perturbed_model(config), dataset, 2, config.replace(batch=b, accumulate=a), workers
            )
            for b, a in ((16, 1), (8, 2))
        )
    assert large[:2] == small[:2]
    for a, b in zip(tree.leaves(large[2]), tree.leaves(small[2]), strict=True):
        assert a.tobytes() == b.tobytes()


def test_labels_are_dropped_at_their_rate_and_by_sample(config, dataset):
    seen = []
    network = Constant(np.array([0.0]), seen)
    with ThreadPool(1) as workers:
        for step in range(1, 41):
            kept = config.replace(label_drop=0.3, batch=20, shard=7)
            loss_and_gradient(network, dataset, step, kept, workers)
    labels = np.concatenate([entry[1] for entry in seen])
    assert set(labels.tolist()) == {0, 1, 2}
    assert abs((labels == 2).mean() - 0.3) < 4 * np.sqrt(0.3 * 0.7 / labels.size)
    again = []
    with ThreadPool(1) as workers:
        kept = config.replace(label_drop=0.3, batch=20, shard=20)
        loss_and_gradient(Constant(np.array([0.0]), again), dataset, 1, kept, workers)
    assert again[0][1].tolist() == labels[:20].tolist()
    assert (again[0][0] == np.concatenate([entry[0] for entry in seen])[:20]).all()


def test_without_classes_labels_are_none(config, dataset):
    seen = []
    unlabeled = config.replace(model={**config.model, "classes": None})
    with ThreadPool(1) as workers:
        loss_and_gradient(Constant(np.array([0.0]), seen), dataset, 1, unlabeled, workers)
    assert {entry[1] for entry in seen} == {None}


def test_a_network_in_float64_is_trained_in_float64(config, dataset):
    model = tree.map(lambda leaf: leaf.astype(np.float64), perturbed_model(config))
    with ThreadPool(1) as workers:
        _, norm, gradient = loss_and_gradient(model, dataset, 1, config, workers)
    assert {leaf.dtype for leaf in tree.leaves(gradient)} == {np.dtype(np.float64)}
    state = apply_gradient(State.initial(model), gradient, norm, 1, config)
    assert {leaf.dtype for leaf in tree.leaves(state)} == {np.dtype(np.float64)}


def test_a_step_clips_moves_and_averages(config):
    config = config.replace(clip=0.5, weight_decay=0.0, ema=0.9)
    state = State.initial(Constant(np.array([1.0])))
    gradient = Constant(np.array([4.0]))
    new = apply_gradient(state, gradient, 4.0, 1, config)
    assert new.moments.first.value.item() == pytest.approx(0.1 * 0.5)
    moved = 1.0 - learning_rate_at(config, 1)
    assert new.model.value.item() == pytest.approx(moved, abs=1e-9)
    assert new.average.value.item() == pytest.approx((2 + 9 * moved) / 11, abs=1e-9)
    assert state.model.value.item() == 1.0


def test_the_learning_rate_follows_the_configuration(config):
    assert learning_rate_at(config, 1) == config.learning_rate / 2
    assert learning_rate_at(config.replace(decay="constant"), 9) == config.learning_rate
