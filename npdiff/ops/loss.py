"""Losses: squared error and cross-entropy."""

import math

from npdiff.backend import Array, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable


@differentiable
def squared_error(y: Array, *, target: Array, weight: Array | None = None) -> Traced:
    r"""The weighted mean squared error.

    .. math::
        :label: squared-error

        L = \frac{1}{N D} \sum_{n=1}^{N} w_n \lVert y_n - \hat y_n \rVert^2

    over N samples of D elements each. Pullback:

    .. math::
        :label: squared-error-pullback

        \bar y_n = \frac{2 w_n}{N D}\,(y_n - \hat y_n)\,\bar L

    Saves: ``difference``, ``weight``.

    Parameters
    ----------
    y : ``(N, ...)``, the output of a network
    target : array of the shape of ``y``
    weight : ``(N,)``, or None for ones

    Returns
    -------
    loss : scalar array
    pullback : ``dloss -> (dy,)``

    Raises
    ------
    InputError
        If the shapes differ.
    """
    if y.shape != target.shape:
        raise InputError(
            f"squared_error: the target must have the shape of the output, {y.shape}, "
            f"got {target.shape}"
        )
    xp = namespace(y)
    difference = y - target
    if weight is not None:
        weight = weight.reshape(-1, *(1,) * (y.ndim - 1))
    weighted = difference if weight is None else weight * difference
    per_element = 1.0 / math.prod(y.shape)

    def squared_error_pullback(dloss: Array) -> Cotangents:
        dy = difference * (2.0 * per_element * dloss)
        return (dy if weight is None else weight * dy,)

    return xp.vdot(weighted, difference) * per_element, squared_error_pullback


@differentiable
def cross_entropy(logits: Array, *, labels: Array) -> Traced:
    r"""The mean negative log-likelihood of the labels, in nats.

    .. math::
        :label: cross-entropy

        L = -\frac1N \sum_n \left( z_{n, l_n} - \log \sum_j e^{z_{n j}} \right)

    Pullback:

    .. math::
        :label: cross-entropy-pullback

        \bar z = \frac1N\,(\mathrm{softmax}(z) - \mathrm{onehot}(l))\,\bar L

    Saves: ``log_p``, ``chosen``.

    Parameters
    ----------
    logits : ``(N, K)``
    labels : ``(N,)`` integers in 0 .. K - 1

    Returns
    -------
    loss : scalar array, nats
    pullback : ``dloss -> (dlogits,)``
    """
    xp = namespace(logits)
    N, K = logits.shape
    chosen = labels[:, None] == xp.arange(K)
    log_p = logits - logits.max(axis=-1, keepdims=True)
    log_p = log_p - xp.log(xp.exp(log_p).sum(axis=-1, keepdims=True))

    def cross_entropy_pullback(dloss: Array) -> Cotangents:
        return ((xp.exp(log_p) - chosen) * (dloss / N),)

    return -xp.where(chosen, log_p, 0.0).sum() / N, cross_entropy_pullback
