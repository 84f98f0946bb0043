"""Checks of the variational bound: its terms, their weights, their sum."""

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.exact import Gaussian
from npdiff.laboratory.checks._schedules import a_schedule, timesteps
from npdiff.laboratory.checks.objective._joint_normal import joint_cross_entropy
from npdiff.laboratory.checks.objective._quadrature import bayes, bin_mass, divergence, end_mass
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import bound
from npdiff.objective.bound import (
    bits_per_dim,
    ddpm_weight,
    decoder_loss,
    discrete_weight,
    last_step_variance,
    prior_kl,
    prior_variance,
    step_kl,
)
from npdiff.schedules import (
    EDM,
    SCHEDULES,
    DiscreteSchedule,
    LinearVP,
    Times,
    linear_betas,
)


@check(
    "bound-prior",
    method="Gauss-Hermite quadrature of log q - log p",
    tolerance=1e-12,
    cases=len(SCHEDULES),
)
def prior_by_quadrature(case: Case) -> float:
    """L_T against the integral, for the noise at which sampling starts."""
    schedule = a_schedule(case)
    if schedule.alpha(schedule.t_max) < 0.05 and schedule.steps is not None:
        schedule = DiscreteSchedule(case.rng.uniform(0.05, 0.3, 9))  # some signal is left
    x_0 = case.rng.uniform(-1.0, 1.0, (2, 3))
    T = schedule.t_max
    preserving = abs(schedule.alpha(0.3 * T) ** 2 + schedule.sigma(0.3 * T) ** 2 - 1.0) < 1e-9
    start = 1.0 if preserving else schedule.sigma(T) ** 2
    q = schedule.alpha(T) * x_0, schedule.sigma(T) ** 2
    expected = divergence(q, (0.0 * x_0, start)).sum(axis=1)
    absolute = float(np.abs(prior_kl(schedule, x_0) - expected).max())
    return max(relative(prior_variance(schedule), start), absolute)


@check(
    "bound-step",
    "discrete-weight",
    "ddpm-weight",
    method="Gauss-Hermite quadrature of log q(x_s | x_t, x_0) - log p(x_s | x_t)",
    tolerance=1e-11,
    cases=2 * len(SCHEDULES),
)
def step_by_quadrature(case: Case) -> dict[str, float]:
    """L_s against the integral, with the true variance and two others; and as weights."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    x_0, x0_hat, eps = case.rng.standard_normal((3, 2, 3))
    x_t = schedule.alpha(t) * x_0 + schedule.sigma(t) * eps
    eps_hat = (x_t - schedule.alpha(t) * x0_hat) / schedule.sigma(t)
    q, (mean, _) = bayes(schedule, x_0, x_t, s, t), bayes(schedule, x0_hat, x_t, s, t)

    def expected(variance: np.ndarray | float) -> np.ndarray:
        return divergence(q, (mean, variance)).sum(axis=1)

    error = ((eps - eps_hat) ** 2).sum(axis=1)
    each = q[1] * np.exp(case.rng.normal(size=(2, 3)))
    one = q[1] * np.array([0.7, 1.9])
    rest = 0.5 * 3 * (q[1] / one - 1.0 - np.log(q[1] / one))
    return {
        "bound-step": max(
            relative(step_kl(schedule, x_0, x0_hat, s, t), expected(q[1])),
            relative(step_kl(schedule, x_0, x0_hat, s, t, np.log(each)), expected(each)),
            relative(step_kl(schedule, x_0, x0_hat, s, t, np.log(one)), expected(one[:, None])),
        ),
        "discrete-weight": relative(discrete_weight(schedule, s, t) * error, expected(q[1])),
        "ddpm-weight": relative(
            ddpm_weight(schedule, s, t, one) * error + rest, expected(one[:, None])
        ),
    }


@check("ddpm-weight", method="DDPM's symbols", tolerance=1e-12, cases=2)
def weight_in_the_papers_symbols(case: Case) -> float:
    """The weight of the error of eps in a discrete schedule, for both of the paper's variances."""
    betas = np.linspace(1e-4, 0.02, 1000)
    bars = np.cumprod(1.0 - betas)
    t = np.array([2, 40, 999])
    beta, bar, before = betas[t - 1], bars[t - 1], bars[t - 2]
    variance = case.choose([beta, beta * (1.0 - before) / (1.0 - bar)])
    expected = beta**2 / (2.0 * variance * (1.0 - beta) * (1.0 - bar))
    found = ddpm_weight(linear_betas(), t - 1.0, t.astype(float), variance)
    last = last_step_variance(linear_betas(), np.array([1.0, 500.0, 700.0, 1000.0]))
    tilde = betas[1] * (1.0 - bars[0]) / (1.0 - bars[1])
    far = [(1 - bars[m - 1] / bars[n - 1]) * (1 - bars[n - 1]) / (1 - bars[m - 1])
           for n, m in ((500, 1000), (700, 1000))]  # fmt: skip
    ends = np.array([tilde, *far, 1.0 - bars[-1]])
    return max(relative(found / expected, np.ones(3)), relative(last / ends, np.ones(4)))


@check(
    "discrete-weight",
    method="the limit of small steps, extrapolated",
    tolerance=1e-6,
    cases=len(SCHEDULES),
)
def steps_become_an_integral(case: Case) -> float:
    """The sum over more and more steps, even in log-SNR, against half the range of log-SNR."""
    schedule = a_schedule(case)
    s, t = timesteps(case, schedule, 2)
    t = s + 0.2 * (t - s)
    ends = schedule.log_snr(s), schedule.log_snr(t)

    def total(steps: int) -> float:
        timesteps = schedule.time_at(np.linspace(*ends, steps + 1))
        return float(discrete_weight(schedule, timesteps[:-1], timesteps[1:]).sum())

    coarse, fine = total(400), total(800)
    finest = total(1600)
    first = np.array([2.0 * fine - coarse, 2.0 * finest - fine])
    return relative((4.0 * first[1] - first[0]) / 3.0, 0.5 * (ends[0] - ends[1]))


@check("bits-per-dim", method="the entropy of uniform bytes", tolerance=1e-14)
def uniform_bytes(case: Case) -> float:
    """A uniform byte costs 8 bits."""
    D = case.choose([1, 3, 10, 784])
    return relative(bits_per_dim(np.array([D * np.log(256.0)]), D), np.array([8.0]))


@check("bound-decoder", method="the sum over elements of log-probabilities", tolerance=1e-12)
def decoder_loss_by_loop(case: Case) -> float:
    """L_0 against a loop over bins."""
    x_0 = case.rng.integers(1, 255, (2, 2, 2)) / 127.5 - 1.0
    x0_hat = x_0 + 0.02 * case.rng.standard_normal(x_0.shape)
    log_v = 2.0 * np.log(case.rng.uniform(0.003, 0.05, x_0.shape))
    expected = np.zeros(2)
    for i in np.ndindex(2, 2, 2):
        mean, deviation, x = float(x0_hat[i]), float(np.exp(0.5 * log_v[i])), float(x_0[i])
        expected[i[0]] -= bin_mass(mean, deviation, x, 1 / 255)
    return relative(decoder_loss(x_0, x0_hat, log_v), expected)


@check(
    "bound",
    method="cross-entropy of two joint normal distributions, by linear algebra",
    tolerance=1e-9,
    cases=9,
)
def bound_by_linear_algebra(case: Case) -> float:
    """The sum of all terms, averaged by quadrature, against the joint cross-entropy."""
    schedule = case.choose(
        [DiscreteSchedule(np.array([0.05, 0.1, 0.2, 0.4, 0.6])), EDM(sigma_max=5.0), LinearVP()]
    )
    timesteps = np.linspace(schedule.t_max, 0.0, 6)
    mean, variance = case.rng.uniform(0.3, 1.0), case.rng.uniform(0.2, 2.0)
    s, t = timesteps[:0:-1], timesteps[-2::-1]
    name = ("small", "large", "other")[case.index // 3]
    ratio = schedule.alpha(t) / schedule.alpha(s)
    forward = schedule.sigma(t) ** 2 - ratio**2 * schedule.sigma(s) ** 2
    small = forward * schedule.sigma(s) ** 2 / schedule.sigma(t) ** 2
    small[0] = float(last_step_variance(schedule, t[0]))
    step_variance = {"small": small, "large": forward, "other": 0.4 + 0.1 * t}[name]
    data = Gaussian([mean], variance)
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(6)
    pairs = np.array(list(itertools.product(nodes, nodes)))
    weights = np.array([a * b for a, b in itertools.product(node_weights, node_weights)]) / (
        2.0 * np.pi
    )
    x_0 = case.array(mean + np.sqrt(variance) * pairs[:, :1])
    noise = case.array(pairs[:, 1:])
    chosen: str | Callable[..., float] = name
    if name == "other":
        chosen = lambda x, s, t: 0.4 + 0.1 * t  # noqa: E731
    terms = bound(
        data.denoiser(schedule), schedule, x_0, timesteps, lambda i: noise,
        variance=chosen, decoder="density",
    )  # fmt: skip
    total = sum(case.array(weights) @ term.nats for term in terms)
    return relative(total, joint_cross_entropy(schedule, timesteps, mean, variance, step_variance))


def byte_mass(mean: float, deviation: float, x: float) -> float:
    """log of a Gaussian's mass on the bin of a byte."""
    if abs(x) == 1.0:
        return end_mass(mean, deviation, x)
    return bin_mass(mean, deviation, x, 1 / 255)


@check("bound", "bound-decoder", method="loops over bins and softmaxes", tolerance=1e-9, cases=5)
def terms_of_bytes(case: Case) -> float:
    """The last term for bytes, with both decoders, and the times and variances of all terms."""
    from scipy.special import log_softmax

    schedule = DiscreteSchedule(np.array([1e-4, 3e-3, 0.2, 0.9]))
    byte = case.rng.integers(1, 255, (2, 3))
    byte[:, 0] = 0, 255
    x_0, noise = byte / 127.5 - 1.0, case.rng.standard_normal((2, 3))
    alpha, sigma = float(schedule.alpha(1.0)), float(schedule.sigma(1.0))

    def denoise(x: np.ndarray, t: Times) -> tuple[np.ndarray, np.ndarray]:
        return 0.99 * x_0 + 1e-3 * np.sin(x), x

    def variance_of_step(x: np.ndarray, s: float, t: float) -> np.ndarray:
        return 1e-4 * (1.0 + t + s + np.cos(x))

    variance: Any
    variance, decoder = case.choose(
        [
            ("small", "gaussian"),
            ("large", "gaussian"),
            (variance_of_step, "gaussian"),
            ("small", "categorical"),
            ("large", "density"),
        ]
    )
    timesteps = np.array([4.0, 2.0, 1.0, 0.0])
    terms = list(
        bound(
            denoise, schedule, x_0, timesteps, lambda i: noise, variance=variance, decoder=decoder
        )
    )
    x_1 = alpha * x_0 + sigma * noise
    if decoder == "categorical":
        logits = -0.5 * ((x_1[..., None] - alpha * (np.arange(256) / 127.5 - 1)) / sigma) ** 2
        chosen = np.take_along_axis(log_softmax(logits, axis=-1), byte[..., None], -1)[..., 0]
    else:
        small = float(3e-3 * 1e-4 / (1.0 - (1.0 - 1e-4) * (1.0 - 3e-3)))
        of_step = {"small": small, "large": 1e-4}.get(
            str(variance), variance_of_step(x_1, 0.0, 1.0)
        )
        deviation = np.sqrt(of_step + 0.0 * x_0)
        estimate, _ = denoise(x_1, 1.0)
        if decoder == "density":
            off = (x_0 - estimate) / deviation
            chosen = -0.5 * off**2 - np.log(deviation) - 0.5 * np.log(2.0 * np.pi)
        else:
            cells = zip(estimate.ravel(), deviation.ravel(), x_0.ravel(), strict=True)
            chosen = np.array([byte_mass(*map(float, cell)) for cell in cells]).reshape(2, 3)
    moves = np.array([(term.t, term.s) for term in terms])
    steps = np.array([(4.0, 4.0), (4.0, 2.0), (2.0, 1.0), (1.0, 0.0)])
    return max(relative(terms[-1].nats, -chosen.sum(axis=1)), relative(moves, steps))
