"""Checks at edges: far bins on either side, weights that do not add up to 1, last steps, counts."""

from typing import Any

import numpy as np

from npdiff import samplers
from npdiff.backend import Array, to_host
from npdiff.denoiser import with_callback
from npdiff.editing import sdedit
from npdiff.exact import Gaussian, Mixture
from npdiff.laboratory.checks.decoders import bin_mass
from npdiff.laboratory.registry import Case, check, relative
from npdiff.objective.decoder import discretized_gaussian
from npdiff.schedules import Learned, LinearVP, Times


@check("discretized-gaussian", route="quadrature; the mirror image", tolerance=1e-11, cases=6)
def bins_far_off_on_either_side(case: Case) -> float:
    """Narrow bins many deviations from the mean, above it and as far below."""
    half, width = 1.0 / 255.0, case.choose([0.015, 0.004, 0.019, 0.03, 0.001, 0.2])
    deviation, far = half / width, np.array([3.0, 11.0, 40.0, 90.0])
    x, log_v = np.full(4, 27 / 127.5), np.full(4, 2.0 * np.log(deviation))
    found = [
        to_host(
            discretized_gaussian(
                case.array(x + side * far * deviation), case.array(log_v), x=case.array(x)
            )[0]
        )
        for side in (1.0, -1.0)
    ]
    expected = np.array([bin_mass(float(x[0] + m * deviation), deviation, x[0], half) for m in far])
    return max(relative(a / expected, np.ones(4)) for a in found)


@check("mixture-denoiser", "responsibilities", route="weights of another sum", tolerance=1e-13)
def weights_are_shares(case: Case) -> float:
    """Weights 2 and 6 are a quarter and three quarters: the density and the denoiser."""
    parts = [Gaussian([-0.8, 0.1], 0.2), Gaussian([0.6, 0.4], 0.5)]
    schedule, x, t = LinearVP(), case.normal((5, 2)), float(case.rng.uniform(0.1, 0.9))
    given, shares = Mixture([2.0, 6.0], parts), Mixture([0.25, 0.75], parts)
    alpha, sigma = float(schedule.alpha(t)), float(schedule.sigma(t))
    density = np.zeros(5)
    for weight, mean, variance in ((0.25, [-0.8, 0.1], 0.2), (0.75, [0.6, 0.4], 0.5)):
        spread = alpha**2 * variance + sigma**2
        squares = ((to_host(x) - alpha * np.array(mean)) ** 2).sum(axis=1)
        density += weight * np.exp(-0.5 * squares / spread) / (2.0 * np.pi * spread)
    return max(
        relative(given.log_density(schedule, x, t), np.log(density)),
        relative(given.denoised(schedule, x, t), shares.denoised(schedule, x, t)),
    )


#: Samplers that draw once a step, and their options.
ONCE: tuple[tuple[str, dict[str, Any]], ...] = (
    ("ddpm", {}), ("ddim", {"eta": 0.8}), ("dpmpp-sde", {}), ("euler-ancestral", {}),
)  # fmt: skip


@check(
    "ancestral-step", "ddim-step", "dpmpp-2m-sde", "euler-ancestral-step", "langevin-step",
    route="draws counted", tolerance=0.0, cases=2,
)  # fmt: skip
def nothing_is_drawn_at_the_end(case: Case) -> dict[str, float]:
    """A draw for each step but the last, which leads to the data; with a corrector one more."""
    schedule, steps, drawn = LinearVP(), 4 + case.index, []
    timesteps, x = np.append(np.linspace(1.0, 0.1, steps), 0.0), case.normal((2, 1))

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    def draws(name: str, **options: Any) -> list[int]:
        drawn.clear()
        denoise = Gaussian([0.3], 0.4).denoiser(schedule)
        list(samplers.sample(name, denoise, schedule, x, timesteps, noise, **options))
        return sorted(drawn)

    labels = ("ancestral-step", "ddim-step", "dpmpp-2m-sde", "euler-ancestral-step")
    found = {
        label: float(draws(name, **options) != list(range(steps - 1)))
        for label, (name, options) in zip(labels, ONCE, strict=True)
    }
    twice = draws("predictor-corrector", corrections=1)
    return found | {"langevin-step": float(twice != list(range(2 * (steps - 1))))}


@check("edit-start", route="a model is asked and counts", tolerance=0.0, cases=3)
def half_of_the_steps(case: Case) -> float:
    """An edit that is told no strength takes half of the steps; who counts changes nothing."""
    schedule, steps, asked = LinearVP(), case.choose([40, 100, 20]), []
    timesteps, x = np.linspace(1.0, 0.0, steps + 1), case.normal((2, 2))

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return 0.5 * x + float(t), x - float(t)

    counted = with_callback(denoise, lambda: asked.append(1))
    for _ in sdedit(counted, schedule, x, timesteps, noise=lambda i: x):
        pass
    off = abs(len(asked) - steps // 2)
    pairs = zip(counted(x, 0.4), denoise(x, 0.4), strict=True)
    return max(off, *(relative(a, b) for a, b in pairs))


@check("learned-log-snr", route="a difference from the right", tolerance=1e-4, cases=1)
def slope_where_a_curve_begins(case: Case) -> float:
    """At t_min the slope is already the curve's, not that of the way there."""
    schedule, h = Learned(), 1e-6
    t = schedule.t_min
    slope = (float(schedule.log_alpha(t + h)) - float(schedule.log_alpha(t))) / h
    return relative(schedule.log_alpha_dot(t), slope)
