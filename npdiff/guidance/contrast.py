r"""Remedies for the excess contrast of strong guidance: rescaling and dynamic thresholding.

Both multiply an estimate, so it matters which: a smaller x0_hat means a larger eps_hat. The other
estimate is recomputed, so that alpha_t x0_hat + sigma_t eps_hat is still x_t.
"""

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS, Parameterization
from npdiff.schedules import Schedule, Times

#: A standard deviation below this many rounding errors of the largest element counts as 0.
_ROUNDING = 16.0


def rescale_cfg(
    guided: Denoise,
    cond: Denoise,
    schedule: Schedule,
    phi: float = 0.7,
    parameterization: Parameterization = PARAMETERIZATIONS["x0"],
) -> Denoise:
    r"""Guidance rescale: the guided output with the standard deviation of the conditional one.

    .. math::
        :label: guidance-rescale

        \text{output} = \left( \phi\, \frac{\operatorname{std}(\text{output}_{\text{cond}})}
        {\operatorname{std}(\text{output}_{\text{guided}})} + 1 - \phi \right)
        \text{output}_{\text{guided}}

    with one standard deviation per sample, over all of its elements. A guided output that is
    constant up to rounding is left unchanged.

    Parameters
    ----------
    guided, cond : the denoiser with guidance, and the conditional one
    schedule : Schedule
    phi : from 0, no rescaling, to 1, the conditional standard deviation
    parameterization : the output that is rescaled: ``x0`` (default) acts on the image's contrast,
        ``v`` is the paper's model, ``eps`` is common in code. Their factors differ.

    Raises
    ------
    InputError
        If phi is not in [0, 1].

    Notes
    -----
    Lin et al. 2024, section 3.4, for networks that predict v.
    """
    if not 0.0 <= phi <= 1.0:
        raise InputError(f"phi must lie between 0 (no rescaling) and 1 (full rescaling), got {phi}")

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        output = parameterization.target(schedule, *guided(x, t), t)
        std_cond = _std(parameterization.target(schedule, *cond(x, t), t))
        std_guided, xp = _std(output), namespace(x)
        largest = xp.abs(output).reshape(x.shape[0], -1).max(axis=1).reshape(_column(x))
        varies = std_guided > _ROUNDING * float(xp.finfo(output.dtype).eps) * largest
        factor = xp.where(varies, std_cond, 1.0) / xp.where(varies, std_guided, 1.0)
        return parameterization.solve(schedule, x, (phi * factor + (1.0 - phi)) * output, t)

    return denoise


def dynamic_threshold(denoise: Denoise, schedule: Schedule, quantile: float = 0.995) -> Denoise:
    r"""Dynamic thresholding: x0_hat is clipped at a quantile of its magnitude and divided by it.

    .. math::
        :label: dynamic-thresholding

        s = \max\!\left(1,\; Q_p(\lvert \hat x_0 \rvert)\right),
        \qquad
        \hat x_0 \leftarrow \frac{\min(\max(\hat x_0, -s), s)}{s}

    with one quantile Q_p per sample, over all of its elements. Where s = 1 this is :eq:`clipping`;
    it never enlarges an estimate, because s is never below 1.

    Parameters
    ----------
    denoise : the denoiser, for data in [-1, 1]
    schedule : Schedule
    quantile : p, from 0 to 1; interpolated between elements

    Raises
    ------
    InputError
        If the quantile is not in [0, 1].

    Notes
    -----
    Saharia et al. 2022, section 2.3.
    """
    if not 0.0 <= quantile <= 1.0:
        raise InputError(f"quantile must lie between 0 and 1, got {quantile}")

    def clip_at_quantile(x: Array, t: Times) -> tuple[Array, Array]:
        x0_hat, _ = denoise(x, t)
        xp = namespace(x)
        magnitudes = xp.abs(x0_hat).reshape(x.shape[0], -1)
        s = xp.maximum(_quantile(magnitudes, quantile), 1.0).reshape(_column(x))
        x0_hat = xp.minimum(xp.maximum(x0_hat, -s), s) / s
        return PARAMETERIZATIONS["x0"].solve(schedule, x, x0_hat, t)

    return clip_at_quantile


def _column(x: Array) -> tuple[int, ...]:
    """The shape (N, 1, ..., 1), which broadcasts with ``x``."""
    return (-1, *(1,) * (x.ndim - 1))


def _std(x: Array) -> Array:
    """The standard deviation of each sample, (N, 1, ..., 1)."""
    return x.reshape(x.shape[0], -1).std(axis=1).reshape(_column(x))


def _quantile(rows: Array, p: float) -> Array:
    """The p-quantile of each row, (N,), interpolated between elements."""
    last = rows.shape[1] - 1
    below = int(p * last)
    ordered = namespace(rows).sort(rows, axis=1)
    low, high = ordered[:, below], ordered[:, min(below + 1, last)]
    return low + (p * last - below) * (high - low)
