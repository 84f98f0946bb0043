r"""Inpainting: some numbers of a sample are known, and a sampler finds the others.

Two ideas. *Replacement*: after every step the known numbers are put back, as noisy as the state.
*Resampling*, RePaint's: what a step finds does not fit yet what is put back beside it, so the state
is made noisier again by the forward process, and the step is taken anew. The more often, the closer
the result comes to the law of the unknown numbers given the known.
"""

from itertools import pairwise
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.process import marginal, transition
from npdiff.samplers import Noise, Step, Steps, sample
from npdiff.samplers.step import draw
from npdiff.schedules import Schedule

#: How many draws belong to one move: the first is this file's, the rest the sampler's.
DRAWS = 64


def replaced(schedule: Schedule, x: Array, known: Array, mask: Array, t: float, z: Array) -> Array:
    r"""The state with its known numbers put back, as noisy as the state is.

    .. math::
        :label: replacement

        x_t \leftarrow M \odot (\alpha_t\, y + \sigma_t\, z) + (1 - M) \odot x_t,
        \qquad z \sim \mathcal N(0, I)

    with the known numbers y where the mask M is 1: :eq:`marginal` at the time of the state.

    Parameters
    ----------
    schedule : Schedule
    x, known, z : (N, ...) arrays of one shape
    mask : booleans beside them that broadcast with x, true where a number is known
    t : the time of ``x``

    Notes
    -----
    Song et al. 2021, appendix I.2; Lugmayr et al. 2022, Eq. 8a. Line 5 of the latter's
    Algorithm 1 has the variance where the standard deviation belongs, and the noise level of
    another time.
    """
    return namespace(x).where(mask, marginal(schedule, known, z, t), x)


def renoised(schedule: Schedule, x: Array, s: float, t: float, z: Array) -> Array:
    r"""A state at s as it may be at the later time t: a draw from the forward kernel.

    .. math::
        :label: renoising

        x_t = \alpha_{t|s}\, x_s + \sigma_{t|s}\, z,
        \qquad \sigma_{t|s} = \sqrt{\sigma_t^2 - \alpha_{t|s}^2\, \sigma_s^2}

    with :eq:`transition`. Its standard deviation is the root of a difference of variances, and not
    the difference of two standard deviations, which between neighboring times is far less.

    Notes
    -----
    Lugmayr et al. 2022, section 4.2.
    """
    factor, variance = transition(schedule, s, t)
    return per_sample(factor, x) * x + per_sample(np.sqrt(variance), x) * z


def walk(steps: int, jump: int = 10, resamplings: int = 10) -> list[int]:
    """The places on a grid of times that RePaint visits, counted in steps that are left.

    Down from ``steps`` to 0. Wherever it first comes to 1, 1 + jump, 1 + 2 jump, ..., if there is
    room above, it goes back up by ``jump`` and comes down again, until it has been there
    ``resamplings`` times.

    >>> walk(4, jump=1, resamplings=2)
    [4, 3, 4, 3, 2, 3, 2, 1, 2, 1, 0]
    >>> walk(5, jump=2, resamplings=2)
    [5, 4, 3, 5, 4, 3, 2, 1, 3, 2, 1, 0]
    >>> walk(3, resamplings=1)
    [3, 2, 1, 0]

    Raises
    ------
    InputError
        If a number is below 1.
    """
    if min(steps, jump, resamplings) < 1:
        raise InputError(
            "a walk takes 1 step or more, jumps by 1 or more and visits 1 time or more, "
            f"got {steps}, {jump} and {resamplings}"
        )
    left = dict.fromkeys(range(1, steps - jump + 1, jump), resamplings - 1)
    here, path = steps, [steps]
    while here > 0:
        here -= 1
        path.append(here)
        if left.get(here, 0) > 0:
            left[here] -= 1
            here += jump
            path.append(here)
    return path


def evaluations(steps: int, jump: int = 10, resamplings: int = 10) -> int:
    r"""How many steps towards the data a walk takes.

    .. math::
        :label: resampling-cost

        N + (r - 1)\, j \left\lfloor \frac{N - 1}{j} \right\rfloor

    for N steps, jumps by j and r resamplings.
    """
    return steps + (resamplings - 1) * jump * ((steps - 1) // jump)


def inpaint(
    denoise: Denoise,
    schedule: Schedule,
    x: Array,
    timesteps: np.ndarray,
    *,
    known: Array,
    mask: np.ndarray,
    noise: Noise,
    jump: int = 10,
    resamplings: int = 10,
    sampler: str = "ddpm",
    **options: Any,
) -> Steps:
    """Inpainting by RePaint; with ``resamplings=1`` by replacement alone.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``: noise
    timesteps : descending host array
    known : array of the shape of ``x``; what it holds outside of the mask does not matter
    mask : host array of booleans that broadcasts with ``x``, true where ``known`` holds
    noise : from the index of a draw to standard normal noise. Number 0 is drawn at the start, and
        by the moves 1, 2, ... of index i the numbers 64 i to 64 i + 63
    jump : how many steps of the grid one goes back at a time
    resamplings : how often each stretch of ``jump`` steps is walked
    sampler, options : by which a step towards the data is taken; a sampler of several steps has
        no history here, and starts at every step anew

    Returns
    -------
    iterator of Step
        After every move: :func:`evaluations` of them towards the data, and those back.

    Raises
    ------
    InputError
        If the shapes differ, the mask is not of booleans, or a number is out of its range.

    Notes
    -----
    Lugmayr et al. 2022 (RePaint), Algorithm 1; without resampling Song et al. 2021, appendix I.2.
    """
    if known.shape != x.shape:
        raise InputError(f"known has shape {tuple(known.shape)}, the state {tuple(x.shape)}")
    mask = np.asarray(mask)
    if mask.dtype != bool or not fits(mask.shape, tuple(x.shape)):
        raise InputError(
            f"expected a mask of booleans for shape {tuple(x.shape)}, got {mask.dtype} {mask.shape}"
        )
    timesteps = schedule.time(timesteps)
    places = walk(len(timesteps) - 1, jump, resamplings)
    inside = namespace(x).asarray(mask)

    def down(x: Array, t: float, s: float, own: Noise) -> Step:
        (step,) = sample(sampler, denoise, schedule, x, np.array([t, s]), own, **options)
        return step

    def moves() -> Steps:
        state = replaced(schedule, x, known, inside, timesteps[0], draw(noise, 0, x))
        x_0 = state
        for i, (here, there) in enumerate(pairwise(places)):
            t, s, first = timesteps[-1 - here], timesteps[-1 - there], DRAWS * (i + 1)
            z = draw(noise, first, x)
            if there > here:
                state = renoised(schedule, state, t, s, z)
            else:
                _, state, x_0 = down(state, t, s, later(noise, first + 1))
                state = replaced(schedule, state, known, inside, s, z)
            yield Step(float(s), state, x_0)

    return moves()


def fits(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of one shape broadcasts to the other."""
    try:
        return np.broadcast_shapes(shape, whole) == whole
    except ValueError:
        return False


def later(noise: Noise, first: int) -> Noise:
    """The same draws, counted from ``first`` on: those that are left to one move.

    Raises
    ------
    InputError
        At a draw that belongs to the next move.
    """

    def own(i: int) -> Array:
        if i >= DRAWS - 1:
            raise InputError(
                f"one step of the sampler may draw {DRAWS - 1} times, and this one more"
            )
        return noise(first + i)

    return own
