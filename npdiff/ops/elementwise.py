"""Activations, softmax and dropout."""

import math

from npdiff.acceleration import accelerated
from npdiff.backend import Array, erf, namespace
from npdiff.errors import InputError
from npdiff.pullback import Cotangents, Traced, differentiable
from npdiff.random import Key


@differentiable
@accelerated
def silu(x: Array) -> Traced:
    r"""The sigmoid linear unit.

    .. math::
        :label: silu

        \mathrm{silu}(x) = x\,\sigma(x) = v\,(1 + \tanh v), \qquad v = x / 2

    The second form cannot overflow, and array libraries compute tanh fast. Pullback:

    .. math::
        :label: silu-pullback

        \bar x = \tfrac12\,(1 + \tanh v)\,(1 + v\,(1 - \tanh v))\,\bar y

    Saves: ``x``.

    Parameters
    ----------
    x : array of any shape

    Returns
    -------
    y : array of the shape of ``x``
    pullback : ``dy -> (dx,)``

    Notes
    -----
    Hendrycks and Gimpel 2016, section 2; Ramachandran, Zoph and Le 2017, under the name swish.
    """
    xp = namespace(x)
    v = x * 0.5
    y = xp.tanh(v)
    y += 1.0
    y *= v

    def silu_pullback(dy: Array) -> Cotangents:
        v = x * 0.5
        tanh = xp.tanh(v)
        dx = 1.0 - tanh
        dx *= v
        dx += 1.0
        tanh += 1.0
        dx *= tanh
        dx *= 0.5
        dx *= dy
        return (dx,)

    return y, silu_pullback


@differentiable
def gelu(x: Array, *, approximate: bool = False) -> Traced:
    r"""The Gaussian error linear unit, exact or in the tanh approximation.

    .. math::
        :label: gelu

        \mathrm{gelu}(x) = x\,\Phi(x) = \frac{x}{2}\left(1 + \mathrm{erf}\frac{x}{\sqrt 2}\right)

    .. math::
        :label: gelu-tanh

        \mathrm{gelu}(x) \approx \frac{x}{2}
            \left(1 + \tanh\!\left(\sqrt{2/\pi}\,(x + 0.044715\,x^3)\right)\right)

    They differ by up to 5e-4: run a network with the form it was trained with. Pullbacks, with the
    normal density :math:`\varphi`, and with :math:`\tilde\Phi(x) = \tfrac12 (1 + \tanh u(x))`
    where u is the argument of tanh in the approximation:

    .. math::
        :label: gelu-pullback

        \bar x = (\Phi(x) + x\,\varphi(x))\,\bar y

    .. math::
        :label: gelu-tanh-pullback

        \bar x = \left( \tilde\Phi + 2 x\,\tilde\Phi\,(1 - \tilde\Phi)\,
            \sqrt{2/\pi}\,(1 + 3 \cdot 0.044715\,x^2) \right) \bar y

    Saves: ``x``.

    Parameters
    ----------
    x : array of any shape
    approximate : whether to use the tanh form

    Returns
    -------
    y : array of the shape of ``x``
    pullback : ``dy -> (dx,)``

    Notes
    -----
    Hendrycks and Gimpel 2016, section 2. The exact form needs SciPy.
    """
    xp = namespace(x)
    slope = math.sqrt(2.0 / math.pi)

    def gate(x: Array) -> Array:
        if approximate:
            return 0.5 * (1.0 + xp.tanh(slope * (x + 0.044715 * x * x * x)))
        return 0.5 * (1.0 + erf(x * math.sqrt(0.5)))

    def gelu_pullback(dy: Array) -> Cotangents:
        y = gate(x)
        if approximate:
            dgate = 2.0 * y * (1.0 - y) * slope * (1.0 + 3.0 * 0.044715 * x * x)
        else:
            dgate = xp.exp(-0.5 * x * x) * math.sqrt(0.5 / math.pi)
        return ((y + x * dgate) * dy,)

    return x * gate(x), gelu_pullback


@differentiable
@accelerated
def softmax(x: Array) -> Traced:
    r"""Softmax over the last axis.

    .. math::
        :label: softmax

        p_i = \frac{e^{x_i - m}}{\sum_j e^{x_j - m}}, \qquad m = \max_j x_j

    Pullback:

    .. math::
        :label: softmax-pullback

        \bar x_i = p_i \left(\bar p_i - \sum_j \bar p_j\,p_j\right)

    Saves: ``p``.

    Parameters
    ----------
    x : ``(..., L)``

    Returns
    -------
    p : ``(..., L)``, non-negative, with sum 1 over the last axis
    pullback : ``dp -> (dx,)``
    """
    xp = namespace(x)
    p = xp.exp(x - x.max(axis=-1, keepdims=True))
    p /= p.sum(axis=-1, keepdims=True)

    def softmax_pullback(dp: Array) -> Cotangents:
        return (p * (dp - (dp * p).sum(axis=-1, keepdims=True)),)

    return p, softmax_pullback


@differentiable
def dropout(x: Array, *, rate: float, key: Key | None) -> Traced:
    r"""Inverted dropout: keep each element with probability 1 - rate and scale it up.

    .. math::
        :label: dropout

        y = \frac{m}{1 - r}\,x, \qquad \bar x = \frac{m}{1 - r}\,\bar y,
        \qquad m = [u \ge r], \qquad u \sim \mathrm{U}(0, 1)

    The pullback draws the same mask from the key again, so nothing is saved. Without a key
    (sampling, evaluation) or at rate 0 this is the identity.

    Saves: nothing.

    Parameters
    ----------
    x : ``(N, ...)``
    rate : probability that an element is set to 0, in [0, 1)
    key : random key with N samples, from which the mask is drawn, or None

    Returns
    -------
    y : array of the shape of ``x``
    pullback : ``dy -> (dx,)``

    Raises
    ------
    InputError
        If the rate is outside [0, 1), or the number of samples of the key is not N.

    Notes
    -----
    Srivastava et al. 2014, section 4; inverted: scaled in training instead of at inference.
    """
    if not 0.0 <= rate < 1.0:
        raise InputError(f"dropout: the rate must be in [0, 1), got {rate}")
    if key is not None and len(key.samples) != x.shape[0]:
        raise InputError(f"dropout: the key has {len(key.samples)} samples, but x has {x.shape[0]}")
    xp, shape, dtype = namespace(x), x.shape[1:], x.dtype

    def masked(a: Array) -> Array:
        if key is None or rate == 0.0:
            return a
        return a * ((key.uniform(shape, xp) >= rate).astype(dtype) / (1.0 - rate))

    def dropout_pullback(dy: Array) -> Cotangents:
        return (masked(dy),)

    return masked(x), dropout_pullback
