"""Checks of edits that go by way of noise: SDEdit, interpolation, great circles."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.editing import encode, interpolate_encodings, sdedit, slerp, start_index
from npdiff.laboratory.checks.editing import DATA, ROOT, C, M, last, law_of
from npdiff.laboratory.checks.process import timesteps as some_timesteps
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import EDM, SCHEDULES, Times


@check("edit-start", route="the nearest number of steps, looked for", tolerance=0.0, cases=40)
def start_by_search(case: Case) -> float:
    """The steps that are taken: of 1 to N the number nearest to the strength's share of them."""
    steps = int(case.rng.integers(1, 40))
    strength = float(case.choose([1.0, 1e-9, case.rng.uniform(0.0, 1.0)]))
    taken = min(range(1, steps + 1), key=lambda n: abs(n - strength * steps))
    return abs(start_index(np.linspace(1.0, 0.0, steps + 1), strength) - (steps - taken))


@check("edit-distribution", route="the affine map of a fine solver", tolerance=1e-5, cases=2)
def edit_by_its_map(case: Case) -> float:
    """Mean and covariance of what an image becomes, by ``sdedit`` with 400 steps."""
    schedule, x_0 = EDM(), np.array([1.5, -1.0, 0.8])
    sigma = case.choose([0.5, 1.5])
    first = np.array([10.0, 4.0])  # what is not taken
    timesteps = np.concatenate([first, np.geomspace(sigma, 1e-4, 400), [0.0]])
    part = 400.0 / 402.0
    how: dict[str, Any] = {"strength": part, "sampler": "dpm-solver", "order": 3}

    def edit(x: Array, noise: Callable[[int], Array]) -> Array:
        return last(sdedit(DATA.denoiser(schedule), schedule, x, timesteps, noise=noise, **how))

    mean, cov, _ = law_of(edit, case, x_0, 0.0)
    V = C + sigma**2 * np.eye(3)
    values, axes = np.linalg.eigh(C @ np.linalg.inv(V) @ np.eye(3))
    root = axes @ np.diag(np.sqrt(values)) @ np.linalg.inv(axes)
    return max(relative(mean, M + root @ (x_0 - M)), relative(cov, sigma**2 * C @ np.linalg.inv(V)))


def turned(a: np.ndarray, b: np.ndarray, w: float) -> np.ndarray:
    """On the circle through a and b: the direction by turning, then as a sum of a and b."""
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    across = v - (u @ v) * u
    across /= np.linalg.norm(across)
    angle = w * np.angle(complex(u @ v, across @ v))
    point = np.exp(1j * angle).real * u + np.exp(1j * angle).imag * across
    share = np.linalg.lstsq(np.stack([u, v], axis=1), point, rcond=None)[0]
    return share[0] * a + share[1] * b


@check("slerp", route="a turn in the plane of both", tolerance=1e-12)
def slerp_by_turning(case: Case) -> float:
    """Lengths that differ, angles up to nearly opposite, weights beyond both ends."""
    a = case.rng.standard_normal((4, 2, 3))
    b = case.choose([1.0, -3.0, 0.2, 8.0]) * a + case.rng.standard_normal((4, 2, 3))
    w = np.array([0.0, 0.3, 1.0, 1.2])
    pairs = zip(a.reshape(4, 6), b.reshape(4, 6), w, strict=True)
    expected = np.stack([turned(p, q, c).reshape(2, 3) for p, q, c in pairs])
    same = slerp(case.array(a), case.array(1.0 * a), w)
    return max(relative(slerp(case.array(a), case.array(b), w), expected), relative(same, a))


@check("latent-interpolation", route="DDIM's steps as matrices", tolerance=1e-9)
def interpolation_by_matrices(case: Case) -> float:
    """The noise by solving for it, the circle by turning, and the matrices back to data."""
    schedule = SCHEDULES[case.choose(["vp", "rectified-flow", "edm", "cosine"])]()
    timesteps = np.append(np.sort(some_timesteps(case, schedule, 10))[::-1], 0.0)
    total, shift = np.eye(3), np.zeros(3)
    for t, s in pairwise(timesteps):
        (a_t, sd_t), (a_s, sd_s) = (
            (float(schedule.alpha(u)), float(schedule.sigma(u))) for u in (t, s)
        )
        K = a_t * C @ np.linalg.inv(a_t**2 * C + sd_t**2 * np.eye(3))
        A = sd_s / sd_t * np.eye(3) + (a_s - sd_s / sd_t * a_t) * K
        shift = A @ shift + (a_s - sd_s / sd_t * a_t) * (M - a_t * K @ M)
        total = A @ total
    a, b = case.rng.standard_normal((2, 3)) @ ROOT.T + M
    w = float(case.rng.uniform(0.1, 0.9))
    z = turned(np.linalg.solve(total, a - shift), np.linalg.solve(total, b - shift), w)
    ends = case.array(a[None]), case.array(b[None])
    found = interpolate_encodings(
        DATA.denoiser(schedule), schedule, *ends, w, timesteps, corrections=150
    )
    return relative(found, (total @ z + shift)[None])


@check(
    "edit-start",
    "latent-interpolation",
    route="a model is asked and counts",
    tolerance=0.0,
    cases=6,
)
def edits_ask_and_draw_as_they_say(case: Case) -> dict[str, float]:
    """Half of the steps unless told otherwise, draws 0, 1, 2, ...; two ways there, one back."""
    schedule, steps = EDM(), int(case.rng.integers(2, 9))
    timesteps, x = np.append(np.linspace(3.0, 1.0, steps), 0.0), case.normal((1, 3))
    asked, drawn = [], []

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        asked.append(float(t))
        return 0.5 * x, x

    def noise(i: int) -> Array:
        drawn.append(i)
        return x

    last(sdedit(denoise, schedule, x, timesteps, noise=noise, sampler="ddpm"))
    taken = (steps + 1) // 2
    start = float(asked != list(timesteps[-1 - taken : -1]) or drawn != list(range(taken)))
    asked.clear()
    interpolate_encodings(denoise, schedule, x, x + 1.0, 0.5, timesteps)
    found = len(asked)
    asked.clear()
    encode(denoise, schedule, x, timesteps)
    return {
        "edit-start": start,
        "latent-interpolation": abs(found - 3 * steps) + abs(len(asked) - steps),
    }
