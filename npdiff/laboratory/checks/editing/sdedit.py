"""Checks of SDEdit: its number of steps, its distribution on Gaussian data, its evaluations."""

from collections.abc import Callable
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import with_callback
from npdiff.editing import encode, interpolate_encodings, sdedit, start_index
from npdiff.laboratory.checks.editing._normal_data import DATA, C, M, last, result_of
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, LinearVP, Times


@check("edit-start", method="counting evaluations", tolerance=0.0, cases=3)
def default_strength_is_half(case: Case) -> float:
    """The default strength takes half of the steps; counting evaluations changes nothing."""
    schedule, steps, calls = LinearVP(), case.choose([40, 100, 20]), []
    timesteps, x = np.linspace(1.0, 0.0, steps + 1), case.normal((2, 2))

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        return 0.5 * x + float(t), x - float(t)

    counted = with_callback(denoise, lambda: calls.append(1))
    for _ in sdedit(counted, schedule, x, timesteps, noise=lambda i: x):
        pass
    off = abs(len(calls) - steps // 2)
    pairs = zip(counted(x, 0.4), denoise(x, 0.4), strict=True)
    return max(off, *(relative(a, b) for a, b in pairs))


@check("edit-start", method="a search for the nearest number of steps", tolerance=0.0, cases=40)
def start_by_search(case: Case) -> float:
    """The number of steps from 1 to N nearest to strength times N."""
    steps = int(case.rng.integers(1, 40))
    strength = float(case.choose([1.0, 1e-9, case.rng.uniform(0.0, 1.0)]))
    taken = min(range(1, steps + 1), key=lambda n: abs(n - strength * steps))
    return abs(start_index(np.linspace(1.0, 0.0, steps + 1), strength) - (steps - taken))


@check("edit-distribution", method="the affine map of a fine solver", tolerance=1e-5, cases=2)
def edit_by_its_map(case: Case) -> float:
    """Mean and covariance of the edited image, by ``sdedit`` with 400 steps."""
    schedule, x_0 = EDM(), np.array([1.5, -1.0, 0.8])
    sigma = case.choose([0.5, 1.5])
    first = np.array([10.0, 4.0])  # the steps left out
    timesteps = np.concatenate([first, np.geomspace(sigma, 1e-4, 400), [0.0]])
    part = 400.0 / 402.0
    how: dict[str, Any] = {"strength": part, "sampler": "dpm-solver", "order": 3}

    def edit(x: Array, noise: Callable[[int], Array]) -> Array:
        return last(sdedit(DATA.denoiser(schedule), schedule, x, timesteps, noise=noise, **how))

    mean, cov, _ = result_of(edit, case, x_0, 0.0)
    V = C + sigma**2 * np.eye(3)
    values, axes = np.linalg.eigh(C @ np.linalg.inv(V) @ np.eye(3))
    root = axes @ np.diag(np.sqrt(values)) @ np.linalg.inv(axes)
    return max(relative(mean, M + root @ (x_0 - M)), relative(cov, sigma**2 * C @ np.linalg.inv(V)))


@check(
    "edit-start",
    "latent-interpolation",
    method="counting evaluations and draws",
    tolerance=0.0,
    cases=6,
)
def evaluations_and_draws_of_edits(case: Case) -> dict[str, float]:
    """Half of the steps by default, draws 0, 1, 2, ...; two trajectories to noise, one back."""
    schedule, steps = EDM(), int(case.rng.integers(2, 9))
    timesteps, x = np.append(np.linspace(3.0, 1.0, steps), 0.0), case.normal((1, 3))
    calls, drawn = [], []

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        calls.append(float(t))
        return 0.5 * x, x

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    last(sdedit(denoise, schedule, x, timesteps, noise=noise, sampler="ddpm"))
    taken = (steps + 1) // 2
    start = float(calls != list(timesteps[-1 - taken : -1]) or drawn != list(range(taken)))
    calls.clear()
    interpolate_encodings(denoise, schedule, x, x + 1.0, 0.5, timesteps)
    found = len(calls)
    calls.clear()
    encode(denoise, schedule, x, timesteps)
    return {
        "edit-start": start,
        "latent-interpolation": abs(found - 3 * steps) + abs(len(calls) - steps),
    }
