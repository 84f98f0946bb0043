r"""What a network is trained on: a noisy example, what to answer, and how much the answer counts.

At a fixed x_t all parameterisations make the same error in different units,

.. math::
    :label: error-units

    \widehat{\text{output}} - \text{output} = \frac{\Delta_t}{\alpha_t}\, (\hat\epsilon - \epsilon)

with the determinant :eq:`determinant`. A *weighting* is therefore stated once, as a function of the
log-SNR that multiplies the squared error of eps, and :func:`weight` translates it to any row.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.denoiser import clock
from npdiff.errors import InputError
from npdiff.ops.loss import squared_error
from npdiff.parameterisation import Row
from npdiff.process import marginal
from npdiff.pullback import differentiable
from npdiff.random import Key
from npdiff.schedules import Schedule, Times

#: From log-SNR to the weight of the squared error of eps, both float64 on the host.
Weighting = Callable[[np.ndarray], np.ndarray]


def simple(log_snr: np.ndarray) -> np.ndarray:
    r"""DDPM's simple objective: the error of the noise, unweighted.

    .. math::
        :label: simple-loss

        L_{\text{simple}} = \mathbb E_{t, x_0, \epsilon} \left[ \left\lVert
        \epsilon - \epsilon_\theta(\alpha_t x_0 + \sigma_t \epsilon,\, t) \right\rVert^2 \right]

    Notes
    -----
    Ho et al. 2020, section 3.4. As everywhere here the norm is a mean over elements.
    """
    return np.ones_like(log_snr)


def data(log_snr: np.ndarray) -> np.ndarray:
    r"""The error of the data, unweighted: 1 / SNR on the error of eps."""
    return np.exp(-log_snr)


def v(log_snr: np.ndarray) -> np.ndarray:
    r"""The error of v, unweighted, where variance is preserved: 1 + 1 / SNR on that of eps."""
    return 1.0 + np.exp(-log_snr)


def min_snr(log_snr: np.ndarray, gamma: float = 5.0) -> np.ndarray:
    r"""Min-SNR: the error of the data times SNR, which is held at gamma.

    .. math::
        :label: min-snr

        w(\lambda) = \frac{\min(e^{\lambda}, \gamma)}{e^{\lambda}}

    Notes
    -----
    Hang et al. 2023, section 3.4.
    """
    return np.minimum(1.0, gamma * np.exp(-log_snr))


def p2(log_snr: np.ndarray, k: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    r"""Perception-prioritised weighting: less weight where little noise is to be removed.

    .. math::
        :label: p2

        w(\lambda) = (k + e^{\lambda})^{-\gamma}

    Notes
    -----
    Choi et al. 2022, section 3.
    """
    return (k + np.exp(log_snr)) ** -gamma


def edm(log_snr: np.ndarray, sigma_data: float = 0.5) -> np.ndarray:
    r"""EDM's weighting, under which its F has unit weight at every noise level.

    .. math::
        :label: edm-weight

        w(\lambda) = e^{-\lambda}\, \frac{\varsigma^2 + \sigma_d^2}{(\varsigma\, \sigma_d)^2},
        \qquad \varsigma^2 = e^{-\lambda}

    The first factor turns the error of the data, of which EDM speaks, into that of eps.

    Notes
    -----
    Karras et al. 2022, section 5 and Table 1.
    """
    return 1.0 + np.exp(-log_snr) / sigma_data**2


#: Weightings by name.
WEIGHTINGS: dict[str, Weighting] = {
    "simple": simple,
    "x0": data,
    "v": v,
    "min-snr": min_snr,
    "p2": p2,
    "edm": edm,
}


def weight(schedule: Schedule, row: Row, weighting: Weighting, t: Times) -> np.ndarray:
    r"""A weighting in the units of a row's output.

    .. math::
        :label: output-weight

        w_{\text{output}} = w(\lambda_t)\, \frac{\alpha_t^2}{\Delta_t^2}

    Parameters
    ----------
    schedule : Schedule
    row : the parameterisation whose squared error is to be weighted
    weighting : from log-SNR to the weight of the squared error of eps
    t : time, a scalar or (N,)

    Returns
    -------
    float64 of the shape of ``t``
    """
    units = schedule.alpha(t) / row.determinant(schedule, t)
    return weighting(schedule.log_snr(t)) * units**2


class Example(NamedTuple):
    """One batch of training: what the network sees, should answer, and how much that counts.

    ``x_t`` and ``target`` are (N, ...) arrays, ``clock`` and ``weight`` (N,) arrays beside them;
    ``t`` and ``eps`` are kept for those who watch.
    """

    x_t: Array
    clock: Array
    target: Array
    weight: Array
    t: np.ndarray
    eps: Array


@dataclass(frozen=True)
class Objective:
    """What a network is trained on.

    Parameters
    ----------
    schedule : Schedule
    row : what the network's output means
    weighting : of the squared error of eps, a function of log-SNR
    """

    schedule: Schedule
    row: Row
    weighting: Weighting = field(default_factory=lambda: simple)

    def times(self, key: Key) -> np.ndarray:
        """One time a sample, on the host: uniform on 1..T of a chain, else on (t_min, t_max)."""
        key = key.fold("time")
        if self.schedule.steps is not None:
            return 1.0 + key.integers(self.schedule.steps)
        return self.schedule.t_min + (self.schedule.t_max - self.schedule.t_min) * key.uniform()

    def example(self, x_0: Array, key: Key) -> Example:
        """A draw of time and noise for each sample.

        Parameters
        ----------
        x_0 : (N, ...) array of data
        key : with N samples; the draw is a function of it and nothing else

        Raises
        ------
        InputError
            If the key has another number of samples.
        """
        if len(key.samples) != x_0.shape[0]:
            raise InputError(f"{x_0.shape[0]} samples but a key for {len(key.samples)}")
        xp, t = namespace(x_0), self.times(key)
        eps = key.fold("noise").normal(x_0.shape[1:], xp).astype(x_0.dtype)
        return Example(
            x_t=marginal(self.schedule, x_0, eps, t),
            clock=clock(self.schedule, x_0, t),
            target=self.row.target(self.schedule, x_0, eps, t),
            weight=xp.asarray(weight(self.schedule, self.row, self.weighting, t), dtype=x_0.dtype),
            t=t,
            eps=eps,
        )


@differentiable
def loss(output: Array, *, example: Example) -> tuple[Array, Callable[[Array], tuple[Array]]]:
    r"""The weighted squared error :eq:`squared-error` of a network's output.

    Parameters
    ----------
    output : array of the shape of ``example.target``
    example : what it was asked

    Returns
    -------
    loss : scalar array, the mean over samples and elements
    pullback : from a scalar to ``(doutput,)``
    """
    return squared_error(output, target=example.target, weight=example.weight)
