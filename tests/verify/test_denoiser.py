"""The proof of denoisers: perfect ones pass, networks pass, each known mistake is caught."""

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
PERFECT = DATA.denoiser(VP)


@pytest.mark.parametrize("name", SCHEDULES)
def test_perfect_denoisers_pass(name):
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
    """Both answers from the noise."""
    alpha, sigma = (per_sample(f(t), x) for f in (schedule.alpha, schedule.sigma))
    return (x - sigma * eps) / alpha, eps


def by_position(x, t):
    """The time embedding looked up by the place in the batch, as in a program on the net."""
    return PERFECT(x, np.linspace(0.1, 0.9, len(x)))


def batch_norm(x, t):
    return of_eps(x, t, PERFECT(x, t)[1] - 0.01 * x.mean(axis=0))


def first_time(x, t):
    return of_eps(x, t, PERFECT(x, float(np.ravel(t)[0]))[1])


def no_time(x, t):
    return of_eps(x, t, 0.7 * x)


def in_place(x, t):
    answer = PERFECT(x, t)
    x *= 0.5
    return answer


def clip_one(x, t):
    x_0, eps = PERFECT(x, t)
    return np.clip(x_0, -0.5, 0.5), eps


def dropout(x, t, rng=np.random.default_rng(0)):  # noqa: B008
    return of_eps(x, t, PERFECT(x, t)[1] * (rng.uniform(size=x.shape) > 0.1))


CAUGHT = {
    "time by position": (by_position, "a sample's place"),
    "batch statistics": (batch_norm, "a sample's company"),
    "the first time": (first_time, "one time for all"),
    "no time": (no_time, "the time counts"),
    "in place": (in_place, "x itself is not written to"),
    "one answer clipped": (clip_one, "alpha x0_hat + sigma eps_hat"),
    "dropout": (dropout, "asked twice"),
    "sign": (lambda x, t: of_eps(x, t, -PERFECT(x, t)[1]), "x0_hat is the mean"),
    "time": (lambda x, t: of_eps(x, t, PERFECT(x, 0.99 * t)[1]), "x0_hat is the mean"),
    "swapped": (lambda x, t: PERFECT(x, t)[::-1], "alpha x0_hat + sigma eps_hat"),
    "another schedule": (DATA.denoiser(LinearVP(0.1, 19.0)), "alpha x0_hat + sigma eps_hat"),
    "nan": (lambda x, t: of_eps(x, t, x * np.nan), "both answers are finite"),
    "shape": (lambda x, t: [a[:, :1] for a in PERFECT(x, t)], "both answers have the shape"),
    "dtype": (lambda x, t: [a.astype("f4") for a in PERFECT(x, t)], "both answers have the dtype"),
}


@pytest.mark.parametrize("mistake", CAUGHT)
def test_mistakes_are_caught(mistake):
    my, found = CAUGHT[mistake]
    exact = None if mistake == "no time" else DATA
    report = denoiser(my, VP, exact, log_density=lambda x, t: DATA.log_density(VP, x, t))
    assert not report[found].passed, report
    with pytest.raises(AssertionError, match="FAILED"):
        report.check()


def test_a_score_that_is_not_one():
    def another(x, t):
        return DATA.log_density(VP, x, t) - 0.01 * x[:, 0]

    assert not denoiser(PERFECT, VP, DATA, log_density=another)["-eps_hat"].passed


def test_networks(perturbed):
    mlp = perturbed(nn.MLP.init(0, channels=2, width=16, depth=2))
    for schedule in (VP, linear_betas()):
        for parameterization in PARAMETERIZATIONS.values():
            my = Denoiser(inference_network(mlp), schedule, parameterization)
            report = denoiser(my, schedule, tolerance=1e-9)
            assert report.passed, report
            assert report.name == "denoiser Denoiser"
    assert denoiser(clip_x0(my, schedule), schedule).passed


def test_single_precision_is_kept():
    def single(x, t):
        return [part.astype(x.dtype) for part in PERFECT(x.astype(np.float64), t)]

    assert denoiser(single, VP, DATA, dtype=np.float32).passed
    wide = denoiser(lambda x, t: PERFECT(x.astype(np.float64), t), VP, DATA, dtype=np.float32)
    assert [finding.name for finding in wide.failures] == ["both answers have the dtype of x"]


def test_images():
    def flat(x, t):
        x_0, eps = Gaussian(np.linspace(0, 1, 12), 0.3).denoiser(VP)(x.reshape(-1, 12), t)
        return x_0.reshape(x.shape), eps.reshape(x.shape)

    assert denoiser(flat, VP, shape=(2, 2, 3)).passed
    with pytest.raises(InputError, match="two or more positive times"):
        denoiser(flat, VP, timesteps=[0.0, 0.5])
