"""Checks of interpolation through noise: great circles, and DDIM as matrices."""

from itertools import pairwise

import numpy as np

from npdiff.editing import interpolate_encodings, slerp
from npdiff.laboratory.checks._schedules import timesteps as some_timesteps
from npdiff.laboratory.checks.editing._normal_data import DATA, ROOT, C, M
from npdiff.laboratory.registry import Case, check, relative
from npdiff.schedules import SCHEDULES


def rotate(a: np.ndarray, b: np.ndarray, w: float) -> np.ndarray:
    """The point at weight w on the circle through a and b, by a rotation of the direction."""
    u, v = a / np.linalg.norm(a), b / np.linalg.norm(b)
    across = v - (u @ v) * u
    across /= np.linalg.norm(across)
    angle = w * np.angle(complex(u @ v, across @ v))
    point = np.exp(1j * angle).real * u + np.exp(1j * angle).imag * across
    coefficients = np.linalg.lstsq(np.stack([u, v], axis=1), point, rcond=None)[0]
    return coefficients[0] * a + coefficients[1] * b


@check("slerp", method="a rotation in the plane of both", tolerance=1e-12)
def slerp_by_rotation(case: Case) -> float:
    """Vectors of different lengths, angles up to nearly opposite, weights beyond both ends."""
    a = case.rng.standard_normal((4, 2, 3))
    b = case.choose([1.0, -3.0, 0.2, 8.0]) * a + case.rng.standard_normal((4, 2, 3))
    w = np.array([0.0, 0.3, 1.0, 1.2])
    pairs = zip(a.reshape(4, 6), b.reshape(4, 6), w, strict=True)
    expected = np.stack([rotate(p, q, c).reshape(2, 3) for p, q, c in pairs])
    same = slerp(case.array(a), case.array(1.0 * a), w)
    return max(relative(slerp(case.array(a), case.array(b), w), expected), relative(same, a))


@check("latent-interpolation", method="DDIM's steps as matrices", tolerance=1e-9)
def interpolation_by_matrices(case: Case) -> float:
    """The noise by a linear solve, the circle by rotation, and the matrices back to the data."""
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
    z = rotate(np.linalg.solve(total, a - shift), np.linalg.solve(total, b - shift), w)
    ends = case.array(a[None]), case.array(b[None])
    found = interpolate_encodings(
        DATA.denoiser(schedule), schedule, *ends, w, timesteps, corrections=150
    )
    return relative(found, (total @ z + shift)[None])
