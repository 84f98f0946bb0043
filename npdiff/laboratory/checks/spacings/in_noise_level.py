"""Checks of the spacings in noise level."""

import math
from typing import Any

import numpy as np

from npdiff import spacings
from npdiff.backend import to_host
from npdiff.exact import Gaussian
from npdiff.guidance import batched_cfg, classifier_free, dynamic_threshold, rescale_cfg
from npdiff.laboratory.checks._schedules import VARIANTS
from npdiff.laboratory.checks.spacings._ends import ends
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, LinearVP
from npdiff.spacings import in_noise_level, karras, log_snr

_LONG = [name for name, make in VARIANTS.items() if (make().steps or 9) >= 9]


@check(
    "log-snr-spacing",
    "karras-spacing",
    method="the noise levels of the timesteps",
    tolerance=1e-6,
    cases=len(_LONG),
)
def spacings_by_their_levels(case: Case) -> dict[str, float]:
    """log(sigma / alpha) of all timesteps but the first against a loop over k."""
    schedule = VARIANTS[case.choose(_LONG)]()
    N = int(case.rng.integers(3, 9))
    noisy, clean = ends(schedule)
    rho, warp = case.choose([7.0, 1.0, 2.5]), case.choose([1.0, 2.0])
    lines, roots = [], []
    for k in range(1, N):
        lines.append(clean + (noisy - clean) * (1.0 - k / (N - 1)) ** warp)
        a, b = math.exp(noisy / rho), math.exp(clean / rho)
        roots.append(rho * math.log(a + (b - a) * k / (N - 1)))
    found = {}
    for label, levels, timesteps in (
        ("log-snr-spacing", lines, log_snr(schedule, N, rho=warp)),
        ("karras-spacing", roots, karras(schedule, N, rho=rho)),
    ):
        visited = timesteps[1:-1]
        level = np.log(schedule.sigma(visited) / schedule.alpha(visited))
        right = timesteps[0] == schedule.t_max and timesteps[-1] == 0.0 and len(timesteps) == N + 1
        found[label] = relative(level, np.array(levels)) if right else 1.0
    return found


@check("karras-spacing", method="EDM's formula", tolerance=1e-12, cases=4)
def karras_by_the_published_formula(case: Case) -> float:
    """Where time is sigma, the timesteps themselves; with default and other options."""
    low, high, rho, N = case.choose([(0.002, 80.0, 7.0, 18), (0.01, 5.0, 3.0, 6)])
    roots = [
        high ** (1 / rho) + k / (N - 1) * (low ** (1 / rho) - high ** (1 / rho)) for k in range(N)
    ]
    expected = np.array([*(root**rho for root in roots), 0.0])
    schedule = EDM(sigma_max=high, sigma_min=low)
    found = karras(schedule, N) if rho == 7.0 else karras(schedule, N, rho=rho)
    return relative(found / np.append(expected[:-1], 1.0), np.append(np.ones(N), 0.0))


@check(
    "log-snr-spacing", "karras-spacing", "guidance-rescale", "dynamic-thresholding",
    method="the published options passed explicitly", tolerance=0.0, cases=1,
)  # fmt: skip
def spacings_and_guidance_by_default(case: Case) -> dict[str, float]:
    """Even in log-SNR, rho = 7, phi = 0.7, the 0.995-quantile."""
    schedule, x = LinearVP(), 3.0 * case.normal((2, 40))
    data, other = Gaussian(np.full(40, 2.0), 0.5), Gaussian(np.full(40, -1.0), 2.0)
    strong = classifier_free(data.denoiser(schedule), other.denoiser(schedule), 4.0)
    plain = data.denoiser(schedule)

    def halves(x: Any, t: Any) -> Any:  # the first half with a condition, the second without
        parts = (plain(x[:2], t), other.denoiser(schedule)(x[2:], t))
        return tuple(case.xp.concatenate(both) for both in zip(*parts, strict=True))

    pair, unscaled = batched_cfg(halves, schedule, 2.0), batched_cfg(halves, schedule, 2.0, 0.0)

    def both(denoise: Any) -> np.ndarray:
        return np.stack([to_host(part) for part in denoise(x, 0.3)])

    return {
        "log-snr-spacing": relative(
            in_noise_level.log_snr(schedule, 9), in_noise_level.log_snr(schedule, 9, rho=1.0)
        ),
        "karras-spacing": relative(
            spacings.karras(schedule, 9), spacings.karras(schedule, 9, rho=7.0)
        ),
        "guidance-rescale": max(
            relative(
                both(rescale_cfg(strong, plain, schedule)),
                both(rescale_cfg(strong, plain, schedule, 0.7)),
            ),
            relative(both(pair), both(unscaled)),
        ),
        "dynamic-thresholding": relative(
            both(dynamic_threshold(strong, schedule)),
            both(dynamic_threshold(strong, schedule, 0.995)),
        ),
    }
