"""Verification of samplers: right samplers pass, each known mistake is detected."""

from itertools import pairwise

import numpy as np
import pytest

from npdiff import samplers
from npdiff.errors import InputError
from npdiff.process import posterior_mean, posterior_variance
from npdiff.schedules import EDM, Cosine, LinearVP, linear_betas
from npdiff.verify import sampler

QUICK = {"steps": (24, 48, 96)}


def ddim(sign=1.0, square=False, called=0, level=0, omitted=0, first_level=0.0):
    """DDIM with at most one mistake.

    The sign of the noise; alpha-bar instead of its root; an offset of the index of the denoiser's
    time and of the next time; steps omitted at the end; the time that is used for clean data.
    """

    def sample(denoise, schedule, x, timesteps):
        size = len(timesteps) - 1
        for i in range(size - omitted):
            x_0, eps = denoise(x, timesteps[min(i + called, size)])
            s = max(timesteps[min(i + 1 + level, size)], first_level)
            alpha, sigma = schedule.alpha(s), schedule.sigma(s)
            x = (alpha**2 if square else alpha) * x_0 + sign * sigma * eps
        return x

    return sample


def test_ddim_passes():
    report = sampler(ddim(), order=1, exact="point", like="ddim", **QUICK)
    assert report.check() is report
    assert "passed" in str(report)
    assert len(report.findings) == 10


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        (ddim(sign=-1.0), "the error falls"),
        (ddim(square=True), "the error falls"),
        (ddim(called=1), "the first call of the denoiser"),
        (ddim(level=1), "two short unequal steps"),
        (ddim(level=-1), "two short unequal steps"),
        (ddim(omitted=1), "two short unequal steps"),
        (ddim(first_level=1e-3), "for data that are one point"),
    ],
    ids=["sign", "square", "time", "ahead", "behind", "last step", "not clean"],
)
def test_mistakes_in_ddim_are_detected(sample, found):
    report = sampler(sample, order=1, **QUICK)
    assert not report[found].passed, report
    with pytest.raises(AssertionError, match="FAILED"):
        report.check()


def test_point_data_detect_every_wrong_coefficient():
    for mistake in ({"sign": -1.0}, {"level": 1}, {"called": 1}, {"square": True}):
        assert not sampler(ddim(**mistake), exact="point", **QUICK)["three unequal"].passed
    assert not sampler("euler", exact="point", **QUICK)["three unequal"].passed


def heun(denoise, schedule, x, timesteps, wrong=False):
    """EDM's second-order step in sigma; wrong divides the second stage by the first sigma."""
    sigma = np.exp(-0.5 * schedule.log_snr(timesteps))
    x = x / schedule.alpha(timesteps[0])
    for (t, s), (a, b) in zip(pairwise(timesteps), pairwise(sigma), strict=True):
        slope = (x - denoise(schedule.alpha(t) * x, t)[0]) / a
        if b == 0.0:
            return x - a * slope
        ahead = x + (b - a) * slope
        again = (ahead - denoise(schedule.alpha(s) * ahead, s)[0]) / (a if wrong else b)
        x = x + 0.5 * (b - a) * (slope + again)
    return schedule.alpha(timesteps[-1]) * x


def test_an_order_below_the_claim_is_detected():
    assert sampler(heun, order=2).passed
    report = sampler(heun, order=2, options={"wrong": True})
    assert [finding.name[:15] for finding in report.failures] == ["the error falls"]
    assert not sampler("ddim", order=2, **QUICK)["the error falls"].passed
    assert sampler("heun", order=1, **QUICK).passed  # better than claimed


def test_the_legacy_third_order_update_has_order_two():
    """The published update lacks a factor of two; with it the order is 3."""
    options = {"order": 3, "start": "singlestep"}
    assert sampler("dpmpp-multistep", order=3, options=options)["the error falls"].passed
    legacy = sampler("dpmpp-multistep", order=3, options={**options, "legacy": True})
    assert not legacy["the error falls"].passed
    assert sampler("dpmpp-multistep", order=2, options={**options, "legacy": True}).passed


def test_dependence_on_the_batch_is_detected():
    def position(denoise, schedule, x, timesteps):
        """The position in the batch instead of the time."""
        for t, s in pairwise(timesteps):
            times = np.linspace(timesteps[-1], timesteps[0], len(x))
            x_0, eps = denoise(x, times)
            x = schedule.alpha(s) * x_0 + schedule.sigma(s) * eps + 0 * t
        return x

    def normalized(denoise, schedule, x, timesteps):
        (end,) = (step.x for step in list(samplers.ddim(denoise, schedule, x, timesteps))[-1:])
        return end + 1e-6 * np.arange(len(end))[:, None]

    assert not sampler(position, **QUICK)["each call is at one time"].passed
    assert not sampler(position, **QUICK)["samples are independent"].passed
    assert not sampler(normalized, **QUICK)["samples are independent"].passed


def test_writing_to_x_is_detected():
    def in_place(denoise, schedule, x, timesteps):
        for t, s in pairwise(timesteps):
            x_0, eps = denoise(x, t)
            x[...] = schedule.alpha(s) * x_0 + schedule.sigma(s) * eps
        return x

    report = sampler(in_place, **QUICK)
    assert [finding.name for finding in report.failures] == ["x is not modified"]


def test_nan_fails():
    report = sampler(lambda denoise, schedule, x, timesteps: x * np.nan, **QUICK)
    assert not report["the result is finite"].passed
    assert not report["the error falls"].passed
    assert not report["two short"].passed


def ancestral(power=0.5, last=False, again=False, shift=0, factor=1.0):
    """DDPM with at most one mistake: the power of the variance, noise in the last step, one draw
    for two steps, the variance of another step, a factor."""

    def sample(denoise, schedule, x, timesteps, noise=None):
        rng = np.random.default_rng(7)
        size = len(timesteps) - 1
        for i, (t, s) in enumerate(pairwise(timesteps)):
            x = posterior_mean(schedule, denoise(x, t)[0], x, s, t)
            k = min(max(i + shift, 0), size - 1)
            variance = posterior_variance(schedule, timesteps[k + 1], timesteps[k])
            if last and s == 0.0:
                variance = posterior_variance(schedule, timesteps[-2], timesteps[-3])
            if variance > 0.0:
                z = rng.standard_normal(x.shape) if noise is None else noise(i // 2 if again else i)
                x = x + factor * variance**power * z
        return x

    return sample


def test_ancestral_sampling_passes():
    report = sampler(ancestral(), noise="given", exact="point", like="ddpm")
    assert report.passed, report
    assert sampler("ddpm", noise="given", options={"variance": "large"}, exact="standard").passed
    assert sampler("ddim", noise="given", options={"eta": 0.6}, exact="point").passed
    own = sampler(ancestral(), noise="own", steps=(250,), samples=3000)
    assert own.passed, own
    assert "false alarm in 1e+06 tests" in str(own)


@pytest.mark.parametrize(
    ("sample", "found"),
    [
        (ancestral(power=1.0), "the variance's error"),
        (ancestral(power=0.25), "the variance's error"),
        (ancestral(factor=0.0), "the variance's error"),
        (ancestral(factor=1.4), "the variance's error"),
        (ancestral(last=True), "for data that are one point"),
        (ancestral(again=True), "every draw is used once"),
        (ancestral(shift=-1), "mean and variance are exact"),
        (ancestral(shift=1), "mean and variance are exact"),
    ],
    ids=["variance", "root", "none", "factor", "last", "again", "behind", "ahead"],
)
def test_mistakes_in_the_noise_are_detected(sample, found):
    report = sampler(sample, noise="given", exact="point")
    assert not report[found].passed, report


@pytest.mark.parametrize("mistake", [{"power": 1.0}, {"factor": 0.0}, {"factor": 1.4}])
def test_mistakes_are_detected_by_sample_moments(mistake):
    report = sampler(ancestral(**mistake), noise="own", steps=(100,), samples=2000)
    assert not report["the standard deviation"].passed


def test_a_wrong_mean_is_detected_by_sample_moments():
    def shifted(denoise, schedule, x, timesteps):
        return ancestral()(denoise, schedule, x, timesteps) + 0.2 * (timesteps[-1] > 0)

    report = sampler(shifted, noise="own", steps=(100,), samples=2000)
    assert [finding.name[:17] for finding in report.failures[:1]] == ["the mean is right"]


def test_a_result_that_is_not_affine_in_the_noise_is_detected():
    def clipping(denoise, schedule, x, timesteps, noise):
        return np.clip(ancestral()(denoise, schedule, x, timesteps, noise), 1.0, 2.0)

    assert not sampler(clipping, noise="given")["the result is affine"].passed


def test_float32_images_and_other_schedules_pass():
    def single(denoise, schedule, x, timesteps):
        x = x.astype(np.float32)
        for t, s in pairwise(timesteps.astype(np.float32)):
            x_0, eps = (part.astype(np.float32) for part in denoise(x, float(t)))
            x = np.float32(schedule.alpha(s)) * x_0 + np.float32(schedule.sigma(s)) * eps
        return x

    assert sampler(single, **QUICK).passed
    assert sampler("ddim", shape=(2, 3, 1), **QUICK).passed
    for schedule in (EDM(), Cosine(), linear_betas()):
        assert sampler("ddim", schedule=schedule, exact="point", **QUICK).passed
    assert sampler("heun", order=None, steps=(100,), schedule=LinearVP()).passed
    assert not sampler("ddim", order=None, steps=(10,)).passed


def test_invalid_arguments_are_rejected():
    with pytest.raises(InputError, match="unknown sampler 'dimm'"):
        sampler("dimm")
    with pytest.raises(InputError, match="noise must be None, 'given' or 'own'"):
        sampler("ddpm", noise="mine")
    with pytest.raises(InputError, match="exact must be one of point"):
        sampler("ddpm", exact="images")
    with pytest.raises(InputError, match="steps must be ascending"):
        sampler("ddim", steps=(10, 5))
    with pytest.raises(InputError, match="end must be between 0 and 1"):
        sampler("ddim", end=2.0)
    with pytest.raises(InputError, match="returned shape"):
        sampler(lambda denoise, schedule, x, timesteps: x[0], **QUICK)
    with pytest.raises(InputError, match="called its denoiser with samples of shape"):
        sampler(lambda denoise, schedule, x, timesteps: denoise(x[:, None], 1.0)[0], **QUICK)
