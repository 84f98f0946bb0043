r"""Inpainting: some entries of a sample are known, and a sampler generates the others.

*Replacement*: after every step the known entries are replaced by their noised values at that time.
*Resampling* (RePaint): the generated entries do not fit the replaced ones yet, so the state is
noised again by the forward process and the step is repeated. With more repetitions the result
approaches the distribution of the unknown entries given the known ones.
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

#: Noise indices reserved for one move: the first for this file, the rest for the sampler.
DRAWS_PER_MOVE = 64


def replace_known(
    schedule: Schedule, x: Array, known: Array, mask: Array, t: float, z: Array
) -> Array:
    r"""The state with its known entries replaced by their noised values at time t.

    .. math::
        :label: replacement

        x_t \leftarrow M \odot (\alpha_t\, y + \sigma_t\, z) + (1 - M) \odot x_t,
        \qquad z \sim \mathcal N(0, I)

    with the known entries y where the mask M is 1: :eq:`marginal` at the time of the state.

    Parameters
    ----------
    schedule : Schedule
    x, known, z : (N, ...) arrays of one shape
    mask : booleans on the same backend that broadcast with x, true where entries are known
    t : the time of ``x``

    Notes
    -----
    Song et al. 2021, appendix I.2; Lugmayr et al. 2022, Eq. 8a. Line 5 of the latter's
    Algorithm 1 has the variance in place of the standard deviation, and the noise level of
    another time.
    """
    return namespace(x).where(mask, marginal(schedule, known, z, t), x)


def renoise(schedule: Schedule, x: Array, s: float, t: float, z: Array) -> Array:
    r"""A draw from q(x_t | x_s), the forward transition from time s to the later time t.

    .. math::
        :label: renoising

        x_t = \alpha_{t|s}\, x_s + \sigma_{t|s}\, z,
        \qquad \sigma_{t|s} = \sqrt{\sigma_t^2 - \alpha_{t|s}^2\, \sigma_s^2}

    with :eq:`transition`. The standard deviation is the root of a difference of variances, not the
    difference of two standard deviations, which is far smaller between neighboring timesteps.

    Notes
    -----
    Lugmayr et al. 2022, section 4.2.
    """
    factor, variance = transition(schedule, s, t)
    return per_sample(factor, x) * x + per_sample(np.sqrt(variance), x) * z


def resampling_path(steps: int, jump: int = 10, resamplings: int = 10) -> list[int]:
    """RePaint's path through the timesteps, as the number of steps left at each point.

    The path descends from ``steps`` to 0. At 1, 1 + jump, 1 + 2 jump, ..., as long as they are at
    most ``steps - jump``, it jumps back up by ``jump`` and descends again, until it has been there
    ``resamplings`` times.

    >>> resampling_path(4, jump=1, resamplings=2)
    [4, 3, 4, 3, 2, 3, 2, 1, 2, 1, 0]
    >>> resampling_path(5, jump=2, resamplings=2)
    [5, 4, 3, 5, 4, 3, 2, 1, 3, 2, 1, 0]
    >>> resampling_path(3, resamplings=1)
    [3, 2, 1, 0]

    Raises
    ------
    InputError
        If an argument is below 1.
    """
    if min(steps, jump, resamplings) < 1:
        raise InputError(
            f"steps, jump and resamplings must be at least 1, got {steps}, {jump} and {resamplings}"
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


def denoising_steps(steps: int, jump: int = 10, resamplings: int = 10) -> int:
    r"""The number of denoising steps on :func:`resampling_path`.

    .. math::
        :label: resampling-cost

        N + (r - 1)\, j \left\lfloor \frac{N - 1}{j} \right\rfloor

    for N steps, jumps by j and r resamplings.
    """
    return steps + (resamplings - 1) * jump * ((steps - 1) // jump)


def repaint(
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
    """RePaint: inpainting by replacement and resampling; ``resamplings=1`` is replacement alone.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    x : (N, ...) array, the state at ``timesteps[0]``: noise
    timesteps : descending host array
    known : array of the shape of ``x``; entries outside the mask are ignored
    mask : host array of booleans that broadcasts with ``x``, true where entries are known
    noise : from the index of a draw to standard normal noise. Index 0 is drawn at the start, and
        indices 64 i to 64 i + 63 belong to move i = 1, 2, ...
    jump : how many timesteps a jump back goes
    resamplings : how often each stretch of ``jump`` steps is taken
    sampler, options : the sampler of one denoising step; a multistep sampler has no history here
        and starts with every step

    Returns
    -------
    iterator of Step
        One after every move: the :func:`denoising_steps` toward the data and the jumps back.

    Raises
    ------
    InputError
        If the shapes differ, the mask is not boolean, or an option is out of range.

    Notes
    -----
    Lugmayr et al. 2022 (RePaint), Algorithm 1; without resampling Song et al. 2021, appendix I.2.
    """
    if known.shape != x.shape:
        raise InputError(
            f"known must have the shape of x, {tuple(x.shape)}, got {tuple(known.shape)}"
        )
    mask = np.asarray(mask)
    if mask.dtype != bool or not broadcasts_to(mask.shape, tuple(x.shape)):
        raise InputError(
            f"mask must be boolean and broadcast to {tuple(x.shape)}, got {mask.dtype} of shape "
            f"{mask.shape}"
        )
    timesteps = schedule.time(timesteps)
    path = resampling_path(len(timesteps) - 1, jump, resamplings)
    is_known = namespace(x).asarray(mask)

    def denoising_step(x: Array, t: float, s: float, noise: Noise) -> Step:
        (step,) = sample(sampler, denoise, schedule, x, np.array([t, s]), noise, **options)
        return step

    def moves() -> Steps:
        state = replace_known(schedule, x, known, is_known, timesteps[0], draw(noise, 0, x))
        x_0 = state
        for i, (here, there) in enumerate(pairwise(path)):
            t, s, first = timesteps[-1 - here], timesteps[-1 - there], DRAWS_PER_MOVE * (i + 1)
            z = draw(noise, first, x)
            if there > here:
                state = renoise(schedule, state, t, s, z)
            else:
                _, state, x_0 = denoising_step(state, t, s, draws_from(noise, first + 1))
                state = replace_known(schedule, state, known, is_known, s, z)
            yield Step(float(s), state, x_0)

    return moves()


def broadcasts_to(shape: tuple[int, ...], whole: tuple[int, ...]) -> bool:
    """Whether an array of shape ``shape`` broadcasts to the shape ``whole``."""
    try:
        return np.broadcast_shapes(shape, whole) == whole
    except ValueError:
        return False


def draws_from(noise: Noise, first: int) -> Noise:
    """The draws with indices from ``first`` on, as many as one move has for its sampler.

    Raises
    ------
    InputError
        At an index that belongs to the next move.
    """

    def draw_of_move(i: int) -> Array:
        if i >= DRAWS_PER_MOVE - 1:
            raise InputError(
                f"a sampler step inside repaint may draw noise at most {DRAWS_PER_MOVE - 1} times: "
                "use fewer corrections"
            )
        return noise(first + i)

    return draw_of_move
