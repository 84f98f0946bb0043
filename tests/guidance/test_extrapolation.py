"""Classifier-free guidance on Gaussians, for which the guided model is Gaussian."""

import numpy as np
import pytest

from npdiff.exact import Gaussian
from npdiff.guidance import classifier_free
from npdiff.schedules import SCHEDULES

ALL = {name: make() for name, make in SCHEDULES.items()}
everywhere = pytest.mark.parametrize("schedule", ALL.values(), ids=ALL)
COND, UNCOND = Gaussian([1.0, -0.5], 0.3), Gaussian([0.2, 0.4], 0.3)


@everywhere
@pytest.mark.parametrize("w", [0.0, 0.5, 1.0, 3.0, 7.5])
def test_guidance_moves_the_mean(schedule, w: float) -> None:
    """For equal covariances the guided model is the Gaussian with mean m_u + w (m_c - m_u)."""
    guided = classifier_free(COND.denoiser(schedule), UNCOND.denoiser(schedule), w)
    moved = Gaussian(UNCOND.mean + w * (COND.mean - UNCOND.mean), 0.3).denoiser(schedule)
    x = np.random.default_rng(0).normal(size=(5, 2))
    for t in np.array([0.01, 0.5, 1.0]) * schedule.t_max:
        for estimate, expected in zip(guided(x, t), moved(x, t), strict=True):
            np.testing.assert_allclose(estimate, expected, rtol=1e-8, atol=1e-10)


@everywhere
def test_guided_estimates_add_up_to_x_t(schedule) -> None:
    guided = classifier_free(COND.denoiser(schedule), UNCOND.denoiser(schedule), 4.0)
    x, t = np.random.default_rng(1).normal(size=(5, 2)), 0.2 * schedule.t_max
    x_0, eps = guided(x, t)
    np.testing.assert_allclose(schedule.alpha(t) * x_0 + schedule.sigma(t) * eps, x, rtol=1e-10)


def test_w_is_one_more_than_in_the_paper() -> None:
    """eps_u + w (eps_c - eps_u) is the paper's (1 + w') eps_c - w' eps_u with w' = w - 1."""
    schedule = ALL["linear"]
    cond, uncond = COND.denoiser(schedule), UNCOND.denoiser(schedule)
    x, t, w = np.random.default_rng(2).normal(size=(5, 2)), 400, 2.5
    eps_c, eps_u = cond(x, t)[1], uncond(x, t)[1]
    eps = classifier_free(cond, uncond, w)(x, t)[1]
    np.testing.assert_allclose(eps, eps_u + w * (eps_c - eps_u), rtol=1e-13)
    np.testing.assert_allclose(eps, (1 + 1.5) * eps_c - 1.5 * eps_u, rtol=1e-12)


def test_w_of_0_and_1_evaluate_one_denoiser() -> None:
    def never(x, t):
        raise AssertionError("evaluated without need")

    denoise = COND.denoiser(ALL["linear"])
    x = np.ones((2, 2))
    assert classifier_free(denoise, never, 1)(x, 5) is not None
    assert classifier_free(never, denoise, 0)(x, 5) is not None


def test_one_scale_per_sample_and_float32() -> None:
    schedule = ALL["vp"]
    cond, uncond = COND.denoiser(schedule), UNCOND.denoiser(schedule)
    x, w = np.ones((3, 2), dtype=np.float32), np.array([0.0, 1.0, 5.0])
    together = classifier_free(cond, uncond, w)(x, 0.5)
    for i in range(3):
        alone = classifier_free(cond, uncond, float(w[i]))(x[i : i + 1], 0.5)
        for a, b in zip(together, alone, strict=True):
            assert a.dtype == b.dtype == np.float32
            np.testing.assert_allclose(a[i : i + 1], b, rtol=1e-5)
