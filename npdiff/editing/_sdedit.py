"""SDEdit: an image is noised up to some time and denoised from there."""

from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import marginal
from npdiff.samplers import Noise, Steps, sample
from npdiff.samplers.step import draw
from npdiff.schedules import Schedule


def start_index(timesteps: np.ndarray, strength: float) -> int:
    r"""The index of the timestep at which an edit of given strength starts.

    .. math::
        :label: edit-start

        k = N - \max\!\left(1, \left\lfloor \rho N + \tfrac12 \right\rfloor\right)

    for N steps and the strength rho, the fraction of the steps that is taken: 1 starts from the
    first timestep and keeps least of the image; near 0 only the last step is taken.

    >>> start_index(np.linspace(1.0, 0.0, 11), 0.3)
    7

    Raises
    ------
    InputError
        If the strength is not above 0 and at most 1.
    """
    if not 0.0 < strength <= 1.0:
        raise InputError(f"strength must be above 0 and at most 1, got {strength}")
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
    sampler: Any = "ddim",
    **options: Any,
) -> Steps:
    r"""SDEdit: a draw from :eq:`marginal` at the timestep where the edit starts, then a sampler.

    With the exact solution of the probability-flow ODE as the sampler, the result for Gaussian data
    N(m, C) has the distribution

    .. math::
        :label: edit-distribution

        \mathcal N\!\left( m + \alpha_t\, C^{1/2} V^{-1/2} (x_0 - m),\;
        \sigma_t^2\, C V^{-1} \right),
        \qquad V = \alpha_t^2 C + \sigma_t^2 I

    for the start time t: an image keeps its large features, along which C is large, and loses its
    small ones.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x_0 : (N, ...) array, the images
    timesteps : descending host array
    noise : from the index of a draw to standard normal noise; 0 noises the images, 1, 2, ... are
        for the sampler
    strength : the fraction of the steps that is taken, :eq:`edit-start`
    sampler, options : the sampler and its options

    Returns
    -------
    iterator of Step

    Notes
    -----
    Meng et al. 2022, section 3.
    """
    timesteps = schedule.time(timesteps)
    rest = timesteps[start_index(timesteps, strength) :]
    x = marginal(schedule, x_0, draw(noise, 0, x_0), rest[0])
    return sample(sampler, denoise, schedule, x, rest, lambda i: noise(i + 1), **options)
