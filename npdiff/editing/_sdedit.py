"""SDEdit: an image is made noisy, and a model makes of it one of its own."""

from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import marginal
from npdiff.samplers import Noise, Steps, sample
from npdiff.samplers.step import draw
from npdiff.schedules import Schedule


def start_of(timesteps: np.ndarray, strength: float) -> int:
    r"""Where on a grid of N steps an edit of this strength starts.

    .. math::
        :label: edit-start

        k = N - \max\!\left(1, \left\lfloor \rho N + \tfrac12 \right\rfloor\right)

    with the strength rho, the share of the steps that are taken: 1 starts from the first time and
    keeps least of the image, near 0 takes the last step alone and changes next to nothing.

    >>> start_of(np.linspace(1.0, 0.0, 11), 0.3)
    7

    Raises
    ------
    InputError
        If the strength is not above 0 and at most 1.
    """
    if not 0.0 < strength <= 1.0:
        raise InputError(f"strength is a number above 0 and up to 1, got {strength}")
    steps = len(timesteps) - 1
    return steps - max(1, int(np.floor(strength * steps + 0.5)))


def sdedit(
    denoise: Denoise,
    schedule: Schedule,
    x_0: Array,
    timesteps: np.ndarray,
    *,
    noise: Noise,
    strength: float = 0.5,
    sampler: str = "ddim",
    **options: Any,
) -> Steps:
    r"""SDEdit: :eq:`marginal` up to the time where the edit starts, and a sampler from there.

    Where the sampler is the exact flow, the result for Gaussian data N(m, C) is, with the
    covariance V of q(x_t) at the start,

    .. math::
        :label: edit-law

        \mathcal N\!\left( m + \alpha_t\, C^{1/2} V^{-1/2} (x_0 - m),\;
        \sigma_t^2\, C V^{-1} \right),
        \qquad V = \alpha_t^2 C + \sigma_t^2 I

    so that an image keeps its large features, along which C is large, and loses its small ones.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) array, the images
    timesteps : descending host array
    noise : from the index of a draw to standard normal noise: 0 is the edit's own, the sampler's
        are 1, 2, ...
    strength : which part of the steps is taken, :eq:`edit-start`
    sampler, options : by which the steps are taken

    Returns
    -------
    iterator of Step

    Notes
    -----
    Meng et al. 2022, section 3.
    """
    timesteps = schedule.time(timesteps)
    rest = timesteps[start_of(timesteps, strength) :]
    x = marginal(schedule, x_0, draw(noise, 0, x_0), rest[0])
    return sample(sampler, denoise, schedule, x, rest, lambda i: noise(i + 1), **options)
