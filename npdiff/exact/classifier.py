r"""The classifier of a mixture's components, which knows the noise."""

from collections.abc import Callable

from npdiff.backend import Array
from npdiff.exact.mixture import Mixture
from npdiff.schedules import Schedule, Times


def class_gradient(mixture: Mixture, schedule: Schedule, k: int) -> Callable[[Array, Times], Array]:
    r"""The gradient of the log-probability of a component given a noisy sample.

    .. math::
        :label: class-gradient

        \nabla_x \log r_k(x_t) = \nabla_x \log q_k(x_t) - \nabla_x \log q(x_t)

    with the responsibilities :eq:`responsibilities`. It turns the denoiser of the mixture into that
    of the component, by :func:`npdiff.guidance.classifier_guidance`.

    Parameters
    ----------
    mixture : Mixture
    schedule : Schedule
    k : which component

    Returns
    -------
    callable
        From (x, t), t > 0, to an array of the shape of x.
    """
    component = mixture.components[k]

    def gradient(x: Array, t: Times) -> Array:
        return component.score(schedule, x, t) - mixture.score(schedule, x, t)

    return gradient
