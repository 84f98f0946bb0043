"""Classifier guidance: its two variants compared, rejected arguments, a network's gradient."""

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.exact import Gaussian, Mixture
from npdiff.exact.classifier import classifier_gradient
from npdiff.guidance import classifier_guidance, classifier_mean_shift, label_gradient
from npdiff.metrics.classifier import DigitClassifier
from npdiff.process import transition
from npdiff.samplers import SAMPLERS, sample
from npdiff.schedules import SCHEDULES, linear_betas
from npdiff.spacings import trailing
from npdiff.verify import strict

SCHEDULE = linear_betas()
TWO = Mixture([0.3, 0.7], [Gaussian(np.array([-0.6]), 0.2), Gaussian(np.array([0.8]), 0.1)])
X = np.random.default_rng(0).normal(size=(5, 1))


@pytest.mark.parametrize("name", ["ddim", "heun"])
def test_a_guided_mixture_samples_its_component(name: str) -> None:
    """The trajectories equal those of the component's denoiser."""
    guided = classifier_guidance(
        TWO.denoiser(SCHEDULE), SCHEDULE, classifier_gradient(TWO, SCHEDULE, 1), 1.0
    )
    alone = TWO.components[1].denoiser(SCHEDULE)
    timesteps = trailing(SCHEDULE, 12)
    assert name in SAMPLERS
    (*_, found), (*_, expected) = (sample(name, d, SCHEDULE, X, timesteps) for d in (guided, alone))
    np.testing.assert_allclose(found.x, expected.x, rtol=1e-8)


@pytest.mark.parametrize("t", [100.0, 400.0, 900.0])
def test_shift_of_the_mean_in_both_variants(t: float) -> None:
    """A unit gradient shifts a step's mean by sigma_{t|s}^2 / alpha_{t|s}, or by Sigma."""
    s = t - 20.0
    exact = TWO.denoiser(SCHEDULE)

    def ones(x, t):
        return np.ones_like(x)

    def shift(denoise) -> np.ndarray:
        options = {"variance": "small", "noise": lambda i: np.zeros_like(X)}
        (step,), (unguided,) = (
            SAMPLERS["ddpm"](d, SCHEDULE, X, np.array([t, s]), **options) for d in (denoise, exact)
        )
        return step.x - unguided.x

    timesteps = np.array([t, s])
    by_score = shift(classifier_guidance(exact, SCHEDULE, ones, 2.0))
    small = shift(classifier_mean_shift(exact, SCHEDULE, ones, 2.0, timesteps))
    by_beta = shift(classifier_mean_shift(exact, SCHEDULE, ones, 2.0, timesteps, variance="large"))
    factor, variance = transition(SCHEDULE, s, t)
    np.testing.assert_allclose(by_score, 2.0 * variance / factor, rtol=1e-9)
    np.testing.assert_allclose(by_beta / by_score, factor, rtol=1e-9)
    ratio = factor * (SCHEDULE.sigma(s) / SCHEDULE.sigma(t)) ** 2
    np.testing.assert_allclose(small / by_score, ratio, rtol=1e-9)


def test_the_last_step_of_the_small_variance_is_not_shifted() -> None:
    def never(x, t):
        raise AssertionError("evaluated without need")

    exact = TWO.denoiser(SCHEDULE)
    denoise = classifier_mean_shift(exact, SCHEDULE, never, 5.0, np.array([30.0, 0.0]))
    np.testing.assert_allclose(denoise(X, 30.0), exact(X, 30.0), rtol=1e-12)


def test_an_unknown_variance_is_rejected() -> None:
    with pytest.raises(InputError, match="unknown variance 'huge'; known: small, large"):
        classifier_mean_shift(
            TWO.denoiser(SCHEDULE), SCHEDULE, None, 1.0, np.array([30.0, 0.0]), variance="huge"
        )


def test_mean_shift_rejects_times_that_are_not_timesteps() -> None:
    denoise = classifier_mean_shift(
        TWO.denoiser(SCHEDULE), SCHEDULE, None, 1.0, np.array([30.0, 0.0])
    )
    for t in (20.0, 0.0, np.full(5, 30.0)):
        with pytest.raises(InputError, match="classifier_guidance"):
            denoise(X, t)


def test_times_without_signal_are_rejected() -> None:
    """At alpha = 0 x0_hat would be infinite."""

    class NoSignalAtEnd(type(SCHEDULE)):
        def __init__(self) -> None:
            super().__init__(np.full(10, 0.3))

        def alpha(self, t):
            return np.where(np.asarray(t) >= 10.0, 0.0, super().alpha(t))

    schedule = NoSignalAtEnd()
    denoise = classifier_guidance(TWO.denoiser(schedule), schedule, lambda x, t: x, 1.0)
    assert np.isfinite(denoise(X, 9.0)[0]).all()
    with pytest.raises(InputError, match="signal"):
        denoise(X, 10.0)


def test_one_scale_per_sample_and_float32() -> None:
    x, w = X.astype(np.float32), np.array([0.0, 1.0, 2.0, 3.0, 4.0])
    exact = TWO.denoiser(SCHEDULE)
    both = [
        classifier_guidance(exact, SCHEDULE, lambda x, t: np.ones_like(x), w)(x, 300.0),
        classifier_mean_shift(
            exact, SCHEDULE, lambda x, t: np.ones_like(x), w, np.array([300.0, 200.0])
        )(x, 300.0),
    ]
    for x_0, eps in both:
        assert x_0.dtype == eps.dtype == np.float32
        np.testing.assert_allclose(
            SCHEDULE.alpha(300.0) * x_0 + SCHEDULE.sigma(300.0) * eps, x, atol=1e-5
        )
        np.testing.assert_allclose(np.diff(x_0 - exact(x, 300.0)[0], axis=0).std(), 0.0, atol=1e-5)


def test_gradient_of_the_digit_classifier() -> None:
    """Along a direction, against central differences."""
    network = DigitClassifier.shipped()
    rng = np.random.default_rng(3)
    x, direction = rng.normal(size=(2, 2, 32, 32, 1))
    labels = np.array([3, 7])

    def log_p(x: np.ndarray) -> np.ndarray:
        logits, _ = network(x)
        logits = logits - logits.max(axis=1, keepdims=True)
        return logits[[0, 1], labels] - np.log(np.exp(logits).sum(axis=1))

    found = label_gradient(lambda x, t: network(x), labels)(x, 100.0)
    h = 1e-4
    slopes = (log_p(x + h * direction) - log_p(x - h * direction)) / (2.0 * h)
    np.testing.assert_allclose((found * direction).sum(axis=(1, 2, 3)), slopes, rtol=1e-5)


@pytest.mark.parametrize("name", SCHEDULES)
def test_classifier_guidance_does_not_synchronize_a_device(name: str) -> None:
    schedule = SCHEDULES[name]()
    t = 0.4 * schedule.t_max
    x = strict.xp.asarray(X.astype(np.float32))

    def classifier(x, t):
        return strict.xp.concatenate([x, -x], axis=1), lambda d: (d[:, :1] - d[:, 1:],)

    pull = label_gradient(classifier, np.array([0, 1, 1, 0, 1]))
    with strict.transfers() as moves:
        classifier_guidance(lambda x, t: (x, x), schedule, pull, 2.0)(x, t)
        classifier_mean_shift(lambda x, t: (x, x), schedule, pull, 2.0, np.array([t, 0.5 * t]))(
            x, t
        )
    assert moves.to_host == []
    assert moves.to_device == [(5, 2)] * 2  # the labels
