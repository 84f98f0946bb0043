"""Normalization: over groups of channels and all positions, or over the channels of a position."""

from npdiff.acceleration import accelerated
from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
@accelerated
def group_norm(x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5) -> Traced:
    r"""Group normalization.

    .. math::
        :label: group-norm

        y = \gamma\,\hat x + \beta, \qquad \hat x = \frac{x - \mu_g}{\sqrt{v_g + \epsilon}}

    with the mean :math:`\mu_g` and the (biased) variance :math:`v_g` of each sample and group, over
    all positions and the C / G channels of the group. The variance is computed from x - mean: the
    difference E[x^2] - E[x]^2 would cancel in float32 when the mean is large. Pullback, where
    :math:`\langle\cdot\rangle` is the mean over a group:

    .. math::
        :label: group-norm-pullback

        \bar x = \frac{\gamma\bar y - \langle \gamma\bar y \rangle
            - \hat x\,\langle \gamma\bar y\,\hat x \rangle}{\sqrt{v_g + \epsilon}},
        \qquad \bar\gamma = \sum \hat x\,\bar y, \qquad \bar\beta = \sum \bar y

    Saves: ``x``, ``gamma``, ``mean``, ``rstd``.

    Parameters
    ----------
    x : ``(N, *space, C)``
    gamma, beta : ``(C,)``
    groups : number of groups, a divisor of C
    eps : added to the variance

    Returns
    -------
    y : ``(N, *space, C)``
    pullback : ``dy -> (dx, dgamma, dbeta)``

    Raises
    ------
    InputError
        If ``groups`` does not divide the number of channels.

    Notes
    -----
    Wu and He 2018, section 3. Published networks differ in eps (1e-5 or 1e-6).
    """
    xp = namespace(x)
    N, C, shape = x.shape[0], x.shape[-1], x.shape
    if C % groups:
        raise InputError(f"group_norm: {groups} groups do not divide {C} channels")

    def group_mean(a: Array) -> Array:
        """From sums over positions ``(N, C)`` to means over groups, repeated: ``(N, 1, C)``."""
        total = a.reshape(N, groups, -1).sum(axis=2) * (groups * N / x.size)
        repeated = xp.empty((N, groups, C // groups), dtype=total.dtype)
        repeated[...] = total[:, :, None]
        return repeated.reshape(N, 1, C)

    x_s = x.reshape(N, -1, C)  # (N, S, C): all positions on one axis
    mean = group_mean(x_s.sum(axis=1))
    y = x_s - mean
    rstd = 1.0 / xp.sqrt(group_mean(xp.einsum("nsc,nsc->nc", y, y)) + eps)
    y *= rstd * gamma
    y += beta

    def group_norm_pullback(dy: Array) -> Cotangents:
        dy = dy.reshape(N, -1, C)
        x_hat = x.reshape(N, -1, C) - mean
        x_hat *= rstd
        sum_dy = dy.sum(axis=1)  # (N, C)
        sum_dy_x = xp.einsum("nsc,nsc->nc", dy, x_hat)
        dx = dy * (rstd * gamma)  # term 1
        dx -= rstd * group_mean(gamma * sum_dy)  # term 2
        x_hat *= rstd * group_mean(gamma * sum_dy_x)
        dx -= x_hat  # term 3
        return dx.reshape(shape), sum_dy_x.sum(axis=0), sum_dy.sum(axis=0)

    return y.reshape(shape), group_norm_pullback


@differentiable
def layer_norm(x: Array, gamma: Array, beta: Array, *, eps: float = 1e-5) -> Traced:
    r"""Layer normalization of the last axis.

    .. math::
        :label: layer-norm

        y = \gamma\,\hat x + \beta, \qquad
        \hat x = \frac{x - \mu}{\sqrt{\langle (x - \mu)^2 \rangle + \epsilon}}, \qquad
        \mu = \langle x \rangle

    where :math:`\langle\cdot\rangle` is the mean over the C channels of one position. The pullback
    is :eq:`group-norm-pullback` with that mean; up to eps, a scaled projection:

    .. math::
        :label: layer-norm-pullback

        \bar x = \frac{1}{\sqrt{\langle (x - \mu)^2 \rangle + \epsilon}}
            \left(I - \frac{\mathbf 1 \mathbf 1^\top + \hat x\,\hat x^\top}{C}\right)
            (\gamma \odot \bar y)

    Saves: ``x``, ``gamma``, ``mean``, ``rstd``.

    Parameters
    ----------
    x : ``(..., C)``
    gamma, beta : ``(C,)``
    eps : added to the variance

    Returns
    -------
    y : ``(..., C)``
    pullback : ``dy -> (dx, dgamma, dbeta)``

    Notes
    -----
    Ba, Kiros and Hinton 2016, section 3.
    """
    xp = namespace(x)
    mean = x.mean(axis=-1, keepdims=True)
    y = x - mean
    rstd = 1.0 / xp.sqrt((y * y).mean(axis=-1, keepdims=True) + eps)
    y *= rstd
    y *= gamma
    y += beta

    def layer_norm_pullback(dy: Array) -> Cotangents:
        x_hat = (x - mean) * rstd
        dgamma = (dy * x_hat).reshape(-1, x.shape[-1]).sum(axis=0)
        dbeta = dy.reshape(-1, x.shape[-1]).sum(axis=0)
        dx_hat = dy * gamma
        along = (dx_hat * x_hat).mean(axis=-1, keepdims=True)  # the component along x_hat
        dx = rstd * (dx_hat - dx_hat.mean(axis=-1, keepdims=True) - x_hat * along)
        return dx, dgamma, dbeta

    return y, layer_norm_pullback
