"""Verification of denoisers: exact ones and networks pass, each known mistake is detected."""

import numpy as np
import pytest

from npdiff import nn
from npdiff.backend import per_sample
from npdiff.denoiser import Denoiser, clip_x0, inference_network
from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.schedules import SCHEDULES, LinearVP, linear_betas
from npdiff.verify import denoiser

VP = LinearVP()
DATA = Mixture([0.3, 0.7], [Gaussian([1.0, 2.0], 0.3), Gaussian([-1.0, 0.0], [0.1, 0.5])])
EXACT = DATA.denoiser(VP)


@pytest.mark.parametrize("name", SCHEDULES)
def test_exact_denoisers_pass(name):
    schedule = SCHEDULES[name]()
    report = denoiser(
        DATA.denoiser(schedule),
        schedule,
        DATA,
        log_density=lambda x, t: DATA.log_density(schedule, x, t),
        timesteps=[schedule.time_at(v) for v in (4.0, 1.0, -1.0, -4.0)],
    )
    assert report.passed, report
    assert len(report.findings) == 11


def of_eps(x, t, eps, schedule=VP):
    """Both estimates from eps_hat."""
    alpha, sigma = (per_sample(f(t), x) for f in (schedule.alpha, schedule.sigma))
    return (x - sigma * eps) / alpha, eps


def by_position(x, t):
    """A time embedding indexed by the position in the batch, as in a public program."""
    return EXACT(x, np.linspace(0.1, 0.9, len(x)))


def batch_norm(x, t):
    return of_eps(x, t, EXACT(x, t)[1] - 0.01 * x.mean(axis=0))


def first_time(x, t):
    return of_eps(x, t, EXACT(x, float(np.ravel(t)[0]))[1])


def no_time(x, t):
    return of_eps(x, t, 0.7 * x)


def in_place(x, t):
    estimates = EXACT(x, t)
    x *= 0.5
    return estimates


def clip_one(x, t):
    x_0, eps = EXACT(x, t)
    return np.clip(x_0, -0.5, 0.5), eps


def dropout(x, t, rng=np.random.default_rng(0)):  # noqa: B008
    return of_eps(x, t, EXACT(x, t)[1] * (rng.uniform(size=x.shape) > 0.1))


MISTAKES = {
    "time by position": (by_position, "a sample does not depend on its position"),
    "batch statistics": (batch_norm, "a sample does not depend on the other"),
    "the first time": (first_time, "a scalar time"),
    "no time": (no_time, "the result depends on time"),
    "in place": (in_place, "x is not modified"),
    "one estimate clipped": (clip_one, "alpha x0_hat + sigma eps_hat"),
    "dropout": (dropout, "a second call"),
    "sign": (lambda x, t: of_eps(x, t, -EXACT(x, t)[1]), "x0_hat is the mean"),
    "time": (lambda x, t: of_eps(x, t, EXACT(x, 0.99 * t)[1]), "x0_hat is the mean"),
    "swapped": (lambda x, t: EXACT(x, t)[::-1], "alpha x0_hat + sigma eps_hat"),
    "another schedule": (DATA.denoiser(LinearVP(0.1, 19.0)), "alpha x0_hat + sigma eps_hat"),
    "nan": (lambda x, t: of_eps(x, t, x * np.nan), "x0_hat and eps_hat are finite"),
    "shape": (lambda x, t: [a[:, :1] for a in EXACT(x, t)], "x0_hat and eps_hat have the shape"),
    "dtype": (
        lambda x, t: [a.astype("f4") for a in EXACT(x, t)],
        "x0_hat and eps_hat have the dtype",
    ),
}


@pytest.mark.parametrize("mistake", MISTAKES)
def test_mistakes_are_detected(mistake):
    denoise, found = MISTAKES[mistake]
    exact = None if mistake == "no time" else DATA
    report = denoiser(denoise, VP, exact, log_density=lambda x, t: DATA.log_density(VP, x, t))
    assert not report[found].passed, report
    with pytest.raises(AssertionError, match="FAILED"):
        report.check()


def test_a_wrong_score_is_detected():
    def another(x, t):
        return DATA.log_density(VP, x, t) - 0.01 * x[:, 0]

    assert not denoiser(EXACT, VP, DATA, log_density=another)["-eps_hat"].passed


def test_denoisers_of_networks_pass(perturbed):
    mlp = perturbed(nn.MLP.init(0, channels=2, width=16, depth=2))
    for schedule in (VP, linear_betas()):
        for parameterization in PARAMETERIZATIONS.values():
            denoise = Denoiser(inference_network(mlp), schedule, parameterization)
            report = denoiser(denoise, schedule, tolerance=1e-9)
            assert report.passed, report
            assert report.name == "denoiser Denoiser"
    assert denoiser(clip_x0(denoise, schedule), schedule).passed


def test_single_precision_must_be_preserved():
    def single(x, t):
        return [part.astype(x.dtype) for part in EXACT(x.astype(np.float64), t)]

    assert denoiser(single, VP, DATA, dtype=np.float32).passed
    wide = denoiser(lambda x, t: EXACT(x.astype(np.float64), t), VP, DATA, dtype=np.float32)
    assert [finding.name for finding in wide.failures] == ["x0_hat and eps_hat have the dtype of x"]


def test_images_pass_and_bad_timesteps_are_rejected():
    def flat(x, t):
        x_0, eps = Gaussian(np.linspace(0, 1, 12), 0.3).denoiser(VP)(x.reshape(-1, 12), t)
        return x_0.reshape(x.shape), eps.reshape(x.shape)

    assert denoiser(flat, VP, shape=(2, 2, 3)).passed
    with pytest.raises(InputError, match="two or more positive times"):
        denoiser(flat, VP, timesteps=[0.0, 0.5])
