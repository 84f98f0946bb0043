"""Checks of SDE-DPM-Solver++: moments of the reverse process, distribution of normal samples."""

import math
from itertools import pairwise

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.exact import Gaussian
from npdiff.laboratory.checks.samplers._exponential import SCHEDULES, problem, weights
from npdiff.laboratory.quadrature import denoiser_in_time
from npdiff.laboratory.registry import Case, check, relative
from npdiff.samplers import ddpm, dpmpp_multistep, dpmpp_sde
from npdiff.schedules import LinearVP, Schedule


@check(
    "reverse-sde-eta", "exponential-sde", "dpmpp-sde-1",
    method="an ODE solver on the mean and the variance", tolerance=1e-9, cases=len(SCHEDULES),
)  # fmt: skip
def moments_by_the_ode(case: Case) -> float:
    """One step with a constant x0_hat, against the moments of the reverse SDE."""
    from scipy.integrate import solve_ivp

    p, timesteps, x = problem(case, 1)
    t, s = timesteps.tolist()
    eta, schedule = float(case.rng.uniform(0.2, 2.0)), p.schedule
    estimate = case.rng.standard_normal(5)

    def slope(u: float, y: np.ndarray) -> np.ndarray:
        mean, variance = y[:5], y[5:]
        f, g2, sigma2 = schedule.drift(u), schedule.diffusion(u), schedule.sigma(u) ** 2
        score = -(mean - schedule.alpha(u) * estimate) / sigma2
        drift = f * mean - 0.5 * (1.0 + eta) * g2 * score
        return np.concatenate(
            [drift, 2.0 * (f + 0.5 * (1.0 + eta) * g2 / sigma2) * variance - eta * g2]
        )

    start = np.concatenate([to_host(x), np.zeros(5)])
    truth = solve_ivp(slope, (t, s), start, method="DOP853", rtol=1e-12, atol=1e-13).y[:, -1]
    denoise = denoiser_in_time(schedule, "x0", lambda u: estimate)

    def final_state(z: float) -> np.ndarray:
        steps = dpmpp_sde(
            denoise, schedule, x, timesteps, order=1, eta=eta, noise=lambda i: z + 0.0 * x
        )
        return to_host(next(iter(steps)).x)

    mean = final_state(0.0)
    return max(relative(mean, truth[:5]), relative((final_state(1.0) - mean) ** 2, truth[5:]))


@check("exponential-sde", method="weights by quadrature", tolerance=1e-10, cases=len(SCHEDULES))
def sde_weights_by_quadrature(case: Case) -> float:
    """With random estimates: the decay, Lagrange's weights under the kernel, and the noise."""
    p, timesteps, x = problem(case, 5)
    eta, order = float(case.rng.uniform(0.1, 2.0)), case.choose((3, 2, 1))
    m, z = case.rng.standard_normal((2, 5, 5))
    times, lam = timesteps.tolist(), [p.lam(t) for t in timesteps]
    y, expected = to_host(x), []
    for i, (t, s) in enumerate(pairwise(times)):
        h, used = lam[i + 1] - lam[i], list(range(max(0, i + 1 - order), i + 1))

        def kernel(u: np.ndarray, s: float = s, end: float = lam[i + 1]) -> np.ndarray:
            return (1.0 + eta) * p.a(s) * np.exp((1.0 + eta) * (u - end))

        w = weights(kernel, [lam[k] for k in used], lam[i], lam[i + 1])
        y = p.sigma(s) / p.sigma(t) * math.exp(-eta * h) * y + w @ m[used]
        y = y + p.sigma(s) * math.sqrt(1.0 - math.exp(-2.0 * eta * h)) * z[i]
        expected.append(y)
    denoise = denoiser_in_time(
        p.schedule, "x0", lambda u: m[np.argmin(np.abs(timesteps - float(u)))]
    )
    steps = dpmpp_sde(
        denoise, p.schedule, x, timesteps, order=order, eta=eta, midpoint=False,
        noise=lambda i: case.array(z[i]),
    )  # fmt: skip
    return relative(np.array([to_host(step.x) for step in steps]), np.array(expected))


@check(
    "dpmpp-2m-sde",
    "dpmpp-sde-1",
    method="the paper line by line",
    tolerance=1e-11,
    cases=len(SCHEDULES),
)
def sde_line_by_line(case: Case) -> dict[str, float]:
    """2M SDE with r and D; order 1 is ancestral sampling; eta = 0 is the ODE solver."""
    p, timesteps, x = problem(case, 5)
    eta = float(case.rng.uniform(0.1, 2.0))
    z = [case.normal((5,)) for _ in range(5)]
    y: Array = x
    past: list[Array] = []
    times = timesteps.tolist()
    for i, (t, s) in enumerate(pairwise(times)):
        h = p.lam(s) - p.lam(t)
        past.append(p.data(y, t))
        D = past[-1]
        if i > 0:
            r = (p.lam(t) - p.lam(times[i - 1])) / h
            D = (1 + 1 / (2 * r)) * past[-1] - 1 / (2 * r) * past[-2]
        y = p.sigma(s) / p.sigma(t) * math.exp(-eta * h) * y
        y = y + p.a(s) * (1.0 - math.exp(-(1.0 + eta) * h)) * D
        y = y + p.sigma(s) * math.sqrt(1.0 - math.exp(-2.0 * eta * h)) * z[i]
    *_, two = dpmpp_sde(p.denoise, p.schedule, x, timesteps, eta=eta, noise=z.__getitem__)
    *_, one = dpmpp_sde(p.denoise, p.schedule, x, timesteps, order=1, noise=z.__getitem__)
    *_, ancestral = ddpm(p.denoise, p.schedule, x, timesteps, noise=z.__getitem__)
    *_, still = dpmpp_sde(p.denoise, p.schedule, x, timesteps, order=3, eta=0.0)
    *_, ode = dpmpp_multistep(p.denoise, p.schedule, x, timesteps, order=3)
    return {
        "dpmpp-2m-sde": max(
            relative(two.x, to_host(y)), relative(still.x, to_host(ode.x))
        ),
        "dpmpp-sde-1": relative(one.x, to_host(ancestral.x)),
    }  # fmt: skip


def responses(schedule: Schedule, data: Gaussian, timesteps: np.ndarray, x: float, order: int,
              eta: float) -> tuple[float, float]:  # fmt: skip
    """The mean and variance at the end for a start at x and one-dimensional normal data.

    Every step is linear in the noise: the variance is the sum of squared responses to unit draws.
    """
    N = len(timesteps) - 1

    def impulse(i: int) -> np.ndarray:
        return (np.arange(N + 1) == i).astype(float)[:, None]

    steps = dpmpp_sde(
        data.denoiser(schedule), schedule, np.full((N + 1, 1), x), timesteps,
        order=order, eta=eta, noise=impulse,
    )  # fmt: skip
    *_, last = steps
    mean = float(last.x[N, 0])
    return mean, float(((last.x[:N, 0] - mean) ** 2).sum())


@check(
    "dpmpp-2m-sde",
    method="a recursion of means and covariances",
    tolerance=1e-10,
    cases=len(SCHEDULES),
)
def gaussian_samples_by_recursion(case: Case) -> float:
    """2M SDE on normal data: the distribution of (x, last estimate), propagated step by step."""
    schedule = case.choose(SCHEDULES)
    m, v = float(case.rng.normal()), float(case.rng.uniform(0.05, 1.0))
    eta, x = float(case.rng.uniform(0.2, 1.5)), float(case.rng.normal())
    lam = np.sort(case.rng.uniform(-2.0, 2.5, size=7)) + 0.1 * np.arange(7)
    timesteps = schedule.time_at(2.0 * lam)
    a, sigma = schedule.alpha(timesteps), schedule.sigma(timesteps)
    gain = a * v / (a**2 * v + sigma**2)
    mean, cov = np.array([x, 0.0]), np.zeros((2, 2))
    for i in range(6):
        h = lam[i + 1] - lam[i]
        half = 0.5 * h / (lam[i] - lam[i - 1]) if i else 0.0
        weight = a[i + 1] * (1.0 - math.exp(-(1.0 + eta) * h))
        decay = sigma[i + 1] / sigma[i] * math.exp(-eta * h)
        # the estimate is m + gain (x - a m)
        A = np.array([
            [decay + weight * (1.0 + half) * gain[i], -weight * half],
            [gain[i], 0.0],
        ])  # fmt: skip
        constant = m * (1.0 - gain[i] * a[i])
        mean = A @ mean + np.array([weight * (1.0 + half), 1.0]) * constant
        cov = A @ cov @ A.T
        cov[0, 0] += sigma[i + 1] ** 2 * (1.0 - math.exp(-2.0 * eta * h))
    found = responses(schedule, Gaussian(np.array([m]), v), timesteps, x, 2, eta)
    return max(relative(found[0], mean[0]), relative(found[1], cov[0, 0]))


@check(
    "dpmpp-sde-1", "dpmpp-2m-sde",
    method="the exact reverse transition of normal data, steps doubled", tolerance=0.15, cases=2,
)  # fmt: skip
def order_of_mean_and_variance(case: Case) -> dict[str, float]:
    """For a start at a point: the mean is exact, the variance of order 1, and of order 2 with 2M.

    Under the reverse SDE the estimate of the data is a martingale, which is why the mean is exact.
    """
    schedule, data = LinearVP(), Gaussian(np.array([0.7]), 0.25)
    start, end, x = 0.9, 0.1, float(case.rng.uniform(-1.0, 1.0))
    # q(x_s | x_t) of normal data: the joint distribution of x_s and x_t
    a_t, a_s = (float(schedule.alpha(u)) for u in (start, end))
    v_t, v_s = (float(schedule.alpha(u) ** 2 * 0.25 + schedule.sigma(u) ** 2) for u in (start, end))
    covariance = a_t / a_s * v_s
    mean = a_s * 0.7 + covariance / v_t * (x - a_t * 0.7)
    variance = v_s - covariance**2 / v_t
    residuals = {}
    for label, order in (("dpmpp-sde-1", 1), ("dpmpp-2m-sde", 2)):
        errors = []
        for N in (96, 192):
            ends = schedule.log_snr(start), schedule.log_snr(end)
            inner = schedule.time_at(np.linspace(*ends, N + 1)[1:-1])
            timesteps = np.concatenate([[start], inner, [end]])
            found = responses(schedule, data, timesteps, x, order, 1.0)
            errors.append(abs(found[1] - variance) if abs(found[0] - mean) < 1e-13 else math.inf)
        residuals[label] = abs(math.log2(errors[0] / errors[1]) - order)
    return residuals
