"""The bound: its limit is the entropy, it lies above exact likelihoods, its terms, its errors."""

from itertools import pairwise

import numpy as np
import pytest
from scipy.special import log_ndtr, ndtr

from npdiff.errors import InputError
from npdiff.exact import Gaussian
from npdiff.likelihood import bound
from npdiff.process import posterior_variance
from npdiff.random import Key
from npdiff.samplers import keyed_noise
from npdiff.schedules import EDM, SCHEDULES, DiscreteSchedule, LinearVP, RectifiedFlow, linear_betas
from npdiff.variances import optimal

DATA = Gaussian([0.4], 0.3)
ENTROPY = 0.5 * np.log(2 * np.pi * np.e * 0.3)
NODES, NODE_WEIGHTS = np.polynomial.hermite_e.hermegauss(6)
X_0 = 0.4 + np.sqrt(0.3) * np.repeat(NODES, 6)[:, None]
NOISE = np.tile(NODES, 6)[:, None]
WEIGHTS = np.outer(NODE_WEIGHTS, NODE_WEIGHTS).ravel() / (2 * np.pi)


def expected_bound(schedule, timesteps, variance="small") -> float:
    """The bound averaged over data and noise, by quadrature."""
    denoise = DATA.denoiser(schedule)
    terms = bound(
        denoise, schedule, X_0, timesteps, lambda _: NOISE, variance=variance, decoder="density"
    )
    return float(sum(WEIGHTS @ term.nats for term in terms))


@pytest.mark.parametrize(
    "schedule", [RectifiedFlow(), LinearVP(), EDM()], ids=["flow", "vp", "edm"]
)
def test_the_gap_to_the_entropy_halves_with_twice_the_steps(schedule) -> None:
    """With DDPM's small variance, but for the last step, which has that of the data left open."""
    alpha, sigma = schedule.alpha(schedule.t_max), schedule.sigma(schedule.t_max)
    noise = float(sigma**2) if isinstance(schedule, EDM) else 1.0
    variance, mean = alpha**2 * 0.3 + sigma**2, alpha * 0.4
    # what sampling does not start from, and no number of steps makes good
    floor = 0.5 * ((variance + mean**2) / noise - 1 - np.log(variance / noise))

    def of_step(_x, s: float, t: float) -> float:
        return (
            float(posterior_variance(schedule, s, t))
            if s
            else DATA.mean_posterior_variance(schedule, t)
        )

    gaps = []
    for steps in (100, 200, 400):
        levels = np.linspace(schedule.log_snr(0.999 * schedule.t_max), 14.0, steps)
        timesteps = np.concatenate([[schedule.t_max], schedule.time_at(levels), [0.0]])
        gaps.append(expected_bound(schedule, timesteps, of_step) - ENTROPY - floor)
    assert gaps[2] > 0.0
    assert gaps[0] / gaps[1] == pytest.approx(2.0, abs=0.15)
    assert gaps[1] / gaps[2] == pytest.approx(2.0, abs=0.08)


def test_with_the_optimal_variance_any_number_of_steps_reaches_the_entropy() -> None:
    """For normal data the best reverse step is the true one, so that nothing is lost."""
    schedule = RectifiedFlow()

    def best(_x, s: float, t: float) -> float:
        return float(optimal(schedule, s, t, DATA.mean_posterior_variance(schedule, t)))

    for steps in (1, 2, 5):
        found = expected_bound(schedule, np.linspace(1.0, 0.0, steps + 1), best)
        np.testing.assert_allclose(found, ENTROPY, rtol=1e-12)


def test_the_bound_of_bytes_lies_above_the_exact_likelihood() -> None:
    """Four bytes, few steps: their exact probabilities by quadrature, and the bound on them.

    The state before the last step has a density that is computed on a grid, step by step; the
    decoder makes bytes of it.
    """
    T = 14
    schedule = DiscreteSchedule(np.geomspace(0.002, 0.8, T))
    values = np.array([-1.0, -0.2, 0.35, 1.0])
    values = np.round((values + 1) * 127.5) / 127.5 - 1
    chances = np.array([0.4, 0.1, 0.3, 0.2])
    grid = np.linspace(-6.5, 6.5, 1001)
    h = grid[1] - grid[0]

    def denoise(x, t):
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        logits = -0.5 * ((x - alpha * values) / sigma) ** 2
        odds = chances * np.exp(logits - logits.max(axis=1, keepdims=True))
        x_0 = (odds / odds.sum(axis=1, keepdims=True)) @ values
        return x_0[:, None], (x - alpha * x_0[:, None]) / sigma

    density = np.exp(-0.5 * grid**2) / np.sqrt(2 * np.pi)
    for t in np.arange(T, 1.0, -1.0):
        s = t - 1
        alpha, noise = np.sqrt(1 - schedule.betas[int(t)]), schedule.betas[int(t)]
        var_s, var_t = schedule.sigma(s) ** 2, schedule.sigma(t) ** 2
        x_0, _ = denoise(grid[:, None], t)
        mean = alpha * var_s / var_t * grid + schedule.alpha(s) * noise / var_t * x_0[:, 0]
        kernel = np.exp(-0.5 * (grid[:, None] - mean) ** 2 / noise)  # the large variance, beta
        density = kernel @ density * h / np.sqrt(2 * np.pi * noise)
    np.testing.assert_allclose(density.sum() * h, 1.0, rtol=1e-9)
    x_0, _ = denoise(grid[:, None], 1.0)
    deviation = schedule.sigma(1.0)
    exact = []
    for value in np.arange(256) / 127.5 - 1:
        up = 1.0 if value == 1 else ndtr((value + 1 / 255 - x_0[:, 0]) / deviation)
        low = 0.0 if value == -1 else ndtr((value - 1 / 255 - x_0[:, 0]) / deviation)
        exact.append(float(((up - low) * density).sum() * h))
    np.testing.assert_allclose(sum(exact), 1.0, rtol=1e-9)

    # The bound by Gauss-Hermite quadrature over the noise of each term.
    nodes, weights = np.polynomial.hermite_e.hermegauss(80)
    for value in values:
        x_0 = np.full((80, 1), value)
        terms = bound(
            denoise, schedule, x_0, np.arange(T, -1.0, -1.0), lambda _: nodes[:, None],
            variance="large",
        )  # fmt: skip
        total = sum(weights @ term.nats for term in terms) / np.sqrt(2 * np.pi)
        likely = -np.log(exact[round((value + 1) * 127.5)])
        assert likely < total < likely + 1.0


def test_terms_are_the_prior_the_steps_and_the_decoder() -> None:
    schedule = linear_betas(20)
    x_0 = np.random.default_rng(0).integers(0, 256, (3, 4)) / 127.5 - 1
    noise = keyed_noise(Key(0, range(3)), x_0)
    timesteps = np.array([20.0, 11.0, 4.0, 1.0, 0.0])
    terms = list(bound(DATA_4.denoiser(schedule), schedule, x_0, timesteps, noise))
    assert [term.kind for term in terms] == ["prior", "step", "step", "step", "decoder"]
    assert [(term.t, term.s) for term in terms[1:]] == list(pairwise(timesteps))
    for term in terms:
        assert term.nats.shape == (3,)
        assert (term.nats >= 0.0).all()
    single = list(
        bound(DATA_4.denoiser(schedule), schedule, x_0.astype(np.float32), timesteps, noise)
    )
    for term, double in zip(single, terms, strict=True):
        assert term.nats.dtype == np.float32
        np.testing.assert_allclose(term.nats, double.nats, rtol=1e-3)


DATA_4 = Gaussian(np.full(4, 0.1), 0.2)


def test_the_categorical_decoder_ignores_the_network() -> None:
    schedule = SCHEDULES["cosine"]()
    x_0 = np.array([[-1.0, 0.00392156862745, 1.0, 1.0]])
    noise = np.array([[0.3, -0.2, 0.1, -0.5]])

    def constant(x, t):
        return np.full_like(x, 7.0), x

    *_, last = bound(
        constant, schedule, x_0, np.array([1000.0, 1.0, 0.0]), lambda _: noise,
        decoder="categorical",
    )  # fmt: skip
    z = x_0 + noise * schedule.sigma(1) / schedule.alpha(1)
    every = np.arange(256) / 127.5 - 1
    logits = -0.5 * ((z[0][:, None] - every) * schedule.alpha(1) / schedule.sigma(1)) ** 2
    own = -0.5 * noise[0] ** 2
    expected = (np.log(np.exp(logits).sum(axis=1)) - own).sum()
    np.testing.assert_allclose(last.nats, [expected], rtol=1e-9)


def test_invalid_timesteps_and_names_are_refused() -> None:
    schedule = linear_betas(20)
    x_0 = np.zeros((2, 4))

    def terms(timesteps, **options):
        return bound(DATA_4.denoiser(schedule), schedule, x_0, np.array(timesteps), None, **options)

    for timesteps in ([20.0, 1.0], [19.0, 0.0]):
        with pytest.raises(InputError, match="from t_max = 20 to 0"):
            terms(timesteps)
    for timesteps in ([20.0], [20.0, 5.0, 5.0, 0.0], [[20.0, 0.0]]):
        with pytest.raises(InputError, match="descending"):
            terms(timesteps)
    with pytest.raises(InputError, match="known: small, large"):
        terms([20.0, 0.0], variance="medium")
    with pytest.raises(InputError, match="choose one of gaussian"):
        terms([20.0, 0.0], decoder="jpeg")
    with pytest.raises(InputError, match="needs noise"):
        list(terms([20.0, 0.0]))


def test_the_decoder_is_accurate_far_in_the_tail() -> None:
    """A byte 2000 standard deviations from the mean has the right negative log-probability."""
    from npdiff.objective.bound import decoder_loss

    x_0, log_v = np.array([[0.9921568627450981]]), np.array([[2 * np.log(1e-3)]])
    nats = decoder_loss(x_0, np.array([[-1.0]]), log_v)
    edge = (x_0[0, 0] - 1 / 255 + 1.0) / 1e-3
    np.testing.assert_allclose(nats, -log_ndtr(-edge), rtol=1e-9)
