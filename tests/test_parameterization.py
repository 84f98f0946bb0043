"""Prediction types: round trips, linear algebra, and each type against its definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS, edm
from npdiff.process import marginal
from npdiff.schedules import SCHEDULES

ALL = {name: SCHEDULES[name]() for name in ("linear", "cosine", "vp", "cosine-continuous")}
predictions = pytest.mark.parametrize(
    "parameterization", PARAMETERIZATIONS.values(), ids=PARAMETERIZATIONS
)
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)


@given(
    parameterization=st.sampled_from(sorted(PARAMETERIZATIONS)),
    name=st.sampled_from(sorted(ALL)),
    part=st.floats(1e-3, 1),
    seed=st.integers(0, 99),
)
def test_solve_inverts_target(parameterization: str, name: str, part: float, seed: int) -> None:
    """Up to rounding times the conditioning of the prediction type."""
    schedule, t = ALL[name], part * ALL[name].t_max
    x_0, eps = np.random.default_rng(seed).normal(size=(2, 2, 3))
    x_t = marginal(schedule, x_0, eps, t)
    output = PARAMETERIZATIONS[parameterization].target(schedule, x_0, eps, t)
    x0_hat, eps_hat = PARAMETERIZATIONS[parameterization].solve(schedule, x_t, output, t)
    lost = 1 / min(schedule.alpha(t), schedule.sigma(t))
    np.testing.assert_allclose(x0_hat, x_0, rtol=0, atol=3e-15 * lost)
    np.testing.assert_allclose(eps_hat, eps, rtol=0, atol=3e-15 * lost)


@predictions
@everywhere
def test_solution_satisfies_the_linear_system(schedule, parameterization) -> None:
    rng = np.random.default_rng(0)
    for t in np.array([0.01, 0.3, 0.8]) * schedule.t_max:
        x_t, output = rng.normal(size=(2, 4, 1))
        system = np.array(
            [[schedule.alpha(t), schedule.sigma(t)], [*parameterization.coefficients(schedule, t)]]
        )
        expected = np.linalg.solve(system, np.stack([x_t, output]).reshape(2, 4))
        np.testing.assert_allclose(
            np.stack(parameterization.solve(schedule, x_t, output, t)).reshape(2, 4),
            expected,
            rtol=1e-9,
        )
        np.testing.assert_allclose(
            parameterization.determinant(schedule, t), np.linalg.det(system), rtol=1e-9
        )


@everywhere
def test_determinants_equal_the_documented_ones(schedule) -> None:
    t = np.array([0.02, 0.5, 0.95]) * schedule.t_max
    alpha, sigma, d = schedule.alpha(t), schedule.sigma(t), 0.5
    flow = alpha * schedule.sigma_dot(t) - sigma * schedule.alpha_dot(t)
    for name, expected in {
        "eps": alpha,
        "x0": -sigma,
        "v": np.ones(3),
        "score": -alpha / sigma,
        "velocity": flow,
        "edm": -np.sqrt(sigma**2 + alpha**2 * d**2) / d,
    }.items():
        np.testing.assert_allclose(
            PARAMETERIZATIONS[name].determinant(schedule, t), expected, rtol=1e-12
        )


@everywhere
def test_targets_of_eps_and_x0(schedule) -> None:
    x_0, eps = np.random.default_rng(1).normal(size=(2, 3, 2))
    t = 0.4 * schedule.t_max
    assert (PARAMETERIZATIONS["eps"].target(schedule, x_0, eps, t) == eps).all()
    assert (PARAMETERIZATIONS["x0"].target(schedule, x_0, eps, t) == x_0).all()


@everywhere
def test_v_is_the_derivative_along_the_angle(schedule) -> None:
    """With (alpha, sigma) = (cos phi, sin phi), v = dx / dphi; by central differences."""
    x_0, eps = np.random.default_rng(2).normal(size=(2, 3, 2))
    t, h = 0.6 * schedule.t_max, 1e-6
    phi = np.arctan2(schedule.sigma(t), schedule.alpha(t))
    ahead, behind = (np.cos(p) * x_0 + np.sin(p) * eps for p in (phi + h, phi - h))
    v = PARAMETERIZATIONS["v"].target(schedule, x_0, eps, t)
    np.testing.assert_allclose(v, (ahead - behind) / (2 * h), rtol=1e-8, atol=1e-8)


@everywhere
def test_velocity_is_the_time_derivative_of_x_t(schedule) -> None:
    x_0, eps = np.random.default_rng(3).normal(size=(2, 3, 2))
    t, h = 0.6003 * schedule.t_max, 1e-5 * schedule.t_max  # within a step of a discrete schedule
    difference = marginal(schedule, x_0, eps, t + h) - marginal(schedule, x_0, eps, t - h)
    np.testing.assert_allclose(
        PARAMETERIZATIONS["velocity"].target(schedule, x_0, eps, t), difference / (2 * h), rtol=1e-5
    )


@everywhere
def test_score_is_the_gradient_of_the_log_density(schedule) -> None:
    x_0, eps = np.random.default_rng(4).normal(size=(2, 5))
    t, h = 0.1 * schedule.t_max, 1e-4
    x_t = marginal(schedule, x_0, eps, t)

    def log_density(x):
        return -((x - schedule.alpha(t) * x_0) ** 2) / (2 * schedule.sigma(t) ** 2)

    difference = (log_density(x_t + h) - log_density(x_t - h)) / (2 * h)
    np.testing.assert_allclose(
        PARAMETERIZATIONS["score"].target(schedule, x_0, eps, t), difference, rtol=1e-6
    )


@everywhere
@pytest.mark.parametrize("sd", [0.5, 1.3])
def test_edm_equals_its_preconditioning(schedule, sd: float) -> None:
    """x0_hat = c_skip(s) y + c_out(s) F in EDM's coordinates y = x / alpha, s = sigma / alpha."""
    x, F = np.random.default_rng(5).normal(size=(2, 3, 2))
    for t in np.array([0.01, 0.5, 0.9]) * schedule.t_max:
        s = schedule.sigma(t) / schedule.alpha(t)
        c_skip = sd**2 / (s**2 + sd**2)
        c_out = s * sd / np.sqrt(s**2 + sd**2)
        expected = c_skip * x / schedule.alpha(t) + c_out * F
        x_0, eps = edm(sd).solve(schedule, x, F, t)
        np.testing.assert_allclose(x_0, expected, rtol=1e-11, atol=1e-12)
        np.testing.assert_allclose(schedule.alpha(t) * x_0 + schedule.sigma(t) * eps, x, rtol=1e-9)


def test_edm_is_minus_v_for_data_of_unit_variance() -> None:
    schedule, t = ALL["vp"], 0.3
    a, b = edm(1.0).coefficients(schedule, t)
    np.testing.assert_allclose([a, b], [schedule.sigma(t), -schedule.alpha(t)], rtol=1e-14)


@predictions
@everywhere
def test_one_time_per_sample_equals_single_samples_in_float32(schedule, parameterization) -> None:
    x, output = np.random.default_rng(6).normal(size=(2, 3, 2, 2)).astype(np.float32)
    t = np.array([0.1, 0.5, 0.9]) * schedule.t_max
    together = (
        *parameterization.solve(schedule, x, output, t),
        parameterization.target(schedule, x, output, t),
    )
    for i in range(3):
        one = slice(i, i + 1)
        alone = (
            *parameterization.solve(schedule, x[one], output[one], float(t[i])),
            parameterization.target(schedule, x[one], output[one], float(t[i])),
        )
        for a, b in zip(together, alone, strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_allclose(a[one], b, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("name", ["x0", "score"])
@everywhere
def test_eps_cannot_be_recovered_without_noise(schedule, name) -> None:
    x = np.ones((1, 2))
    with pytest.raises(InputError, match=r"cannot recover eps at t = 0.*, where sigma = 0"):
        PARAMETERIZATIONS[name].solve(schedule, x, x, 0.0)
