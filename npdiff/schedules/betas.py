"""Discrete schedules by their betas: DDPM's, improved DDPM's, latent diffusion's and others."""

from operator import index

import numpy as np

from npdiff.errors import InputError
from npdiff.schedules.continuous import cosine_log_alpha
from npdiff.schedules.discrete import DiscreteSchedule, zero_terminal_snr


def linear_betas(steps: int = 1000, first: float = 1e-4, last: float = 0.02) -> DiscreteSchedule:
    r"""DDPM's linear schedule.

    .. math::
        :label: linear-betas

        \beta_t = \beta_1 + \frac{t - 1}{T - 1} (\beta_T - \beta_1), \qquad t = 1, \dots, T

    Parameters
    ----------
    steps : T
    first, last : beta_1 and beta_T. They are not rescaled with T: chosen for T = 1000, they leave
        much of the signal at the end of a shorter schedule.

    Notes
    -----
    Ho et al. 2020, section 4.
    """
    return DiscreteSchedule(np.linspace(first, last, check_steps(steps)))


def cosine_betas(steps: int = 1000, s: float = 0.008, largest: float = 0.999) -> DiscreteSchedule:
    r"""The cosine schedule of improved DDPM, in T steps.

    .. math::
        :label: cosine-betas

        \beta_t = \min\!\left(1 - \frac{\bar\alpha(t/T)}{\bar\alpha((t-1)/T)},\; 0.999\right)

    with the alpha-bar(u) of :eq:`cosine-alpha-bar`. For T = 1000 one beta is clipped, the last.

    Parameters
    ----------
    steps : T
    s : the offset that keeps the first betas from vanishing
    largest : the value at which betas are clipped; alpha-bar would otherwise end at zero

    Notes
    -----
    Nichol and Dhariwal 2021, section 3.2.
    """
    return betas_from_alpha_bar(cosine_log_alpha(np.arange(check_steps(steps)) / steps, s), largest)


def invariant_linear_betas(
    steps: int = 1000, first: float = 1e-4, last: float = 0.02
) -> DiscreteSchedule:
    r"""DDPM's linear schedule with betas proportional to 1 / T: alpha_bar_T hardly depends on T.

    .. math::
        :label: invariant-linear-betas

        \beta_t = \frac{1000}{T} \left(\beta_1 + \frac{t - 1}{T - 1} (\beta_T - \beta_1)\right),
        \qquad t = 1, \dots, T

    With T = 1000 it is DDPM's; as T grows it approaches :eq:`linear-vp`.

    Parameters
    ----------
    steps : T; with the defaults more than 20, below which beta_T reaches 1
    first, last : beta_1 and beta_T for T = 1000

    Raises
    ------
    InputError
        If T is so small that a beta reaches 1.

    Notes
    -----
    From the program, not the paper, of Nichol and Dhariwal 2021.
    """
    scale = 1000.0 / check_steps(steps)
    if scale * max(first, last) >= 1.0:
        raise InputError(
            f"{steps} steps are too few: the largest beta would be "
            f"{scale * max(first, last):g} and must be below 1: use more steps or smaller betas"
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

    The defaults are those of Stable Diffusion. Much signal is left at T: alpha_T = 0.068. With
    DDPM's beta_1 and beta_T it is also called the quadratic schedule.

    Parameters
    ----------
    steps : T
    first, last : beta_1 and beta_T

    Raises
    ------
    InputError
        Unless both are in (0, 1).

    Notes
    -----
    From the program, not the paper, of Rombach et al. 2022, which calls it linear.
    """
    if not (first > 0.0 and last > 0.0):
        raise InputError(f"first and last must be positive betas, got {first} and {last}")
    return DiscreteSchedule(np.linspace(first**0.5, last**0.5, check_steps(steps)) ** 2)


def zero_snr_betas(
    steps: int = 1000, first: float = 0.00085, last: float = 0.012
) -> DiscreteSchedule:
    """The schedule of :func:`scaled_linear_betas`, rescaled by :eq:`zero-terminal-snr`."""
    return zero_terminal_snr(scaled_linear_betas(steps, first, last))


def sigmoid_alpha_bar_betas(
    steps: int = 1000,
    start: float = -3.0,
    end: float = 3.0,
    tau: float = 1.0,
    largest: float = 0.999,
) -> DiscreteSchedule:
    r"""The sigmoid schedule of alpha-bar: alpha-bar is a piece of the logistic function.

    .. math::
        :label: sigmoid-alpha-bar

        \bar\alpha(u) = \frac{\operatorname{sig}(v_1) - \operatorname{sig}(v_u)}
                             {\operatorname{sig}(v_1) - \operatorname{sig}(v_0)},
        \qquad v_u = \frac{\text{start} + u\, (\text{end} - \text{start})}{\tau},
        \qquad \operatorname{sig}(v) = \frac{1}{1 + e^{-v}}

    turned into betas and clipped as in :eq:`cosine-betas`. :func:`sigmoid_betas` is the other
    schedule of this name.

    Parameters
    ----------
    steps : T
    start, end : the ends of the piece of the logistic function
    tau : its temperature
    largest : the value at which betas are clipped

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
    u = np.arange(check_steps(steps)) / steps
    # 1 - ᾱ; sig(a) - sig(b) = sinh((a - b) / 2) / (2 cosh(a / 2) cosh(b / 2)), nothing cancels
    half = 0.5 * (end - start) / tau
    v = 0.5 * start / tau + u * half
    lost = np.sinh(u * half) / np.sinh(half) * np.cosh(0.5 * end / tau) / np.cosh(v)
    return betas_from_alpha_bar(0.5 * np.log1p(-lost), largest)


def sigmoid_betas(
    steps: int = 1000, first: float = 1e-4, last: float = 0.02, reach: float = 6.0
) -> DiscreteSchedule:
    r"""The sigmoid schedule of betas: beta is a piece of the logistic function.

    .. math::
        :label: sigmoid-betas

        \beta_t = \beta_1 + (\beta_T - \beta_1)\, \operatorname{sig}(v_t),
        \qquad v_t = r \left(2\, \frac{t - 1}{T - 1} - 1\right), \qquad t = 1, \dots, T

    with the logistic function of :eq:`sigmoid-alpha-bar`.

    Parameters
    ----------
    steps : T
    first, last : the limits of the logistic function, which beta_1 and beta_T do not quite reach
    reach : r, the largest argument of the logistic function

    Notes
    -----
    From the program of Xu et al. 2022 (GeoDiff).
    """
    v = np.linspace(-reach, reach, check_steps(steps))
    return DiscreteSchedule(first + (last - first) / (1.0 + np.exp(-v)))


def exponential_betas(steps: int = 1000, rate: float = 12.0) -> DiscreteSchedule:
    r"""Constant betas: every step removes the same fraction of the signal.

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
        raise InputError(f"rate must be positive and finite, got {rate}")
    return DiscreteSchedule(np.full(check_steps(steps), -np.expm1(-rate / steps)))


def betas_from_alpha_bar(log_alpha: np.ndarray, largest: float) -> DiscreteSchedule:
    """The schedule with this log alpha at t = 0..T - 1 and no signal at T, its betas clipped.

    Raises
    ------
    InputError
        If ``largest`` lies outside of (0, 1].
    """
    if not 0.0 < largest <= 1.0:
        raise InputError(f"largest, at which betas are clipped, must lie in (0, 1], got {largest}")
    betas = np.append(-np.expm1(2.0 * np.diff(log_alpha)), 1.0)  # ᾱ(1) = 0
    return DiscreteSchedule(np.minimum(betas, largest))


def check_steps(steps: int) -> int:
    """``steps``, if it is a positive integer; otherwise an InputError."""
    try:
        index(steps)
    except TypeError:
        raise InputError(f"steps must be an integer, got {steps!r}") from None
    if steps < 1:
        raise InputError(f"steps must be at least 1, got {steps}")
    return steps
