"""The error of one step: known values at which wrong coefficients show."""

import numpy as np
import pytest

from npdiff.laboratory.quadrature import denoiser_in_time, integral, quadrature_error
from npdiff.samplers import unipc
from npdiff.schedules import EDM, LinearVP

LAMBDAS = [-0.9, -0.3, 0.2, 0.9]


def test_error_of_the_published_third_order_multistep_formula() -> None:
    """-4.84e-2 for a parabola, where the corrected formula is exact; for a line both are."""
    legacy, corrected = {"order": 3, "legacy": True}, {"order": 3}
    for degree in (0, 1, 2):

        def power(u: np.ndarray, n: int = degree) -> np.ndarray:
            return u**n

        error = quadrature_error("dpmpp-multistep", LAMBDAS, power, **legacy)
        assert error == pytest.approx(-4.84147e-2 if degree == 2 else 0.0, abs=1e-7)
        assert abs(quadrature_error("dpmpp-multistep", LAMBDAS, power, **corrected)) < 1e-14


def test_error_of_the_midpoint_rule_of_2m() -> None:
    """Not exact for a line: by hand, .2 (1 - e^-.7) + .35 (1 - e^-.7) less .8 e^-.7 - .1."""
    error = quadrature_error("dpmpp-multistep", LAMBDAS, lambda u: u, order=2)
    step = 1.0 - np.exp(-0.7)
    assert error == pytest.approx(0.55 * step - (0.8 * np.exp(-0.7) - 0.1), rel=1e-12)
    assert error == pytest.approx(-2.04e-2, abs=5e-5)
    exact = quadrature_error("dpmpp-multistep", LAMBDAS, lambda u: u, order=2, midpoint=False)
    assert abs(exact) < 1e-14


def test_the_corrector_removes_the_error_of_the_first_step() -> None:
    """For a line the first prediction is wrong; its correction and all later steps are exact.

    Read off the second prediction: the first error is the predictor's, and the state after two
    steps is the integral over both.
    """
    schedule, timesteps = EDM(), np.exp(-np.array(LAMBDAS[:3]))
    denoise = denoiser_in_time(schedule, "x0", lambda t: 0.3 + np.log(t))
    ends = []
    for corrector in (True, False):
        first, second = unipc(
            denoise, schedule, np.zeros((1, 1)), timesteps,
            order=2, variant="exact", corrector=corrector,
        )  # fmt: skip
        wrong = integral(lambda u: np.exp(u + 0.3) * (0.3 - u), -0.9, -0.3)
        assert abs(first.x[0, 0] - wrong) > 0.1
        truth = integral(lambda u: np.exp(u - 0.2) * (0.3 - u), -0.9, 0.2)
        ends.append(abs(second.x[0, 0] - truth))
    assert ends[0] < 1e-14
    assert ends[1] > 0.05


def test_error_of_a_single_step() -> None:
    error = quadrature_error("ddim", [0.1, 0.6], np.cos)
    constant = np.cos(0.1) * (1.0 - np.exp(-0.5))
    exact = integral(lambda u: np.exp(u - 0.6) * np.cos(u), 0.1, 0.6)
    assert error == pytest.approx(constant - exact)


def test_estimates_of_a_denoiser_in_time_are_consistent_with_the_state() -> None:
    schedule, x = LinearVP(), np.random.default_rng(0).normal(size=(3, 2))
    for smooth in ("x0", "eps"):
        denoise = denoiser_in_time(schedule, smooth, lambda t: np.array([1.0, 2.0, 3.0]) * t)
        x_0, eps = denoise(x, 0.4)
        np.testing.assert_allclose(schedule.alpha(0.4) * x_0 + schedule.sigma(0.4) * eps, x)
        np.testing.assert_allclose((x_0 if smooth == "x0" else eps)[:, 0], [0.4, 0.8, 1.2])
