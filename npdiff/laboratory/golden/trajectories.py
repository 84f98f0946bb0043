"""Golden values of samplers: trajectories with an exact denoiser; a public reference."""

import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from npdiff.laboratory.golden.problem import Problem
from npdiff.laboratory.orders import CLAIMS
from npdiff.samplers import SAMPLERS, Steps, options_of
from npdiff.schedules import LinearVP, linear_betas
from npdiff.spacings import leading
from npdiff.verify.convergence import DATA, STARTS

#: Unequal steps, down to the data.
TIMESTEPS = (1.0, 0.8, 0.62, 0.46, 0.32, 0.2, 0.1, 0.05, 0.0)

#: Stochastic samplers, with their options.
STOCHASTIC: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ddpm", {"variance": "small"}),
    ("ddpm", {"variance": "large"}),
    ("ddim", {"eta": 0.5}),
    ("ddim", {"eta": 1.0}),
    ("dpmpp-sde", {"order": 2, "eta": 1.0}),
    ("euler-ancestral", {"eta": 1.0}),
    ("dpm2-ancestral", {"eta": 1.0}),
    ("euler-maruyama", {}),
    ("predictor-corrector", {}),
    ("edm", {"s_churn": 1.0, "s_max": 10.0}),
)

_STATEMENT = (
    "One-dimensional data from the mixture 0.4 N(-1, 0.04) + 0.6 N(0.6, 0.04), whose second "
    "parameters are variances, under schedule/vp. The denoiser is exact: x0_hat = E[x_0 | x_t] = "
    "sum_k r_k (m_k + alpha v (x - alpha m_k) / (alpha^2 v + sigma^2)), where v = 0.04 and r_k is "
    "proportional to weight_k N(x; alpha m_k, alpha^2 v + sigma^2); eps_hat = (x - alpha x0_hat) "
    "/ sigma. From six states at t = 1 the sampler visits the timesteps; the result is its state "
    "after each step, one row per step."
)


def _noise(i: int) -> np.ndarray:
    """Fixed values instead of normal draws."""
    return math.sqrt(2.0) * np.sin(1.0 + 6.0 * i + np.arange(6.0))[:, None]


def samplers() -> Iterator[Problem]:
    """Every solver with a claimed order, every stochastic sampler, and the exact solution."""
    schedule, timesteps = LinearVP(), np.array(TIMESTEPS)
    x = float(schedule.sigma(1.0)) * np.array(STARTS)[:, None]
    given = {"timesteps": list(TIMESTEPS), "x": x[:, 0]}
    yield Problem(
        "sampler/truth",
        _STATEMENT.split(" From six")[0]
        + " The exact solution of the probability-flow ODE from six states at t = 1, at each of "
        "the other timesteps, one row per timestep.",
        given,
        {"x": np.stack([DATA.flow(schedule, x, 1.0, s)[:, 0] for s in TIMESTEPS[1:]])},
    )
    listed = [(c.sampler, dict(c.options)) for c in CLAIMS]
    for name, options in [*listed, *STOCHASTIC]:
        noisy = (name, options) in STOCHASTIC
        steps: Steps = SAMPLERS[name](
            DATA.denoiser(schedule),
            schedule,
            x,
            timesteps,
            noise=_noise if noisy else None,
            **options,
        )
        label = " ".join((name, *(f"{k}={v}" for k, v in options.items())))
        noise_statement = (
            " Draw i is not normal but z_i[j] = sqrt(2) sin(1 + 6 i + j) for state j = 0, ..., 5; "
            "unless the definition numbers the draws, i counts the steps from 0."
        )
        yield Problem(
            f"sampler/{label}",
            _STATEMENT + (noise_statement if noisy else ""),
            {**given, "options": {**options_of(name), **options}},
            {"x": np.stack([step.x[:, 0] for step in steps])},
            (SAMPLERS[name], sys.modules[SAMPLERS[name].__module__]),
        )


def reference() -> Iterator[Problem]:
    """The problem of other libraries' tests, in double precision."""
    x = np.transpose(np.arange(768).reshape(3, 8, 8, 4) / 768, (3, 0, 1, 2))
    schedule = linear_betas()

    def denoise(x: np.ndarray, t: float) -> tuple[np.ndarray, np.ndarray]:
        eps = x * (float(t) - 1.0) / float(t)
        alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
        return np.clip((x - sigma * eps) / alpha, -1.0, 1.0), eps

    bits = np.random.RandomState(0)  # its stream is part of the problem

    def noise(i: int) -> np.ndarray:
        words = np.frombuffer(bits.bytes(4 * x.size), "<u4") & 0xFFFFFF
        u = (words * 2.0**-24).reshape(-1, 2, 8)
        radius, angle = np.sqrt(-2.0 * np.log(1.0 - u[:, 0])), 2.0 * np.pi * u[:, 1]
        z = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)
        return z.reshape(x.shape)

    runs = {
        "ddim": SAMPLERS["ddim"](denoise, schedule, x, leading(schedule, 10)),
        "ddpm": SAMPLERS["ddpm"](denoise, schedule, x, np.arange(1000.0, -1.0, -1.0), noise=noise),
    }
    values = {}
    for name, run in runs.items():
        *_, last = run
        values[f"{name} sum |x|"] = np.abs(last.x).sum()
        values[f"{name} mean |x|"] = np.abs(last.x).mean()
    yield Problem(
        "reference",
        "On schedule/linear, the state is arange(768) / 768 of shape (3, 8, 8, 4), its axes then "
        "permuted to (3, 0, 1, 2): shape (4, 3, 8, 8). The network predicts eps_hat = x i / (i + "
        "1) at index i = t - 1; x0_hat follows from it, clipped to [-1, 1], and eps_hat is not "
        "changed. ddim: 10 steps with eta = 0, at t = 901, 801, ..., 1, then 0. ddpm: all "
        "1000 steps with the posterior variance, no noise in the last. Its noise comes from a "
        "Mersenne twister: init_genrand(0), 32-bit words w in the order of generation (768 for "
        "each step), u = (w mod 2^24) / 2^24; in blocks of 16 in row-major order r = "
        "sqrt(-2 ln(1 - u[0:8])), a = 2 pi u[8:16], and the noise is r cos a, then r sin a. Sum "
        "and mean of the absolute values of the final state.",
        {"shape": [4, 3, 8, 8]},
        values,
        (SAMPLERS["ddim"], SAMPLERS["ddpm"]),
    )
