"""Weightings: how much an error counts at each log-SNR, stated once for all parameterisations."""

from collections.abc import Callable

import numpy as np

from npdiff.parameterisation import Row
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
