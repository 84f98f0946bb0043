"""Encoding data as noise by DDIM inversion, decoding, and interpolation between encodings."""

from collections import deque
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, per_sample, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers import sample
from npdiff.samplers._ddim import ddim_inversion
from npdiff.schedules import Schedule

#: Angles below this, in radians, count as 0, and angles this close to pi as pi.
_NO_ANGLE = 1e-7


def encode(
    denoise: Denoise, schedule: Schedule, x_0: Array, timesteps: np.ndarray, *, corrections: int = 0
) -> Array:
    """The noise from which DDIM samples ``x_0``: :func:`~npdiff.samplers._ddim.ddim_inversion`.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) array, data
    timesteps : descending host array, as for :func:`decode`
    corrections : fixed-point iterations in each step
    """
    steps = ddim_inversion(
        denoise, schedule, x_0, np.asarray(timesteps)[::-1], corrections=corrections
    )
    (last,) = deque(steps, maxlen=1)
    return last.x


def decode(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    sampler: Any = "ddim",
    **options: Any,
) -> Array:
    """The data that a deterministic sampler makes of noise ``x``."""
    (last,) = deque(sample(sampler, denoise, schedule, x, timesteps, **options), maxlen=1)
    return last.x


def slerp(a: Array, b: Array, w: float | np.ndarray) -> Array:
    r"""Spherical linear interpolation: along the great circle from a to b.

    .. math::
        :label: slerp

        \frac{\sin\big((1 - w)\,\theta\big)}{\sin\theta}\, a
        + \frac{\sin(w\,\theta)}{\sin\theta}\, b,
        \qquad \theta = \arccos \frac{\langle a, b \rangle}{\lVert a \rVert\, \lVert b \rVert}

    Standard normal noise with D entries lies near the sphere of radius sqrt(D). The straight line
    between two samples passes through the inside of the sphere, where noise never is and a model
    was not trained. If a and b have the same direction, the limit is the straight line.

    Parameters
    ----------
    a, b : (N, ...) arrays of N points each
    w : 0 for a, 1 for b; a scalar, or one weight for each point

    Raises
    ------
    InputError
        If a point is the origin, or two are opposite, so that no great circle is the shortest.

    Notes
    -----
    Shoemake 1985; on the noise of diffusion models Song, Meng and Ermon 2021, section 5.3.
    """
    if a.shape != b.shape:
        raise InputError(f"a and b must have one shape, got {tuple(a.shape)} and {tuple(b.shape)}")
    ends = [p.reshape(p.shape[0], -1) for p in (a, b)]
    lengths = [to_host((p * p).sum(axis=-1)).astype(np.float64) ** 0.5 for p in ends]
    if not all((length > 0.0).all() for length in lengths):
        raise InputError("spherical interpolation needs nonzero points: a or b is 0")
    units = [p / as_column(length, p) for p, length in zip(ends, lengths, strict=True)]
    apart, together = (
        to_host((v * v).sum(axis=-1)).astype(np.float64) ** 0.5
        for v in (units[0] - units[1], units[0] + units[1])
    )
    theta = 2.0 * np.arctan2(apart, together)
    if (np.pi - theta < _NO_ANGLE).any():
        raise InputError("a and b are opposite, so no great circle between them is the shortest")
    w = np.broadcast_to(np.asarray(w, dtype=np.float64), theta.shape)
    same = theta < _NO_ANGLE
    sine = np.where(same, 1.0, np.sin(theta))
    of_a = np.where(same, 1.0 - w, np.sin((1.0 - w) * theta) / sine)
    of_b = np.where(same, w, np.sin(w * theta) / sine)
    return per_sample(of_a, a) * a + per_sample(of_b, b) * b


def interpolate_encodings(
    denoise: Denoise,
    schedule: Schedule,
    a: Array,
    b: Array,
    w: float | np.ndarray,
    timesteps: np.ndarray,
    *,
    corrections: int = 0,
) -> Array:
    r"""Data between two samples: their encodings are interpolated on a sphere and decoded.

    .. math::
        :label: latent-interpolation

        x(w) = F^{-1}\!\big( \operatorname{slerp}(F(a), F(b);\, w) \big)

    with DDIM's map F from data to noise and its inverse.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    a, b : (N, ...) arrays, the data
    w : 0 for a, 1 for b; a scalar, or one weight for each pair
    timesteps : descending host array
    corrections : of the inversion; with enough of them the ends are reproduced

    Notes
    -----
    Song, Meng and Ermon 2021, section 5.3.
    """
    ends = [encode(denoise, schedule, p, timesteps, corrections=corrections) for p in (a, b)]
    return decode(denoise, schedule, slerp(ends[0], ends[1], w), timesteps)


def as_column(a: np.ndarray, x: Array) -> Array:
    """One host value for each sample, as a column that broadcasts with the matrix ``x``."""
    return namespace(x).asarray(a[:, None], dtype=x.dtype)
