"""The density of the probability-flow ODE: order, entropy, traces, probes, backends."""

import numpy as np
import pytest

from npdiff import tree
from npdiff.denoiser import Denoiser, inference_network
from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.likelihood import (
    adaptive_log_density,
    dequantize,
    dequantized_bits,
    flow_log_density,
    linearize_by_differences,
    linearize_by_jacobian,
    linearize_by_pullback,
    random_probes,
    trace,
)
from npdiff.likelihood.ode import log_prior
from npdiff.nn import MLP
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.random import Key
from npdiff.schedules import SCHEDULES, LinearVP, RectifiedFlow

TWO = Mixture(
    [0.3, 0.7],
    [Gaussian([0.7, -0.4], np.array([[0.5, 0.2], [0.2, 0.3]])), Gaussian([-0.7, 0.4], 0.1)],
)
X = TWO.sample(Key(0, range(6)))


def corrected_log_density(schedule, steps: int, data=TWO, x=X) -> np.ndarray:
    """The density, without the constant error that the prior adds."""
    *_, end = flow_log_density(linearize_by_jacobian(data, schedule), schedule, x, steps=steps)
    T = schedule.t_max
    return end.log_density - log_prior(schedule, end.x) + data.log_density(schedule, end.x, T)


@pytest.mark.parametrize("schedule", [RectifiedFlow(), LinearVP()], ids=["flow", "vp"])
def test_the_error_is_fourth_order_in_the_step(schedule) -> None:
    alpha = float(schedule.alpha(schedule.t_min))
    exact = TWO.log_density(schedule, alpha * X, schedule.t_min) + 2 * np.log(alpha)
    errors = [np.abs(corrected_log_density(schedule, n) - exact).max() for n in (40, 80)]
    assert 12 < errors[0] / errors[1] < 24
    assert errors[1] < 1e-6


def test_gaussian_data_cost_their_entropy() -> None:
    """The mean of -log p over the data; on straight paths nothing is left for the prior."""
    schedule = RectifiedFlow()
    schedule.t_min = 1e-5
    data = Gaussian([0.4], 0.3)
    nodes, weights = np.polynomial.hermite_e.hermegauss(8)
    x = 0.4 + np.sqrt(0.3) * nodes[:, None]
    *_, end = flow_log_density(linearize_by_jacobian(data, schedule), schedule, x, steps=120)
    mean = -(weights @ end.log_density) / np.sqrt(2 * np.pi)
    np.testing.assert_allclose(mean, 0.5 * np.log(2 * np.pi * np.e * 0.3), atol=1e-5)


def test_the_adaptive_solver_meets_its_tolerance() -> None:
    schedule = RectifiedFlow()
    exact = corrected_log_density(schedule, 60, x=X[:2])
    calls = []
    for tolerance in (1e-3, 1e-5):
        found, n = adaptive_log_density(
            linearize_by_differences(TWO.denoiser(schedule), schedule),
            schedule,
            X[:2],
            tolerance=tolerance,
        )
        assert np.abs(found - exact).max() < 200 * tolerance
        calls.append(n)
    assert calls[0] < calls[1]
    with pytest.raises(InputError, match="tolerance must be between 0 and 1"):
        adaptive_log_density(lambda x, t: None, schedule, X[:2], tolerance=0.0)


def test_states_go_from_data_to_noise() -> None:
    schedule = LinearVP()
    states = list(flow_log_density(linearize_by_jacobian(TWO, schedule), schedule, X, steps=7))
    assert len(states) == 7
    t = [state.t for state in states]
    assert t == sorted(t)
    assert t[-1] == schedule.t_max
    with pytest.raises(InputError, match="steps must be at least 1"):
        flow_log_density(linearize_by_jacobian(TWO, schedule), schedule, X, steps=0)


def network(seed: int = 0) -> MLP:
    """A small network none of whose weights is zero."""
    rng = np.random.default_rng(seed)
    return tree.map(
        lambda leaf: leaf.astype(np.float64) + 0.2 * rng.standard_normal(leaf.shape),
        MLP.init(0, width=16, depth=2, classes=3),
    )


@pytest.mark.parametrize("parameterization", PARAMETERIZATIONS)
@pytest.mark.parametrize("name", ["vp", "edm", "rectified-flow"])
def test_the_trace_by_pullback_equals_that_by_differences(parameterization: str, name: str) -> None:
    schedule, mlp = SCHEDULES[name](), network()
    labels = np.array([0, 1, 2, 0])
    x, t = np.random.default_rng(1).normal(size=(4, 2)), 0.4 * schedule.t_max
    denoise = Denoiser(
        inference_network(mlp, labels=labels), schedule, PARAMETERIZATIONS[parameterization]
    )
    x_0, transposed = linearize_by_pullback(
        mlp, schedule, PARAMETERIZATIONS[parameterization], labels=labels
    )(x, t)
    same, forward = linearize_by_differences(denoise, schedule, 1e-4)(x, t)
    np.testing.assert_allclose(x_0, same, rtol=1e-12)
    np.testing.assert_allclose(trace(transposed, x), trace(forward, x), rtol=1e-5, atol=1e-8)
    # and J^T is the transpose of J
    v, w = np.random.default_rng(2).normal(size=(2, 4, 2))
    np.testing.assert_allclose(
        (w * forward(v)).sum(), (v * transposed(w)).sum(), rtol=1e-5, atol=1e-8
    )


def test_exact_jacobians_equal_those_by_differences() -> None:
    schedule = LinearVP()
    for t in (0.01, 0.3, 1.0):
        _, exact = linearize_by_jacobian(TWO, schedule)(X, t)
        _, forward = linearize_by_differences(TWO.denoiser(schedule), schedule)(X, t)
        np.testing.assert_allclose(trace(exact, X), trace(forward, X), rtol=1e-5)


@pytest.mark.parametrize("kind", ["rademacher", "gaussian"])
def test_probes_are_keyed_and_unbiased(kind: str) -> None:
    x = np.zeros((2000, 2, 2))
    key = Key(1, range(2000))
    one, two = random_probes(key, x, 2, kind)
    assert (one != two).any()
    np.testing.assert_array_equal(random_probes(Key(1, (7,)), x[:1], 2, kind)[1], two[[7]])
    np.testing.assert_allclose(np.cov(one.reshape(2000, 4).T), np.eye(4), atol=0.12)
    if kind == "rademacher":
        assert set(np.unique(one)) == {-1.0, 1.0}
    matrix = np.random.default_rng(3).normal(size=(4, 4)) + np.eye(4)

    def product(v):
        return (v.reshape(-1, 4) @ matrix.T).reshape(v.shape)

    found = trace(product, x, [one, two])
    assert abs(found.mean() - np.trace(matrix)) < 5 * found.std() / np.sqrt(2000)


def test_rademacher_probes_have_less_variance() -> None:
    x, key = np.zeros((3000, 4)), Key(2, range(3000))
    scatter = {
        kind: trace(lambda v: 2.0 * v, x, random_probes(key, x, 1, kind)).std()
        for kind in ("rademacher", "gaussian")
    }
    assert scatter["rademacher"] < 1e-12  # no noise at all from the diagonal
    assert scatter["gaussian"] == pytest.approx(2 * np.sqrt(8), rel=0.1)


def test_a_density_with_probes_is_unbiased() -> None:
    schedule = RectifiedFlow()
    x = np.repeat(X[:1], 400, axis=0)
    probes = random_probes(Key(4, range(400)), x)
    *_, end = flow_log_density(
        linearize_by_jacobian(TWO, schedule), schedule, x, steps=24, probes=probes
    )
    *_, exact = flow_log_density(linearize_by_jacobian(TWO, schedule), schedule, X[:1], steps=24)
    error = end.log_density.mean() - exact.log_density[0]
    assert end.log_density.std() > 0.01
    assert abs(error) < 5 * end.log_density.std() / 20


def test_invalid_probes_are_refused() -> None:
    for count, kind in ((0, "gaussian"), (1, "cauchy")):
        with pytest.raises(InputError, match="one probe or more"):
            random_probes(Key(0, range(2)), np.zeros((2, 3)), count, kind)


def test_float32_stays_float32() -> None:
    schedule = LinearVP()
    x = X.astype(np.float32)
    *_, end = flow_log_density(linearize_by_jacobian(TWO, schedule), schedule, x, steps=20)
    *_, double = flow_log_density(linearize_by_jacobian(TWO, schedule), schedule, X, steps=20)
    assert end.log_density.dtype == end.x.dtype == np.float32
    np.testing.assert_allclose(end.log_density, double.log_density, rtol=1e-3, atol=1e-3)


def test_dequantization_refuses_floats_and_wrong_keys() -> None:
    key = Key(0, range(2))
    for images in (np.zeros((2, 3)), np.zeros((3, 3), dtype=np.uint8)):
        with pytest.raises(InputError, match="uint8"):
            dequantize(images, key)


def test_bits_of_bytes_for_bins_of_each_width() -> None:
    """Seven bits on [-1, 1], eight on [0, 1], and what is between for bytes that end at +-1."""
    zero = np.zeros(1)
    assert dequantized_bits(zero, 3, 2 / 256)[0] == 7.0
    assert dequantized_bits(zero, 3, 1 / 256)[0] == 8.0
    assert dequantized_bits(zero, 3)[0] == pytest.approx(6.99435, abs=1e-5)


def test_dequantization_never_needs_fewer_bits() -> None:
    """Jensen's inequality on normal data: the bits bound those of the discretized Gaussian."""
    from npdiff.objective.decoder import discretized_gaussian

    rng = np.random.default_rng(5)
    images = np.clip(np.round(127.5 * (1 + 0.2 + 0.004 * rng.normal(size=(4000, 1)))), 1, 254)
    images = images.astype(np.uint8)
    x = dequantize(images, Key(0, range(4000)), np.float64)
    data = Gaussian([0.2], 0.004**2)
    bits = dequantized_bits(data.log_density(LinearVP(), x, 0.0), 1).mean()
    log_p, _ = discretized_gaussian(
        np.full((4000, 1), 0.2), np.full((4000, 1), 2 * np.log(0.004)), x=images / 127.5 - 1
    )
    exact = -log_p.mean() / np.log(2)
    assert exact < bits < exact + 0.3
