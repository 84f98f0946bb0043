"""The variational bound of a denoiser on data, term by term."""

import math
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.objective.bound import decoder_loss, last_step_variance, prior_kl, step_kl
from npdiff.objective.decoder import categorical_log_probability
from npdiff.process import marginal
from npdiff.samplers.step import Noise, draw
from npdiff.schedules import Schedule
from npdiff.variances import VARIANCES, Variance

#: The negative log-probability of the data after the last step: from (schedule, x_0, x0_hat, x_t,
#: log_variance, t) to (N,) nats.
Decoder = Callable[[Schedule, Array, Array, Array, Array, float], Array]


class Term(NamedTuple):
    """One term of the bound :eq:`bound`, for each sample.

    Attributes
    ----------
    kind : ``"prior"`` (L_T), ``"step"`` (L_s) or ``"decoder"`` (L_0)
    t, s : the step goes from t to s; for the prior both are t_max
    nats : (N,) array
    """

    kind: str
    t: float
    s: float
    nats: Array


def bound(
    denoise: Denoise,
    schedule: Schedule,
    x_0: Array,
    timesteps: np.ndarray,
    noise: Noise,
    *,
    variance: str | Variance = "small",
    decoder: str | Decoder = "gaussian",
) -> Iterator[Term]:
    """The terms of the variational bound, from L_T down to L_0; their sum estimates it.

    Each term is an expectation over x_t, estimated with one draw, so the sum is an unbiased
    estimate of the bound.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat), called once for each step
    schedule : Schedule
    x_0 : (N, ...) array of b / 127.5 - 1 for bytes b, unless ``decoder`` takes other data
    timesteps : descending host array from ``t_max`` to 0: the steps of the reverse process
    noise : from the index of a step to standard normal noise
    variance : of the steps: ``"small"``, ``"large"``, or a function of (x_t, s, t) as for
        :func:`~npdiff.samplers.ddpm`. The small variance of the last step, 0, is replaced by
        :func:`~npdiff.objective.bound.last_step_variance`
    decoder : the distribution of the data after the last step: ``"gaussian"``, the mass of its
        Gaussian in each byte's bin; ``"categorical"``, computed from the noisy pixel alone;
        ``"density"``, the density of its Gaussian, for continuous data; or a function

    Yields
    ------
    Term

    Raises
    ------
    InputError
        Before the first term, if a name is unknown or the timesteps do not go from ``t_max`` to 0.

    Notes
    -----
    Ho et al. 2020, section 2; Kingma et al. 2021, section 3, for any timesteps.
    """
    timesteps = schedule.time(timesteps)
    if timesteps.ndim != 1 or timesteps.size < 2 or not (np.diff(timesteps) < 0.0).all():
        raise InputError(
            "timesteps must be a 1-D array of at least two descending values, "
            f"got shape {timesteps.shape}"
        )
    if timesteps[0] != schedule.t_max or schedule.sigma(timesteps[-1]) > 0.0:
        raise InputError(
            f"the timesteps of the bound must go from t_max = {schedule.t_max:g} to 0, got "
            f"{timesteps[0]:g} to {timesteps[-1]:g}: choose another timestep spacing"
        )
    if isinstance(variance, str):
        VARIANCES[variance]
    if isinstance(decoder, str) and decoder not in DECODERS:
        raise InputError(f"unknown decoder {decoder!r}: choose one of {', '.join(DECODERS)}")
    decode = DECODERS[decoder] if isinstance(decoder, str) else decoder
    return _terms(denoise, schedule, x_0, timesteps, noise, variance, decode)


def _terms(
    denoise: Denoise,
    schedule: Schedule,
    x_0: Array,
    timesteps: np.ndarray,
    noise: Noise,
    variance: str | Variance,
    decoder: Decoder,
) -> Iterator[Term]:
    yield Term("prior", schedule.t_max, schedule.t_max, prior_kl(schedule, x_0))
    for i, (t, s) in enumerate(pairwise(timesteps.tolist())):
        x_t = marginal(schedule, x_0, draw(noise, i, x_0), t)
        x0_hat, _ = denoise(x_t, t)
        last = schedule.sigma(s) == 0.0
        if not isinstance(variance, str):
            of_step = variance(x_t, s, t)
        elif last and variance == "small":
            of_step = last_step_variance(schedule, t)
        else:
            of_step = VARIANCES[variance](schedule, s, t)
        log_variance = _log(of_step, x_0)
        if last:
            yield Term("decoder", t, s, decoder(schedule, x_0, x0_hat, x_t, log_variance, t))
        else:
            yield Term("step", t, s, step_kl(schedule, x_0, x0_hat, s, t, log_variance))


def _log(variance: Array | float, x: Array) -> Array:
    """The logarithm of a step's variance, broadcast to the shape of ``x``."""
    xp = namespace(x)
    if getattr(variance, "ndim", 0) == x.ndim:
        return xp.log(variance)
    return xp.zeros_like(x) + per_sample(np.log(variance), x)


def _discretized(
    _s: Schedule, x_0: Array, x0_hat: Array, _x: Array, log_variance: Array, _t: float
) -> Array:
    return decoder_loss(x_0, x0_hat, log_variance)


def _categorical(
    schedule: Schedule, x_0: Array, _x0_hat: Array, x_t: Array, _v: Array, t: float
) -> Array:
    return -categorical_log_probability(schedule, x_0, x_t, t).reshape(x_0.shape[0], -1).sum(axis=1)


def _density(
    _s: Schedule, x_0: Array, x0_hat: Array, _x: Array, log_variance: Array, _t: float
) -> Array:
    xp = namespace(x_0)
    each = (x_0 - x0_hat) ** 2 * xp.exp(-log_variance) + log_variance + math.log(2.0 * math.pi)
    return 0.5 * each.reshape(x_0.shape[0], -1).sum(axis=1)


#: Decoders by name.
DECODERS: dict[str, Decoder] = {
    "gaussian": _discretized,
    "categorical": _categorical,
    "density": _density,
}
