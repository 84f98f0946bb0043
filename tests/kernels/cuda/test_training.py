"""AdamW, keyed noise and whole steps on the emulator equal their definitions."""

import math
from itertools import pairwise

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.errors import InputError
from npdiff.kernels import adamw as host
from npdiff.kernels.cuda import adamw, noise
from npdiff.kernels.cuda.steps import SamplingStep, TrainingStep
from npdiff.kernels.vectors import Vectors
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.samplers import sample
from npdiff.schedules import SCHEDULES
from npdiff.spacings import trailing
from npdiff.training import optimizer
from npdiff.training.flat import Layout
from npdiff.verify import strict

OPTIONS = {
    "step": 3, "learning_rate": 2e-3, "betas": (0.9, 0.99), "weight_decay": 0.1, "decayed": 600,
    "average_decay": 0.98,
}  # fmt: skip


def vectors(size, dtype, seed=0):
    rng = np.random.default_rng(seed)
    parts = [rng.standard_normal(size).astype(dtype) for _ in range(5)]
    parts[2] = parts[2] ** 2  # the second moments
    return Vectors(*parts[:4]), parts[4]


def placed(values):
    return type(values)(*map(strict.xp.asarray, values))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("clip_factor", [1.0, 0.3])
def test_adamw_equals_the_host_s_bit_for_bit(emulator, dtype, clip_factor):
    old, gradient = vectors(1000, dtype)
    new = Vectors(*(np.empty_like(a) for a in old))
    host.adamw(old, gradient, new, clip_factor=clip_factor, **OPTIONS)
    there, found = placed(old), placed(new)
    assert adamw.adamw(
        there, strict.xp.asarray(gradient), found, clip_factor=clip_factor, **OPTIONS
    )
    for a, b in zip(found, new, strict=True):
        np.testing.assert_array_equal(a.get(), b)
    assert emulator.log == ["adamw"]


def test_adamw_can_run_in_place(emulator):
    """The new state overwrites the old one, the new first moment the gradient."""
    old, gradient = vectors(300, np.float32)
    options = {**OPTIONS, "decayed": 100, "clip_factor": 0.5}
    new = Vectors(*(np.empty_like(a) for a in old))
    host.adamw(old, gradient, new, **options)
    there, g = placed(old), strict.xp.asarray(gradient)
    adamw.adamw(there, g, there._replace(first=g), **options)
    for a, b in zip(there._replace(first=g), new, strict=True):
        np.testing.assert_array_equal(a.get(), b)


def test_adamw_does_nothing_for_arrays_of_the_host(emulator):
    old, gradient = vectors(10, np.float32)
    assert not adamw.adamw(old, gradient, old, clip_factor=1.0, **OPTIONS)
    assert not emulator.log


@pytest.mark.parametrize("shape", [(1,), (3, 5), (4, 4, 2), (7,)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_noise_on_the_device_equals_the_host_s(emulator, shape, dtype):
    """Up to the rounding of logarithm and cosine."""
    key = Key(2**40 + 17, np.array([0, 5, 2**32 - 1]), 2**31 + 3, "train/noise")
    out = strict.xp.empty((3, *shape), dtype=dtype)
    samples, step = strict.xp.asarray(key.samples.astype(np.uint64)), np.uint32(key.step)
    step = strict.xp.asarray(step)
    noise.fill_normal(out, samples, step, seed=key.seed, stream=key.stream)
    expected = key.normal(shape)
    assert np.abs(out.get() - expected).max() <= 4 * np.finfo(dtype).eps * np.abs(expected).max()


def test_noise_for_arrays_of_the_host_uses_the_definition():
    key = Key(3, np.array([4, 9]), 8, "noise")
    out = np.empty((2, 3), np.float32)
    samples, step = key.samples.astype(np.uint64), np.asarray(8, np.uint32)
    noise.fill_normal(out, samples, step, seed=3, stream="noise")
    np.testing.assert_array_equal(out, key.normal((3,)).astype(np.float32))


SHAPE = (3, 8, 8, 1)


@pytest.fixture
def network(perturbed):
    fresh = nn.UNet.init(1, width=16, blocks=1, heads=2, classes=3)
    return tree.map(lambda a: a.astype(np.float64), perturbed(fresh, scale=0.05))


def batch(step):
    """The inputs of a step: data, labels, and coefficients for its timesteps."""
    rng, schedule = np.random.default_rng(step), SCHEDULES["cosine"]()
    t = rng.integers(1, 1000, SHAPE[0]).astype(float)
    a, b = PARAMETERIZATIONS["v"].coefficients(schedule, t)[:2]
    return {
        "x_0": rng.uniform(-1, 1, SHAPE), "labels": rng.integers(0, 4, SHAPE[0]),
        "timestep": schedule.timestep(t), "alpha": schedule.alpha(t), "sigma": schedule.sigma(t),
        "a": a, "b": b, "weight": rng.uniform(0.5, 2.0, SHAPE[0]),
    }  # fmt: skip


def by_definition(model, steps, limit):
    """The same training by maps over trees: losses, norms, weights, average."""
    moments, average, results = optimizer.Moments.zero(model), model, []
    for step in steps:
        now = batch(step)
        column = {k: now[k][:, None, None, None] for k in ("alpha", "sigma", "a", "b")}
        eps = Key(5, np.arange(SHAPE[0]), step, "train/noise").normal(SHAPE[1:])
        x_t = column["alpha"] * now["x_0"] + column["sigma"] * eps
        target = column["a"] * now["x_0"] + column["b"] * eps
        y, model_pullback = model(x_t, now["timestep"], labels=now["labels"])
        loss, loss_pullback = ops.squared_error(y, target=target, weight=now["weight"])
        gradient = model_pullback(*loss_pullback(1.0))[0]
        norm = float(optimizer.global_norm(gradient))
        model, moments = optimizer.adamw(
            model, optimizer.clip(gradient, norm, limit), moments,
            step=step, learning_rate=1e-3, weight_decay=0.1,
        )  # fmt: skip
        average = optimizer.ema(average, model, 0.9)
        results.append((float(loss), norm))
    return results, model, average


def training_step(network, limit, cuda=None):
    xp, layout = strict.xp, Layout(network)
    flat = [xp.zeros(layout.size, dtype=np.float64) for _ in range(5)]
    state, total = Vectors(*flat[:4]), flat[4]
    model, gradient, average = (layout.views(a, network) for a in (flat[0], total, flat[3]))
    for tree_there in (model, average):
        for place, leaf in zip(tree.leaves(tree_there), tree.leaves(network), strict=True):
            place[...] = xp.asarray(leaf)
    step = TrainingStep(
        model, gradient, total, state, SHAPE,
        decayed=layout.decayed, labeled=True, seed=5, weight_decay=0.1, limit=limit, cuda=cuda,
    )  # fmt: skip
    return step, model, average


@pytest.mark.parametrize("limit", [0.01, 1e9])
def test_a_training_step_equals_the_definitions(emulator, network, limit):
    """Three steps; only inputs are copied to the device, and nothing back."""
    results, model, average = by_definition(network, (1, 2, 3), limit)
    step, model_there, average_there = training_step(network, limit)
    for n, expected in enumerate(results, 1):
        inputs = batch(n)
        with strict.transfers() as moves:
            found = step(n, learning_rate=1e-3, average_decay=0.9, **inputs)
        assert not moves.to_host
        assert len(moves.to_device) == len(inputs) + 2  # only the inputs
        np.testing.assert_allclose([float(a.get()) for a in found], expected, rtol=1e-9)
    for found, expected in ((model_there, model), (average_there, average)):
        for a, b in zip(tree.leaves(found), tree.leaves(expected), strict=True):
            np.testing.assert_allclose(
                a.get(), b, rtol=0, atol=1e-7
            )  # Adam divides rounding errors


def test_a_training_step_needs_arrays_on_a_gpu(network):
    with pytest.raises(InputError, match="arrays on a GPU"):
        training_step(network, math.inf)


def coefficients(schedule, parameterization, t, s):
    """p, q, r and s of a step of DDIM from t to s: both maps are linear, so units tell them."""
    one, zero = np.ones((1, 1)), np.zeros((1, 1))
    p, q = (
        parameterization.solve(schedule, x, y, t)[0].item() for x, y in ((one, zero), (zero, one))
    )
    r = float(schedule.sigma(s) / schedule.sigma(t))
    return {"p": p, "q": q, "r": r, "s": float(schedule.alpha(s) - r * schedule.alpha(t))}


@pytest.mark.parametrize("guidance", [None, 3.0])
@pytest.mark.parametrize("parameterization", ["v", "eps"])
def test_a_sampling_step_equals_ddim(emulator, network, parameterization, guidance):
    """The sampler's steps, guided and clipped."""
    from npdiff.denoiser import Denoiser, clip_x0, inference_network
    from npdiff.guidance import classifier_free

    schedule, parameterization = SCHEDULES["cosine"](), PARAMETERIZATIONS[parameterization]
    labels, null = np.array([0, 1, 2]), np.full(3, 3)
    x = Key(1, range(3)).normal(SHAPE[1:])
    timesteps = trailing(schedule, 4)
    denoise = Denoiser(inference_network(network, labels=labels), schedule, parameterization)
    if guidance is not None:
        free = Denoiser(inference_network(network, labels=null), schedule, parameterization)
        denoise = classifier_free(denoise, free, guidance)
    *_, last = sample("ddim", clip_x0(denoise, schedule), schedule, x, timesteps)
    place = strict.xp.asarray
    step = SamplingStep(
        tree.map(place, network), place(x), place(labels),
        None if guidance is None else place(null), guidance=guidance or 1.0,
    )  # fmt: skip
    for t, s in pairwise(timesteps):
        with strict.transfers() as moves:
            found = step(
                float(schedule.timestep(t)), **coefficients(schedule, parameterization, t, s)
            )
        assert not moves.to_host
        assert len(moves.to_device) == 5
    np.testing.assert_allclose(found.get(), last.x, atol=1e-9)
