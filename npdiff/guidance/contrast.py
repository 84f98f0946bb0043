r"""What strong guidance does to contrast, and two remedies: rescaling and dynamic thresholding.

Both change an estimate by a factor, so it matters on which estimate they act: a smaller x0_hat is
a larger eps_hat. Each derives the other estimate anew, so that the two still add up to x_t.
"""

from npdiff.backend import Array, namespace
from npdiff.denoiser import Denoise
from npdiff.errors import InputError
from npdiff.parameterization import PARAMETERIZATIONS, Parameterization
from npdiff.schedules import Schedule, Times

#: A standard deviation counts as 0 below so many units of rounding of the largest element.
_ROUNDING = 16.0


def rescale_cfg(
    guided: Denoise,
    cond: Denoise,
    schedule: Schedule,
    phi: float = 0.7,
    parameterization: Parameterization = PARAMETERIZATIONS["x0"],
) -> Denoise:
    r"""Guidance rescale: the guided output with the spread of the conditional one.

    .. math::
        :label: guidance-rescale

        \text{output} = \left( \phi\, \frac{\operatorname{std}(\text{output}_{\text{cond}})}
        {\operatorname{std}(\text{output}_{\text{guided}})} + 1 - \phi \right)
        \text{output}_{\text{guided}}

    with one standard deviation a sample, over all of its elements. A guided output without any
    spread (beyond rounding) is left as it is.

    Parameters
    ----------
    guided, cond : the denoiser with guidance, and the conditional one
    schedule : Schedule
    phi : from 0, nothing, to 1, the conditional spread itself
    parameterization : of which output: ``x0`` (default) acts on the picture's contrast, ``v`` is the paper's
        model, ``eps`` is common in code. They differ: the factor of one is not that of another.

    Raises
    ------
    InputError
        If phi lies outside of [0, 1].

    Notes
    -----
    Lin et al. 2024, section 3.4, for networks that predict v.
    """
    if not 0.0 <= phi <= 1.0:
        raise InputError(f"phi lies between 0 (no rescaling) and 1 (all of it), got {phi}")

    def denoise(x: Array, t: Times) -> tuple[Array, Array]:
        output = parameterization.target(schedule, *guided(x, t), t)
        wanted = _std(parameterization.target(schedule, *cond(x, t), t))
        spread, xp = _std(output), namespace(x)
        size = xp.abs(output).reshape(x.shape[0], -1).max(axis=1).reshape(_column(x))
        some = spread > _ROUNDING * float(xp.finfo(output.dtype).eps) * size
        factor = xp.where(some, wanted, 1.0) / xp.where(some, spread, 1.0)
        return parameterization.solve(schedule, x, (phi * factor + (1.0 - phi)) * output, t)

    return denoise


def dynamic_threshold(denoise: Denoise, schedule: Schedule, quantile: float = 0.995) -> Denoise:
    r"""Dynamic thresholding: x0_hat is clipped at a quantile of its own and scaled to [-1, 1].

    .. math::
        :label: dynamic-thresholding

        s = \max\!\left(1,\; Q_p(\lvert \hat x_0 \rvert)\right),
        \qquad
        \hat x_0 \leftarrow \frac{\min(\max(\hat x_0, -s), s)}{s}

    with one quantile Q_p a sample, over all of its elements. Where s = 1 this is plain clipping
    :eq:`clipping`; it never enlarges an estimate, because s is never below 1.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat), for data in [-1, 1]
    schedule : Schedule
    quantile : p, from 0 to 1; between two elements it is interpolated

    Raises
    ------
    InputError
        If the quantile lies outside of [0, 1].

    Notes
    -----
    Saharia et al. 2022, section 2.3.
    """
    if not 0.0 <= quantile <= 1.0:
        raise InputError(f"a quantile lies between 0 and 1, got {quantile}")

    def denoise_thresholded(x: Array, t: Times) -> tuple[Array, Array]:
        x_0, _ = denoise(x, t)
        xp = namespace(x)
        rows = xp.abs(x_0).reshape(x.shape[0], -1)
        s = xp.maximum(_quantile(rows, quantile), 1.0).reshape(_column(x))
        return PARAMETERIZATIONS["x0"].solve(schedule, x, xp.minimum(xp.maximum(x_0, -s), s) / s, t)

    return denoise_thresholded


def _column(x: Array) -> tuple[int, ...]:
    """The shape of one number a sample, beside ``x``."""
    return (-1, *(1,) * (x.ndim - 1))


def _std(x: Array) -> Array:
    """The standard deviation of each sample, (N, 1, ..., 1)."""
    return x.reshape(x.shape[0], -1).std(axis=1).reshape(_column(x))


def _quantile(rows: Array, p: float) -> Array:
    """The p-quantile of each row, (N,), interpolated between neighbors."""
    last = rows.shape[1] - 1
    below = int(p * last)
    ordered = namespace(rows).sort(rows, axis=1)
    low, high = ordered[:, below], ordered[:, min(below + 1, last)]
    return low + (p * last - below) * (high - low)
