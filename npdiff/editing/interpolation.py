"""From images to the noise that leads to them, and from noise between two noises back to images."""

from collections import deque
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, per_sample, to_host
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.samplers import sample
from npdiff.samplers._ddim import ddim_inversion
from npdiff.schedules import Schedule

#: The angle, in radians, below which two directions are one, or opposite.
_NO_ANGLE = 1e-7


def encode(
    denoise: Denoise, schedule: Schedule, x_0: Array, timesteps: np.ndarray, *, corrections: int = 0
) -> Array:
    """The noise that leads to ``x_0``, by :func:`~npdiff.samplers._ddim.ddim_inversion`.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) array, data
    timesteps : descending host array, the grid of :func:`decode`
    corrections : of every step, see there
    """
    ways = ddim_inversion(
        denoise, schedule, x_0, np.asarray(timesteps)[::-1], corrections=corrections
    )
    (last,) = deque(ways, maxlen=1)
    return last.x


def decode(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    sampler: str = "ddim",
    **options: Any,
) -> Array:
    """The data that noise leads to, by a deterministic sampler."""
    (last,) = deque(sample(sampler, denoise, schedule, x, timesteps, **options), maxlen=1)
    return last.x


def slerp(a: Array, b: Array, w: float | np.ndarray) -> Array:
    r"""From a to b on a sphere: along the great circle through both.

    .. math::
        :label: slerp

        \frac{\sin\big((1 - w)\,\theta\big)}{\sin\theta}\, a
        + \frac{\sin(w\,\theta)}{\sin\theta}\, b,
        \qquad \theta = \arccos \frac{\langle a, b \rangle}{\lVert a \rVert\, \lVert b \rVert}

    Normal noise of D numbers lies near the sphere of radius sqrt(D), and the straight line between
    two of them leads through its middle, where no noise ever is and a model knows nothing. Where a
    and b point the same way the limit is that straight line.

    Parameters
    ----------
    a, b : (N, ...) arrays, each row a point
    w : 0 for a, 1 for b; a number, or one for each row

    Raises
    ------
    InputError
        If a point is the origin, or two are opposite, so that no circle is shorter than another.

    Notes
    -----
    Shoemake 1985; on the noise of diffusion models Song, Meng and Ermon 2021, section 5.3.
    """
    if a.shape != b.shape:
        raise InputError(f"the ends have shapes {tuple(a.shape)} and {tuple(b.shape)}")
    ends = [p.reshape(p.shape[0], -1) for p in (a, b)]
    lengths = [to_host((p * p).sum(axis=-1)).astype(np.float64) ** 0.5 for p in ends]
    if not all((length > 0.0).all() for length in lengths):
        raise InputError("the origin lies on no sphere: an end of the interpolation is 0")
    units = [p / beside_rows(length, p) for p, length in zip(ends, lengths, strict=True)]
    apart, together = (
        to_host((v * v).sum(axis=-1)).astype(np.float64) ** 0.5
        for v in (units[0] - units[1], units[0] + units[1])
    )
    theta = 2.0 * np.arctan2(apart, together)
    if (np.pi - theta < _NO_ANGLE).any():
        raise InputError("the ends of the interpolation are opposite: all ways are as long")
    w = np.broadcast_to(np.asarray(w, dtype=np.float64), theta.shape)
    same = theta < _NO_ANGLE
    sine = np.where(same, 1.0, np.sin(theta))
    of_a = np.where(same, 1.0 - w, np.sin((1.0 - w) * theta) / sine)
    of_b = np.where(same, w, np.sin(w * theta) / sine)
    return per_sample(of_a, a) * a + per_sample(of_b, b) * b


def interpolate(
    denoise: Denoise,
    schedule: Schedule,
    a: Array,
    b: Array,
    w: float | np.ndarray,
    timesteps: np.ndarray,
    *,
    corrections: int = 0,
) -> Array:
    r"""Between two images, by way of the noise that leads to them.

    .. math::
        :label: latent-interpolation

        x(w) = F^{-1}\!\big( \operatorname{slerp}(F(a), F(b);\, w) \big)

    with DDIM's way F from data to noise and its way back.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    a, b : (N, ...) arrays, the images
    w : 0 for a, 1 for b; a number, or one for each row
    timesteps : descending host array
    corrections : of the inversion; with them the ends come out as they went in

    Notes
    -----
    Song, Meng and Ermon 2021, section 5.3.
    """
    ends = [encode(denoise, schedule, p, timesteps, corrections=corrections) for p in (a, b)]
    return decode(denoise, schedule, slerp(ends[0], ends[1], w), timesteps)


def beside_rows(a: np.ndarray, x: Array) -> Array:
    """One host number for each row, as a column beside ``x``."""
    return namespace(x).asarray(a[:, None], dtype=x.dtype)
