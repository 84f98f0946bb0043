"""Verification of forward processes: common programs, right and wrong."""

import numpy as np
import pytest

from npdiff import process
from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, DiscreteSchedule, RectifiedFlow
from npdiff.verify import marginals

BETAS = np.linspace(1e-4, 0.02, 1000)
ALPHA_BAR = np.cumprod(1.0 - BETAS)  # entry 0 is step 1
DISCRETE = DiscreteSchedule(BETAS)


def column(a, t, x):
    return np.reshape(a[np.asarray(t)], (-1, *(1,) * (x.ndim - 1)))


def q_sample(shift=1, square=True, noise_scale=None, axis=None):
    def add_noise(x_0, t, noise):
        bar = column(ALPHA_BAR, np.asarray(t) - shift, x_0)
        bar = np.swapaxes(bar * np.ones(x_0.shape), 0, 1)[: len(x_0)] if axis else bar
        signal = np.sqrt(bar) if square else bar
        return signal * x_0 + (noise_scale or (lambda b: np.sqrt(1 - b)))(bar) * noise

    return add_noise


def transition(x, s, t, noise, shift=1, root=True):
    beta = column(BETAS, np.asarray(t) - shift, x)
    return np.sqrt(1 - beta) * x + (np.sqrt(beta) if root else beta) * noise


def posterior(x_0, x_t, s, t, large=False, shift=1, root=True):
    i = t - shift
    before, beta = ALPHA_BAR[i - 1], BETAS[i]
    mean = np.sqrt(before) * beta / (1 - ALPHA_BAR[i]) * x_0
    scale = np.sqrt(1 - beta) if root else 1 - beta
    mean = mean + scale * (1 - before) / (1 - ALPHA_BAR[i]) * x_t
    return mean, beta if large else beta * (1 - before) / (1 - ALPHA_BAR[i])


def test_a_ddpm_program_passes():
    report = marginals(q_sample(), DISCRETE, transition=transition, posterior=posterior)
    assert report.check().passed
    assert len(report.findings) == 9


@pytest.mark.parametrize(
    ("add_noise", "name", "hint"),
    [
        (q_sample(shift=2), "the factor of x_0", "one step earlier"),
        (q_sample(square=False), "the factor of x_0", "square root"),
        (q_sample(noise_scale=lambda b: 1 - b), "the factor of the noise", ""),
        (q_sample(noise_scale=lambda b: 1 - np.sqrt(b)), "the factor of the noise", ""),
        (
            lambda x, t, z: q_sample()(x, np.ravel(t)[0], z),
            "each sample has its own time",
            "first",
        ),
        (lambda x, t, z: q_sample()(x, t, z) + 0.01, "x_t is linear", ""),
    ],
    ids=["index", "root", "variance", "one less", "broadcast", "constant"],
)
def test_mistakes_in_the_marginal_are_detected(add_noise, name, hint):
    report = marginals(add_noise, DISCRETE)
    assert not report[name].passed, report
    assert hint in report[name].hint


def test_the_hint_names_an_index_that_is_ahead():
    def ahead(x_0, t, noise):
        return q_sample(shift=0)(x_0, np.minimum(t, 999), noise)

    assert "one step later" in marginals(ahead, DISCRETE)["the factor of x_0"].hint


def test_mistakes_in_a_transition_are_detected():
    def wrong(**mistake):
        def mistaken(x, s, t, noise):
            return transition(x, s, t, noise, **mistake)

        return marginals(q_sample(), DISCRETE, transition=mistaken)

    assert wrong().passed
    assert not wrong(root=False)["a step takes the variance"].passed
    assert not wrong(shift=2)["a step takes the mean"].passed


def test_mistakes_in_the_posterior_are_detected():
    def wrong(**mistake):
        def mistaken(x_0, x_t, s, t):
            return posterior(x_0, x_t, s, t, **mistake)

        return marginals(q_sample(), DISCRETE, posterior=mistaken)

    assert wrong().passed
    assert not wrong(large=True)["the posterior's variance"].passed
    assert not wrong(shift=2)["the posterior's factor of x_0"].passed
    assert not wrong(root=False)["the posterior's factor of x_t"].passed


@pytest.mark.parametrize("name", SCHEDULES)
def test_the_process_of_npdiff_passes(name):
    schedule = SCHEDULES[name]()

    def transition(x, s, t, noise):
        factor, variance = process.transition(schedule, s, t)
        return factor * x + np.sqrt(variance) * noise

    report = marginals(
        lambda x_0, t, noise: process.marginal(schedule, x_0, noise, t),
        schedule,
        transition=transition,
        posterior=lambda x_0, x_t, s, t: (
            process.posterior_mean(schedule, x_0, x_t, s, t),
            process.posterior_variance(schedule, s, t),
        ),
        timesteps=[schedule.time_at(v) for v in (5.0, 2.0, 0.0, -2.0, -4.0)]
        if not schedule.steps
        else None,
    )
    assert report.passed, report


def test_adding_standard_deviations_instead_of_variances_is_detected():
    """A mistake of public programs: from s to t by the difference of standard deviations."""
    flow = RectifiedFlow()

    def renoise(x_s, s, t, noise):
        a = flow.alpha(t) / flow.alpha(s)
        return a * x_s + (flow.sigma(t) - a * flow.sigma(s)) * noise

    report = marginals(
        lambda x_0, t, noise: (1 - t) * x_0 + t * noise,
        flow,
        transition=renoise,
        timesteps=[0.1, 0.3, 0.8],
        per_sample_times=False,
    )
    assert [finding.name for finding in report.failures] == [
        "a step takes the variance at s to that at t"
    ]
    assert "standard deviations do not" in str(report)


def test_timesteps_must_ascend():
    with pytest.raises(InputError, match="ascending times"):
        marginals(q_sample(), DISCRETE, timesteps=[3, 2])
