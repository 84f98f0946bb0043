"""The chains that have a name beside DDPM's linear and improved DDPM's cosine."""

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.discrete import (
    DiscreteSchedule,
    alpha_bar_betas,
    checked_steps,
    zero_terminal_snr,
)


def invariant_linear_betas(
    steps: int = 1000, first: float = 1e-4, last: float = 0.02
) -> DiscreteSchedule:
    r"""DDPM's linear schedule, scaled so that a chain of any length ends alike.

    .. math::
        :label: invariant-linear-betas

        \beta_t = \frac{1000}{T} \left(\beta_1 + \frac{t - 1}{T - 1} (\beta_T - \beta_1)\right),
        \qquad t = 1, \dots, T

    With T = 1000 it is DDPM's own, and as T grows it becomes :eq:`linear-vp`.

    Parameters
    ----------
    steps : T; with the defaults more than 20, below which beta_T reaches 1
    first, last : beta_1 and beta_T of the chain of 1000 steps

    Raises
    ------
    InputError
        If the chain is so short that a beta reaches 1.

    Notes
    -----
    Nichol and Dhariwal 2021, in whose program, not paper, it stands.
    """
    scale = 1000.0 / checked_steps(steps)
    if scale * max(first, last) >= 1.0:
        raise InputError(
            f"a chain of {steps} steps is too short: the largest beta would be "
            f"{scale * max(first, last):g}, and it has to stay below 1"
        )
    return DiscreteSchedule(scale * np.linspace(first, last, steps))


def scaled_linear_betas(
    steps: int = 1000, first: float = 0.00085, last: float = 0.012
) -> DiscreteSchedule:
    r"""The schedule of latent diffusion: the square root of beta is linear.

    .. math::
        :label: scaled-linear-betas

        \sqrt{\beta_t} = \sqrt{\beta_1}
        + \frac{t - 1}{T - 1} \left(\sqrt{\beta_T} - \sqrt{\beta_1}\right), \qquad t = 1, \dots, T

    The defaults are those of Stable Diffusion. Much signal is left at T: alpha_T = 0.068. With the
    ends of DDPM it is elsewhere called the quadratic schedule.

    Parameters
    ----------
    steps : T
    first, last : beta_1 and beta_T

    Raises
    ------
    InputError
        Unless both are positive, and below 1.

    Notes
    -----
    Rombach et al. 2022, in whose program, not paper, it stands; there it is called linear.
    """
    if not (first > 0.0 and last > 0.0):
        raise InputError(f"expected positive betas, got {first} and {last}")
    return DiscreteSchedule(np.linspace(first**0.5, last**0.5, checked_steps(steps)) ** 2)


def zero_snr_betas(
    steps: int = 1000, first: float = 0.00085, last: float = 0.012
) -> DiscreteSchedule:
    """The chain of :func:`scaled_linear_betas`, rescaled by :eq:`zero-terminal-snr`."""
    return zero_terminal_snr(scaled_linear_betas(steps, first, last))


def sigmoid_alpha_bar(
    steps: int = 1000,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    largest: float = 0.999,
) -> DiscreteSchedule:
    r"""The sigmoid schedule: alpha-bar runs down a piece of the logistic function.

    .. math::
        :label: sigmoid-alpha-bar

        \bar\alpha(u) = \frac{\operatorname{sig}(v_1) - \operatorname{sig}(v_u)}
                             {\operatorname{sig}(v_1) - \operatorname{sig}(v_0)},
        \qquad v_u = \frac{\text{start} + u\, (\text{end} - \text{start})}{\tau},
        \qquad \operatorname{sig}(v) = \frac{1}{1 + e^{-v}}

    cut into betas and clipped as in :eq:`cosine-betas`. See :func:`sigmoid_betas` for the
    other schedule of this name.

    Parameters
    ----------
    steps : T
    start, end : the piece of the logistic function
    tau : its temperature
    largest : where the betas are clipped

    Raises
    ------
    InputError
        Unless start < end and tau > 0.

    Notes
    -----
    Jabri et al. 2023, Figure 8; tau after Chen 2023.
    """
    if not (start < end and tau > 0.0):
        raise InputError(f"expected start < end and tau > 0, got {start}, {end} and {tau}")
    u = np.arange(checked_steps(steps)) / steps
    # 1 - ᾱ; sig(a) - sig(b) = sinh((a - b) / 2) / (2 cosh(a / 2) cosh(b / 2)), nothing cancels
    half = 0.5 * (end - start) / tau
    v = 0.5 * start / tau + u * half
    lost = np.sinh(u * half) / np.sinh(half) * np.cosh(0.5 * end / tau) / np.cosh(v)
    return alpha_bar_betas(0.5 * np.log1p(-lost), largest)


def sigmoid_betas(
    steps: int = 1000, first: float = 1e-4, last: float = 0.02, reach: float = 6.0
) -> DiscreteSchedule:
    r"""The other sigmoid schedule: the betas run up the logistic function.

    .. math::
        :label: sigmoid-betas

        \beta_t = \beta_1 + (\beta_T - \beta_1)\, \operatorname{sig}(v_t),
        \qquad v_t = r \left(2\, \frac{t - 1}{T - 1} - 1\right), \qquad t = 1, \dots, T

    with the logistic function of :eq:`sigmoid-alpha-bar`.

    Parameters
    ----------
    steps : T
    first, last : the betas that the logistic function runs between, and does not quite reach
    reach : r, how far to either side

    Notes
    -----
    Xu et al. 2022 (GeoDiff), in whose program it stands.
    """
    v = np.linspace(-reach, reach, checked_steps(steps))
    return DiscreteSchedule(first + (last - first) / (1.0 + np.exp(-v)))


def exponential_betas(steps: int = 1000, rate: float = 12.0) -> DiscreteSchedule:
    r"""A chain that loses the same share of its signal in every step.

    .. math::
        :label: exponential-alpha-bar

        \bar\alpha(u) = e^{-r u}
        \quad\Rightarrow\quad
        \beta_t = 1 - e^{-r / T}

    In continuous time it is :eq:`linear-vp` with beta_min = beta_max = r. With r = 12 the first of
    1000 steps adds noise of standard deviation 0.11.

    Parameters
    ----------
    steps : T
    rate : r

    Raises
    ------
    InputError
        Unless the rate is positive.
    """
    if not 0.0 < rate < np.inf:
        raise InputError(f"expected a positive rate, got {rate}")
    return DiscreteSchedule(np.full(checked_steps(steps), -np.expm1(-rate / steps)))
