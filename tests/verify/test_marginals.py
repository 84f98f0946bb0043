"""The proof of forward processes: programs as people write them, right and wrong."""

import numpy as np
import pytest

from npdiff import process
from npdiff.errors import InputError
from npdiff.schedules import SCHEDULES, DiscreteSchedule, RectifiedFlow
from npdiff.verify import marginals

BETAS = np.linspace(1e-4, 0.02, 1000)
BAR = np.cumprod(1.0 - BETAS)  # entry 0 is step 1
CHAIN = DiscreteSchedule(BETAS)


def column(a, t, x):
    return np.reshape(a[np.asarray(t)], (-1, *(1,) * (x.ndim - 1)))


def q_sample(shift=1, square=True, noise_scale=None, axis=None):
    def my(x_0, t, noise):
        bar = column(BAR, np.asarray(t) - shift, x_0)
        bar = np.swapaxes(bar * np.ones(x_0.shape), 0, 1)[: len(x_0)] if axis else bar
        signal = np.sqrt(bar) if square else bar
        return signal * x_0 + (noise_scale or (lambda b: np.sqrt(1 - b)))(bar) * noise

    return my


def step(x, s, t, noise, shift=1, root=True):
    beta = column(BETAS, np.asarray(t) - shift, x)
    return np.sqrt(1 - beta) * x + (np.sqrt(beta) if root else beta) * noise


def posterior(x_0, x_t, s, t, large=False, shift=1, root=True):
    i = t - shift
    before, beta = BAR[i - 1], BETAS[i]
    mean = np.sqrt(before) * beta / (1 - BAR[i]) * x_0
    scale = np.sqrt(1 - beta) if root else 1 - beta
    mean = mean + scale * (1 - before) / (1 - BAR[i]) * x_t
    return mean, beta if large else beta * (1 - before) / (1 - BAR[i])


def test_a_program_of_ddpm_passes():
    report = marginals(q_sample(), CHAIN, transition=step, posterior=posterior)
    assert report.check().passed
    assert len(report.findings) == 9


@pytest.mark.parametrize(
    ("my", "name", "hint"),
    [
        (q_sample(shift=2), "the factor of x_0", "one step earlier"),
        (q_sample(square=False), "the factor of x_0", "square root"),
        (q_sample(noise_scale=lambda b: 1 - b), "the factor of the noise", ""),
        (q_sample(noise_scale=lambda b: 1 - np.sqrt(b)), "the factor of the noise", ""),
        (
            lambda x, t, z: q_sample()(x, np.ravel(t)[0], z),
            "every sample has its own time",
            "first",
        ),
        (lambda x, t, z: q_sample()(x, t, z) + 0.01, "x_t is linear", ""),
    ],
    ids=["index", "root", "variance", "one less", "broadcast", "constant"],
)
def test_mistakes_in_the_marginal(my, name, hint):
    report = marginals(my, CHAIN)
    assert not report[name].passed, report
    assert hint in report[name].hint


def test_an_index_that_is_ahead_is_named():
    def ahead(x_0, t, noise):
        return q_sample(shift=0)(x_0, np.minimum(t, 999), noise)

    assert "one step later" in marginals(ahead, CHAIN)["the factor of x_0"].hint


def test_mistakes_in_a_step():
    def wrong(**mistake):
        def transition(x, s, t, noise):
            return step(x, s, t, noise, **mistake)

        return marginals(q_sample(), CHAIN, transition=transition)

    assert wrong().passed
    assert not wrong(root=False)["a step takes the variance"].passed
    assert not wrong(shift=2)["a step takes the mean"].passed


def test_mistakes_in_the_posterior():
    def wrong(**mistake):
        def my(x_0, x_t, s, t):
            return posterior(x_0, x_t, s, t, **mistake)

        return marginals(q_sample(), CHAIN, posterior=my)

    assert wrong().passed
    assert not wrong(large=True)["the posterior's variance"].passed
    assert not wrong(shift=2)["the posterior's factor of x_0"].passed
    assert not wrong(root=False)["the posterior's factor of x_t"].passed


@pytest.mark.parametrize("name", SCHEDULES)
def test_npdiff_s_own_process(name):
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


def test_noise_on_noise_adds_in_variance():
    """Going from s to t: the difference of deviations is a mistake that is found in the wild."""
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


def test_times_have_to_ascend():
    with pytest.raises(InputError, match="ascending times"):
        marginals(q_sample(), CHAIN, timesteps=[3, 2])
