"""Embeddings: table lookup for symbols, sinusoidal features for timesteps."""

import math

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable

#: Layouts of the sines and cosines in published networks.
VARIANTS = ("ddpm", "adm", "transformer")


@differentiable
def embedding(table: Array, *, index: Array) -> Traced:
    r"""Table lookup: one row for each index; and its pullback.

    .. math::
        :label: embedding

        y_n = W_{i_n}, \qquad \bar W_j = \sum_{n:\,i_n = j} \bar y_n

    Saves: ``index``.

    Parameters
    ----------
    table : ``(V, E)``
    index : integers of any shape, each in 0 .. V - 1

    Returns
    -------
    y : ``(*index.shape, E)``
    pullback : ``dy -> (dtable,)``

    Raises
    ------
    InputError
        If an index is outside the table. Checked on the host only: on a GPU the check would
        synchronize.
    """
    xp, shape, dtype = namespace(table), table.shape, table.dtype
    if xp is np and index.size and not 0 <= index.min() <= index.max() < len(table):
        raise InputError(
            f"embedding: got indices from {index.min()} to {index.max()}, "
            f"but the table has rows 0 to {len(table) - 1}"
        )

    def embedding_pullback(dy: Array) -> Cotangents:
        dtable = xp.zeros(shape, dtype=dtype)
        xp.add.at(dtable, index, dy)
        return (dtable,)

    return table[index], embedding_pullback


@differentiable
def sinusoidal(t: Array, *, width: int, variant: str = "adm", longest: float = 10_000.0) -> Traced:
    r"""Sinusoidal features: sines and cosines of t at geometrically spaced frequencies.

    .. math::
        :label: sinusoidal

        \omega_i = P^{-i/(h - \delta)}, \quad i = 0 \dots h - 1, \quad
        h = \lfloor \text{width}/2 \rfloor, \qquad y = (\sin \omega t, \cos \omega t)

    Published networks use three layouts. ``"ddpm"`` is [sin, cos] with :math:`\delta = 1`,
    ``"adm"`` (also Stable Diffusion) is [cos, sin] with :math:`\delta = 0`, and
    ``"transformer"`` alternates sin, cos with :math:`\delta = 0`. With an odd width the last
    feature is 0. Pullback, with the cotangents :math:`\bar s` of the sines and :math:`\bar c` of
    the cosines:

    .. math::
        :label: sinusoidal-pullback

        \bar t = \sum_i \omega_i\,(\bar s_i \cos \omega_i t - \bar c_i \sin \omega_i t)

    Saves: ``t``.

    Parameters
    ----------
    t : ``(N,)``
    width : number of features, at least 4
    variant : ``"ddpm"``, ``"adm"`` or ``"transformer"``
    longest : P, the ratio of the longest to the shortest wavelength

    Returns
    -------
    y : ``(N, width)``, of the dtype of ``t``
    pullback : ``dy -> (dt,)``

    Raises
    ------
    InputError
        If the variant is unknown, the width is below 4, or ``t`` is an integer array.

    Notes
    -----
    Vaswani et al. 2017, section 3.5; Ho et al. 2020, appendix B.
    """
    if variant not in VARIANTS:
        raise InputError(
            f"sinusoidal: unknown variant {variant!r}: choose one of {', '.join(VARIANTS)}"
        )
    if width < 4:
        raise InputError(f"sinusoidal: width must be at least 4, got {width}")
    if t.dtype.kind != "f":
        raise InputError(
            f"sinusoidal: t must have a floating-point dtype, got {t.dtype}: cast it first"
        )
    xp, half = namespace(t), width // 2
    rate = -math.log(longest) / (half - (variant == "ddpm"))
    sines, cosines = {
        "ddpm": (slice(0, half), slice(half, 2 * half)),
        "adm": (slice(half, 2 * half), slice(0, half)),
        "transformer": (slice(0, 2 * half, 2), slice(1, 2 * half, 2)),
    }[variant]

    def omega() -> Array:
        return xp.exp(xp.arange(half, dtype=t.dtype) * rate)

    angle = t[:, None] * omega()
    y = xp.zeros((t.shape[0], width), dtype=t.dtype)
    y[:, sines], y[:, cosines] = xp.sin(angle), xp.cos(angle)

    def sinusoidal_pullback(dy: Array) -> Cotangents:
        angle = t[:, None] * omega()
        dangle = xp.cos(angle) * dy[:, sines] - xp.sin(angle) * dy[:, cosines]
        return ((dangle * omega()).sum(axis=1),)

    return y, sinusoidal_pullback
