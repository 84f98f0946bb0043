"""Denoisers: the network's timestep, the estimates, clipping, rejected outputs, reprs."""

import numpy as np
import pytest

from npdiff.denoiser import Denoiser, clip_x0, inference_network, with_callback
from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.pullback import differentiable
from npdiff.schedules import SCHEDULES, linear_betas

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


@everywhere
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_the_network_receives_one_timestep_per_sample(schedule, dtype) -> None:
    received = []

    def network(x, timestep):
        received.append(timestep)
        return x

    denoise = Denoiser(network, schedule, PARAMETERIZATIONS["eps"])
    x = np.ones((3, 4, 4, 2), dtype=dtype)
    t = np.array([0.1, 0.2, 0.9]) * schedule.t_max
    denoise(x, 0.1 * schedule.t_max)
    x_0, eps = denoise(x, t)
    np.testing.assert_allclose(received[0], [100, 100, 100], rtol=1e-6)
    np.testing.assert_allclose(received[1], [100, 200, 900], rtol=1e-6)
    assert {timestep.dtype for timestep in received} == {np.dtype(dtype)}
    assert x_0.dtype == eps.dtype == dtype
    assert x_0.shape == eps.shape == x.shape


@everywhere
def test_estimates_of_a_network_that_predicts_noise(schedule) -> None:
    x_0, eps = np.random.default_rng(0).normal(size=(2, 3, 5))
    t = 0.5 * schedule.t_max
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * eps
    estimates = Denoiser(lambda x, timestep: eps, schedule, PARAMETERIZATIONS["eps"])(x_t, t)
    np.testing.assert_allclose(estimates[0], x_0, rtol=1e-10, atol=1e-12)
    assert (estimates[1] == eps).all()


def test_an_output_of_another_shape_is_rejected() -> None:
    denoise = Denoiser(lambda x, timestep: x[..., :1], linear_betas(), PARAMETERIZATIONS["eps"])
    with pytest.raises(InputError, match=r"shape \(2, 4, 1\), expected \(2, 4, 3\)"):
        denoise(np.ones((2, 4, 3)), 5)


def test_inference_network_binds_conditions_and_keeps_no_pullback() -> None:
    inner = []

    @differentiable
    def f(x):
        return 2 * x, lambda dy: (2 * dy,)

    def module(x, timestep, *, labels):
        y, pullback = f(x)
        inner.append(pullback)
        return y + labels[:, None] + timestep[:, None], lambda dy: (None, *pullback(dy))

    network = inference_network(module, labels=np.array([10.0, 20.0]))
    np.testing.assert_array_equal(
        network(np.ones((2, 1)), np.array([0.25, 0.5])), [[12.25], [22.5]]
    )
    with pytest.raises(RuntimeError, match="forward_only"):
        inner[0](np.ones((2, 1)))


@everywhere
def test_clip_x0_recomputes_eps_hat(schedule) -> None:
    t, rng = 0.3 * schedule.t_max, np.random.default_rng(1)
    alpha, sigma = schedule.alpha(t), schedule.sigma(t)
    x, x_0 = rng.normal(size=(4, 6)), 2 * rng.normal(size=(4, 6))

    def denoise(x, t):
        return x_0, (x - alpha * x_0) / sigma

    x0_hat, eps_hat = clip_x0(denoise, schedule)(x, t)
    inside = np.abs(x_0) <= 1
    assert inside.any()
    assert not inside.all()
    assert (x0_hat[inside] == x_0[inside]).all()
    assert (x0_hat[~inside] == np.sign(x_0[~inside])).all()
    np.testing.assert_allclose(alpha * x0_hat + sigma * eps_hat, x, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(eps_hat[inside], denoise(x, t)[1][inside], rtol=1e-9, atol=1e-12)


def test_clip_x0_to_another_range_in_float32() -> None:
    x = np.linspace(-3, 3, 7, dtype=np.float32)[None]
    denoise = clip_x0(lambda x, t: (x, x), linear_betas(), low=0.0, high=2.0)
    for t in (500, np.array([500])):
        x_0, eps = denoise(x, t)
        np.testing.assert_array_equal(x_0, [[0, 0, 0, 0, 1, 2, 2]])
        assert x_0.dtype == eps.dtype == np.float32


def test_with_callback_counts_evaluations_and_changes_nothing() -> None:
    calls: list[int] = []
    denoise = with_callback(lambda x, t: (x, t), lambda: calls.append(1))
    assert denoise(1.0, 2.0) == (1.0, 2.0)
    assert len(calls) == 1


def test_repr_gives_network_prediction_and_schedule() -> None:
    def network(x, timestep):
        return x

    text = repr(Denoiser(network, linear_betas(10), PARAMETERIZATIONS["v"]))
    assert text.startswith("Denoiser(network, 'v', DiscreteSchedule: T = 10")
    assert repr(PARAMETERIZATIONS["v"]) == "Parameterization('v')"
