r"""What a network's output means: one row (a, b) for each of the field's parameterizations.

.. math::
    :label: output

    \text{output} = a_t\, x_0 + b_t\, \epsilon

Together with :eq:`marginal` this is a system of two equations, whose solution gives the clean data
and the noise from any output. Its determinant tells how well the choice is conditioned.

.. list-table::
    :header-rows: 1

    * - row
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
from npdiff.schedules import Schedule, Times

Coefficients = tuple[Times, Times]


@dataclass(frozen=True)
class Parameterization:
    """One meaning of a network's output: its coefficients of x_0 and of eps.

    Parameters
    ----------
    name : how the command line and a checkpoint call it
    coefficients : from the schedule and the time to (a, b), float64 on the host
    input_scale : from the schedule and the time to the factor of x_t in the network's input; None
        where the network is shown x_t itself
    """

    name: str
    coefficients: Callable[[Schedule, Times], Coefficients]
    input_scale: Callable[[Schedule, Times], np.ndarray] | None = None

    def network_input(self, schedule: Schedule, x_t: Array, t: Times) -> Array:
        """What the network is shown of x_t.

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
        """What the network should answer at x_t = alpha_t x_0 + sigma_t eps: :eq:`output`.

        Parameters
        ----------
        schedule : Schedule
        x_0, eps : (N, ...) arrays of one shape
        t : time, a scalar or (N,)
        """
        a, b = self.coefficients(schedule, t)
        return per_sample(a, x_0) * x_0 + per_sample(b, eps) * eps

    def determinant(self, schedule: Schedule, t: Times) -> np.ndarray:
        r"""The determinant of the system of :eq:`marginal` and :eq:`output`.

        .. math::
            :label: determinant

            \Delta_t = \alpha_t b_t - \sigma_t a_t

        Where it vanishes the output says nothing that x_t did not say already: ``eps`` at pure
        noise, ``x0`` at the data.
        """
        a, b = self.coefficients(schedule, t)
        return schedule.alpha(t) * b - schedule.sigma(t) * a

    def solve(self, schedule: Schedule, x_t: Array, output: Array, t: Times) -> tuple[Array, Array]:
        r"""The estimates of data and noise that an output stands for.

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
            If the determinant vanishes or is infinite: the output does not settle them.
        """
        with np.errstate(divide="ignore", invalid="ignore"):  # at t = 0: looked at below
            a, b = self.coefficients(schedule, t)
            det = self.determinant(schedule, t)
        alpha, sigma = schedule.alpha(t), schedule.sigma(t)
        if not (np.isfinite(det) & (det != 0.0)).all():
            end = "there is no signal" if (alpha == 0.0).any() else "there is no noise"
            raise InputError(
                f"the output {self.name!r} does not tell data and noise where {end}: "
                "sample from a time short of that, or choose another output"
            )
        x_0 = per_sample(b / det, x_t) * x_t - per_sample(sigma / det, x_t) * output
        eps = per_sample(alpha / det, x_t) * output - per_sample(a / det, x_t) * x_t
        return x_0, eps


def noise(schedule: Schedule, t: Times) -> Coefficients:
    """The noise eps (Ho et al. 2020, section 3.2)."""
    t = schedule.time(t)
    return np.zeros_like(t), np.ones_like(t)


def data(schedule: Schedule, t: Times) -> Coefficients:
    """The data x_0."""
    t = schedule.time(t)
    return np.ones_like(t), np.zeros_like(t)


def v(schedule: Schedule, t: Times) -> Coefficients:
    r"""The v of progressive distillation.

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
    return np.zeros_like(sigma), -1.0 / sigma


def velocity(schedule: Schedule, t: Times) -> Coefficients:
    r"""The velocity of x_t at fixed x_0 and eps; its mean given x_t is that of the flow.

    .. math::
        :label: velocity

        \dot x_t = \dot\alpha_t x_0 + \dot\sigma_t \epsilon

    Notes
    -----
    Lipman et al. 2023, section 4. For a chain the time unit is one step.
    """
    return schedule.alpha_dot(t), schedule.sigma_dot(t)


def edm(sigma_data: float = 0.5) -> Parameterization:
    r"""The raw network F of EDM, for data of standard deviation ``sigma_data``.

    .. math::
        :label: edm-preconditioning

        \hat x_0 = \frac{\sigma_d^2}{\varsigma^2 + \sigma_d^2} \frac{x_t}{\alpha_t}
                 + \frac{\varsigma\, \sigma_d}{\sqrt{\varsigma^2 + \sigma_d^2}}\, F,
        \qquad \varsigma = \frac{\sigma_t}{\alpha_t}

    EDM itself has alpha = 1; this is the same in the coordinates x_t / alpha_t, for any schedule.
    The network is shown x_t at unit variance, which is EDM's c_in:

    .. math::
        :label: edm-input

        \text{input} = \frac{x_t / \alpha_t}{\sqrt{\varsigma^2 + \sigma_d^2}}
                     = \frac{x_t}{\rho_t}

    Notes
    -----
    Karras et al. 2022, Eq. 7 and Table 1.
    """

    def rho(schedule: Schedule, t: Times) -> np.ndarray:
        return np.hypot(schedule.sigma(t), schedule.alpha(t) * sigma_data)

    def coefficients(schedule: Schedule, t: Times) -> Coefficients:
        alpha, sigma, deviation = schedule.alpha(t), schedule.sigma(t), rho(schedule, t)
        return sigma / (sigma_data * deviation), -sigma_data * alpha / deviation

    return Parameterization("edm", coefficients, lambda schedule, t: 1.0 / rho(schedule, t))


#: Parameterizations by name.
PARAMETERIZATIONS: dict[str, Parameterization] = {
    "eps": Parameterization("eps", noise),
    "x0": Parameterization("x0", data),
    "v": Parameterization("v", v),
    "score": Parameterization("score", score),
    "velocity": Parameterization("velocity", velocity),
    "edm": edm(),
}
