"""Weightings: the weight of the squared error of eps as a function of log-SNR."""

from collections.abc import Callable

import numpy as np

#: From log-SNR to the weight of the squared error of eps; both are float64 on the host.
Weighting = Callable[[np.ndarray], np.ndarray]


def simple(log_snr: np.ndarray) -> np.ndarray:
    r"""DDPM's simple objective: weight 1 on the error of eps.

    .. math::
        :label: simple-loss

        L_{\text{simple}} = \mathbb E_{t, x_0, \epsilon} \left[ \left\lVert
        \epsilon - \epsilon_\theta(\alpha_t x_0 + \sigma_t \epsilon,\, t) \right\rVert^2 \right]

    Notes
    -----
    Ho et al. 2020, section 3.4. Here, as everywhere in npdiff, the norm is a mean over elements.
    """
    return np.ones_like(log_snr)


def x0(log_snr: np.ndarray) -> np.ndarray:
    r"""Weight 1 on the error of x_0, which is 1 / SNR on that of eps."""
    return np.exp(-log_snr)


def v(log_snr: np.ndarray) -> np.ndarray:
    r"""Weight 1 on the error of v, which is 1 + 1 / SNR on that of eps; variance preserving."""
    return 1.0 + np.exp(-log_snr)


def min_snr(log_snr: np.ndarray, gamma: float = 5.0) -> np.ndarray:
    r"""Min-SNR: the error of x_0 times the SNR, which is capped at gamma.

    .. math::
        :label: min-snr

        w(\lambda) = \frac{\min(e^{\lambda}, \gamma)}{e^{\lambda}}

    Notes
    -----
    Hang et al. 2023, section 3.4.
    """
    return np.minimum(1.0, gamma * np.exp(-log_snr))


def p2(log_snr: np.ndarray, k: float = 1.0, gamma: float = 1.0) -> np.ndarray:
    r"""Perception-prioritized (P2) weighting: less weight at low noise levels.

    .. math::
        :label: p2

        w(\lambda) = (k + e^{\lambda})^{-\gamma}

    Notes
    -----
    Choi et al. 2022, section 3.
    """
    return (k + np.exp(log_snr)) ** -gamma


def edm(log_snr: np.ndarray, sigma_data: float = 0.5) -> np.ndarray:
    r"""EDM's weighting, which gives F weight 1 at every noise level.

    .. math::
        :label: edm-weight

        w(\lambda) = e^{-\lambda}\, \frac{\varsigma^2 + \sigma_d^2}{(\varsigma\, \sigma_d)^2},
        \qquad \varsigma^2 = e^{-\lambda}

    The first factor converts the error of x_0, for which EDM states it, to that of eps.

    Notes
    -----
    Karras et al. 2022, section 5 and Table 1.
    """
    return 1.0 + np.exp(-log_snr) / sigma_data**2


def soft_min_snr(log_snr: np.ndarray, gamma: float = 4.0) -> np.ndarray:
    r"""A smooth version of min-SNR: gamma times P2 with k = gamma.

    .. math::
        :label: soft-min-snr

        w(\lambda) = \frac{\gamma}{e^{\lambda} + \gamma}

    As a weight of the error of F, for which the authors state it, it is
    :math:`(\varsigma \sigma_d)^2 / (\varsigma^2 + \sigma_d^2)^2` with
    :math:`\gamma = 1 / \sigma_d^2`.

    Notes
    -----
    Crowson et al. 2024, section 3.
    """
    return gamma / (np.exp(log_snr) + gamma)


def truncated_snr(log_snr: np.ndarray) -> np.ndarray:
    r"""Progressive distillation: the larger of the errors of x_0 and eps.

    .. math::
        :label: truncated-snr

        w(\lambda) = \frac{\max(e^{\lambda}, 1)}{e^{\lambda}}

    so that the error of x_0 keeps its weight where there is no signal.

    Notes
    -----
    Salimans and Ho 2022, section 4.
    """
    return np.maximum(1.0, np.exp(-log_snr))


def sigmoid(log_snr: np.ndarray, bias: float = 2.0) -> np.ndarray:
    r"""A sigmoid of log-SNR, decreasing, for the integral :eq:`weighted-loss`.

    .. math::
        :label: sigmoid-weight

        w(\lambda) = \frac{1}{1 + e^{\lambda - b}}

    A decreasing weight makes the loss a bound on the likelihood of noisy data.

    Notes
    -----
    Kingma and Gao 2023, section 4.
    """
    return 1.0 / (1.0 + np.exp(log_snr - bias))
