r"""Prediction types: what a network's output means, as coefficients (a, b) of x_0 and eps.

.. math::
    :label: output

    \text{output} = a_t\, x_0 + b_t\, \epsilon

Together with :eq:`marginal` this is a system of two equations, whose solution gives x0_hat and
eps_hat from any output. Its determinant measures how well the choice is conditioned.

.. list-table::
    :header-rows: 1

    * - prediction
      - a
      - b
      - determinant
    * - ``eps``, the noise
      - 0
      - 1
      - :math:`\alpha`
    * - ``x0``, the data
      - 1
      - 0
      - :math:`-\sigma`
    * - ``v``
      - :math:`-\sigma`
      - :math:`\alpha`
      - :math:`\alpha^2 + \sigma^2`
    * - ``score``
      - 0
      - :math:`-1 / \sigma`
      - :math:`-\alpha / \sigma`
    * - ``velocity`` of the probability-flow ODE
      - :math:`\dot\alpha`
      - :math:`\dot\sigma`
      - :math:`\alpha \dot\sigma - \sigma \dot\alpha`
    * - ``edm``, the F of EDM, :math:`\rho = \sqrt{\sigma^2 + \alpha^2 \sigma_d^2}`
      - :math:`\sigma / (\sigma_d\, \rho)`
      - :math:`-\sigma_d\, \alpha / \rho`
      - :math:`-\rho / \sigma_d`
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from npdiff.backend import Array, per_sample
from npdiff.errors import InputError
from npdiff.registry import HasAttributes, Registry
from npdiff.schedules import Schedule, Times
from npdiff.schedules.base import Values, float_if_scalar

#: (a, b) at a time: floats for a scalar time, float64 arrays for an array.
Coefficients = tuple[Values, Values]


@dataclass(frozen=True)
class Parameterization:
    """A prediction type: the coefficients of x_0 and eps in a network's output.

    Parameters
    ----------
    name : its name on the command line and in checkpoints
    coefficients : maps (schedule, t) to (a, b)
    input_scale : maps (schedule, t) to the factor of x_t in the network's input (EDM's c_in); None
        if the network's input is x_t
    """

    name: str
    coefficients: Callable[[Schedule, Times], Coefficients]
    input_scale: Callable[[Schedule, Times], Values] | None = None

    def __post_init__(self) -> None:
        if self.coefficients.__doc__:
            object.__setattr__(self, "__doc__", self.coefficients.__doc__)

    def __repr__(self) -> str:
        return f"Parameterization({self.name!r})"

    def network_input(self, schedule: Schedule, x_t: Array, t: Times) -> Array:
        """The network's input at x_t.

        Parameters
        ----------
        schedule : Schedule
        x_t : (N, ...) array
        t : time, a scalar or (N,)
        """
        if self.input_scale is None:
            return x_t
        return per_sample(self.input_scale(schedule, t), x_t) * x_t

    def target(self, schedule: Schedule, x_0: Array, eps: Array, t: Times) -> Array:
        """The network's training target at x_t = alpha_t x_0 + sigma_t eps, :eq:`output`.

        Parameters
        ----------
        schedule : Schedule
        x_0, eps : (N, ...) arrays of one shape
        t : time, a scalar or (N,)
        """
        a, b = self.coefficients(schedule, t)
        return per_sample(a, x_0) * x_0 + per_sample(b, eps) * eps

    def determinant(self, schedule: Schedule, t: Times) -> Values:
        r"""The determinant of the system of :eq:`marginal` and :eq:`output`.

        .. math::
            :label: determinant

            \Delta_t = \alpha_t b_t - \sigma_t a_t

        Where it vanishes the output is a multiple of x_t and adds no information: ``eps`` at pure
        noise, ``x0`` at the data.
        """
        a, b = self.coefficients(schedule, t)
        return schedule.alpha(t) * b - schedule.sigma(t) * a

    def solve(self, schedule: Schedule, x_t: Array, output: Array, t: Times) -> tuple[Array, Array]:
        r"""The estimates x0_hat and eps_hat given by a network's output.

        .. math::
            :label: solution

            \hat x_0 = \frac{b_t\, x_t - \sigma_t\, \text{output}}{\Delta_t},
            \qquad
            \hat\epsilon = \frac{\alpha_t\, \text{output} - a_t\, x_t}{\Delta_t}

        Parameters
        ----------
        schedule : Schedule
        x_t, output : (N, ...) arrays of one shape
        t : time with noise, t > 0: a scalar or (N,)

        Returns
        -------
        x0_hat, eps_hat : (N, ...) arrays

        Raises
        ------
        InputError
            If the determinant is 0 or infinite, so that the output does not determine them.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # at t = 0: checked below
            a, b = self.coefficients(schedule, t)
            det = self.determinant(schedule, t)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if not np.all(np.isfinite(det) & (det != 0.0)):
            noisy = np.any(alpha == 0.0)
            raise InputError(
                f"prediction {self.name!r} cannot recover {'x_0' if noisy else 'eps'} at t = {t}, "
                f"where {'alpha' if noisy else 'sigma'} = 0: "
                f"use {'an earlier' if noisy else 'a later'} time, or another prediction type"
            )
        x0_hat = per_sample(b / det, x_t) * x_t - per_sample(sigma / det, x_t) * output
        eps_hat = per_sample(alpha / det, x_t) * output - per_sample(a / det, x_t) * x_t
        return x0_hat, eps_hat


def noise(schedule: Schedule, t: Times) -> Coefficients:
    """The noise eps: a = 0, b = 1 (Ho et al. 2020, section 3.2)."""
    t = schedule.time(t)
    return float_if_scalar(np.zeros_like(t)), float_if_scalar(np.ones_like(t))


def data(schedule: Schedule, t: Times) -> Coefficients:
    """The data x_0: a = 1, b = 0."""
    t = schedule.time(t)
    return float_if_scalar(np.ones_like(t)), float_if_scalar(np.zeros_like(t))


def v(schedule: Schedule, t: Times) -> Coefficients:
    r"""v, from progressive distillation.

    .. math::
        :label: v-prediction

        v = \alpha_t \epsilon - \sigma_t x_0

    Notes
    -----
    Salimans and Ho 2022, section 4 and appendix D.
    """
    return -schedule.sigma(t), schedule.alpha(t)


def score(schedule: Schedule, t: Times) -> Coefficients:
    r"""The score of q(x_t | x_0), whose mean given x_t is the score of q(x_t).

    .. math::
        :label: score

        \nabla_{x_t} \log q(x_t \mid x_0) = -\frac{\epsilon}{\sigma_t}

    Notes
    -----
    Vincent 2011; Song et al. 2021, section 3.3.
    """
    sigma = schedule.sigma(t)
    return float_if_scalar(np.zeros_like(sigma)), float_if_scalar(np.divide(-1.0, sigma))


def velocity(schedule: Schedule, t: Times) -> Coefficients:
    r"""The velocity of x_t at fixed x_0 and eps; its mean given x_t is the velocity of the flow.

    .. math::
        :label: velocity

        \dot x_t = \dot\alpha_t x_0 + \dot\sigma_t \epsilon

    Notes
    -----
    Lipman et al. 2023, section 4. For a discrete schedule the unit of time is one step.
    """
    return schedule.alpha_dot(t), schedule.sigma_dot(t)


def edm(sigma_data: float = 0.5) -> Parameterization:
    r"""The raw network F of EDM, for data of standard deviation ``sigma_data``.

    .. math::
        :label: edm-preconditioning

        \hat x_0 = \frac{\sigma_d^2}{\varsigma^2 + \sigma_d^2} \frac{x_t}{\alpha_t}
                 + \frac{\varsigma\, \sigma_d}{\sqrt{\varsigma^2 + \sigma_d^2}}\, F,
        \qquad \varsigma = \frac{\sigma_t}{\alpha_t}

    EDM has alpha = 1; this is the same in the coordinates x_t / alpha_t, for any schedule. The
    network's input is x_t scaled to unit variance by EDM's c_in:

    .. math::
        :label: edm-input

        \text{input} = \frac{x_t / \alpha_t}{\sqrt{\varsigma^2 + \sigma_d^2}}
                     = \frac{x_t}{\rho_t}

    Notes
    -----
    Karras et al. 2022, Eq. 7 and Table 1.
    """

    def rho(schedule: Schedule, t: Times) -> Values:
        return float_if_scalar(np.hypot(schedule.sigma(t), schedule.alpha(t) * sigma_data))

    def coefficients(schedule: Schedule, t: Times) -> Coefficients:
        alpha, sigma, rho_t = schedule.alpha(t), schedule.sigma(t), rho(schedule, t)
        return sigma / (sigma_data * rho_t), -sigma_data * alpha / rho_t

    return Parameterization("edm", coefficients, lambda schedule, t: 1.0 / rho(schedule, t))


#: Parameterizations by name.
PARAMETERIZATIONS: Registry[Parameterization, Parameterization] = Registry(
    "prediction type",
    "an npdiff.parameterization.Parameterization",
    HasAttributes("coefficients", "target", "solve"),
    {
        "eps": Parameterization("eps", noise),
        "x0": Parameterization("x0", data),
        "v": Parameterization("v", v),
        "score": Parameterization("score", score),
        "velocity": Parameterization("velocity", velocity),
        "edm": edm(),
    },
    factories={"edm": edm},
)
