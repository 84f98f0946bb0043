r"""AdamW, gradient clipping, the learning rate and the moving average of the weights.

All are maps over trees: a model, its gradient, its two moments and its average have one structure.
There is no hidden state: the index of the step is an argument, counted from 1.
"""

import math
from typing import Any, TypeVar

from npdiff import tree
from npdiff.backend import Array, namespace
from npdiff.tree import Module

T = TypeVar("T")


class Moments(Module):
    """Adam's running means of the gradient and of its square."""

    first: Any
    second: Any

    @classmethod
    def zero(cls, model: object) -> "Moments":
        """The moments before the first step."""
        return cls(first=tree.zeros_like(model), second=tree.zeros_like(model))


class State(Module):
    """Everything that the next step depends on, apart from its index and the configuration."""

    model: Any
    average: Any
    moments: Any

    @classmethod
    def initial(cls, model: Any) -> "State":
        """The state before the first step: the average starts at the weights."""
        return cls(model=model, average=model, moments=Moments.zero(model))


def adamw(
    model: T,
    gradient: T,
    moments: Moments,
    *,
    step: int,
    learning_rate: float,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
) -> tuple[T, Moments]:
    r"""One step of AdamW: Adam with weight decay outside the moments.

    .. math:: :label: adamw

        m_n &= \beta_1 m_{n-1} + (1 - \beta_1)\, g_n, \qquad
        v_n = \beta_2 v_{n-1} + (1 - \beta_2)\, g_n^2, \\
        \theta_n &= (1 - \eta_n \lambda)\, \theta_{n-1} - \eta_n\,
        \frac{m_n / (1 - \beta_1^n)}{\sqrt{v_n / (1 - \beta_2^n)} + \epsilon} .

    Parameters
    ----------
    model, gradient : trees of one shape
    moments : the moments after step n - 1
    step : n, counted from 1
    learning_rate : :math:`\eta_n`
    betas : :math:`(\beta_1, \beta_2)`
    eps : :math:`\epsilon`
    weight_decay : :math:`\lambda`, for parameters of two or more axes: a bias or a gain has one
        and is not decayed

    Returns
    -------
    model, moments : the trees after step n; the arguments are left as they were

    Notes
    -----
    Loshchilov and Hutter 2019, Algorithm 2, with the decay multiplied by the learning rate; the
    moments and their bias corrections are those of Kingma and Ba 2015, Algorithm 1.
    """
    beta_1, beta_2 = betas
    correction_1, correction_2 = 1.0 - beta_1**step, 1.0 - beta_2**step

    first = tree.map(lambda m, g: beta_1 * m + (1.0 - beta_1) * g, moments.first, gradient)
    second = tree.map(lambda v, g: beta_2 * v + (1.0 - beta_2) * (g * g), moments.second, gradient)

    def update(theta: Array, m: Array, v: Array) -> Array:
        scale = namespace(v).sqrt(v / correction_2)
        scale += eps
        kept = 1.0 - learning_rate * weight_decay if theta.ndim > 1 else 1.0
        return kept * theta - (learning_rate / correction_1) * (m / scale)

    return tree.map(update, model, first, second), Moments(first=first, second=second)


def global_norm(gradient: object) -> Array:
    r"""The Euclidean norm of all leaves of a tree: a float64 scalar of its backend.

    .. math:: :label: global-norm

        \lVert g \rVert = \Big( \sum_{\text{arrays}} \sum_i g_i^2 \Big)^{1/2}

    Summed in float64, so that the rounding error does not grow with the model, and without a
    threaded dot product, whose order of summation varies.
    """
    parts = [
        namespace(leaf).sum(namespace(leaf).square(leaf, dtype=namespace(leaf).float64))
        for leaf in tree.leaves(gradient)
    ]
    return namespace(parts[0]).sqrt(sum(parts[1:], parts[0]))


def clip(gradient: T, norm: float, limit: float) -> T:
    r"""The gradient scaled down to a norm of at most ``limit``.

    .. math:: :label: gradient-clipping

        g \leftarrow g\, \min(1, c / \lVert g \rVert)

    Notes
    -----
    Pascanu, Mikolov and Bengio 2013, Algorithm 1.
    """
    factor = clip_factor(norm, limit)
    return gradient if factor == 1.0 else tree.scale(gradient, factor)


def clip_factor(norm: float, limit: float) -> float:
    """The factor by which :func:`clip` scales a gradient of this norm."""
    return 1.0 if norm <= limit else limit / norm


def learning_rate(
    step: int, *, peak: float, steps: int, warmup: int = 0, decay: str = "constant"
) -> float:
    r"""The learning rate of step n = 1 .. ``steps``: a linear warm-up, then a decay.

    .. math:: :label: learning-rate

        \eta_n = \eta \cdot \begin{cases}
        n / W & n \le W \\
        \tfrac12 (1 + \cos \pi p) & \text{cosine} \\
        1 - p & \text{linear} \\
        1 & \text{constant}
        \end{cases} \qquad p = \frac{n - 1 - W}{S - W}

    with warm-up W and S steps in total. The last step has p < 1, so its rate is not 0.

    Notes
    -----
    The cosine is that of Loshchilov and Hutter 2017, Eq. 5, without restarts.
    """
    if step <= warmup:
        return peak * step / warmup
    if decay == "constant":
        return peak
    progress = (step - 1 - warmup) / (steps - warmup)
    return peak * (
        0.5 * (1.0 + math.cos(math.pi * progress)) if decay == "cosine" else 1 - progress
    )


def ema_decay(step: int, decay: float) -> float:
    r"""The decay of the moving average at step n, warmed up so that it forgets the initialization.

    .. math:: :label: ema-warm-up

        d_n = \min\!\left(d, \frac{1 + n}{10 + n}\right)

    Notes
    -----
    The rule of TensorFlow's ``ExponentialMovingAverage``, which diffusion codes adopted.
    """
    return min(decay, (1.0 + step) / (10.0 + step))


def ema(average: T, model: T, decay: float) -> T:
    r"""One step of the exponential moving average of the weights.

    .. math:: :label: weight-average

        \bar\theta_n = d\, \bar\theta_{n-1} + (1 - d)\, \theta_n
    """
    return tree.map(lambda old, new: decay * old + (1.0 - decay) * new, average, model)
