"""The trace of a denoiser's Jacobian: exactly, direction by direction, or from random probes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, Protocol

import numpy as np

from npdiff.backend import Array, namespace, per_sample
from npdiff.denoiser import Denoise, timestep
from npdiff.errors import InputError
from npdiff.parameterization import Parameterization
from npdiff.pullback import Traced
from npdiff.random import Key
from npdiff.schedules import Schedule, Times


class Linear(NamedTuple):
    """A denoiser at one point, to first order.

    Attributes
    ----------
    x_0 : the estimate x0_hat there, (N, ...)
    jacobian : v -> J v or v -> J^T v with its Jacobian by x: to a trace both are the same
    """

    x_0: Array
    jacobian: Callable[[Array], Array]


#: From (x, t) to what the denoiser is there, to first order.
Linearize = Callable[[Array, float], Linear]

#: Fourth-order central differences: multiples of the step, and their weights.
_STENCIL = ((1.0, 8.0 / 12.0), (-1.0, -8.0 / 12.0), (2.0, -1.0 / 12.0), (-2.0, 1.0 / 12.0))

PROBES = ("rademacher", "gaussian")


def by_differences(denoise: Denoise, schedule: Schedule, step: float = 0.01) -> Linearize:
    """Any denoiser, its Jacobian by central differences: four calls for each direction.

    Parameters
    ----------
    denoise : from (x, t) to (x0_hat, eps_hat)
    schedule : Schedule
    step : of the differences, in units of sigma_t. The error is of its fourth power; the rounding
        of float32 grows as it shrinks and wants 0.1 or so
    """

    def linearize(x: Array, t: float) -> Linear:
        h = step * float(schedule.sigma(t))

        def forward(v: Array) -> Array:
            parts = (c / h * denoise(x + (k * h) * v, t)[0] for k, c in _STENCIL)
            return sum(parts, namespace(x).zeros_like(x))

        return Linear(denoise(x, t)[0], forward)

    return linearize


def by_pullback(
    module: Callable[..., Traced],
    schedule: Schedule,
    parameterization: Parameterization,
    **conditions: Any,
) -> Linearize:
    """A network, its Jacobian by its own pullback: one backward pass for each direction.

    Parameters
    ----------
    module : called as ``module(x, timestep, **conditions)``, returns ``(output, pullback)``; the
        pullback returns the cotangents of the module, of x, and of what else it likes
    schedule : Schedule
    parameterization : what the output means
    conditions : what else the module is told
    """

    def linearize(x: Array, t: float) -> Linear:
        network_input = parameterization.network_input(schedule, x, t)
        output, vjp = module(network_input, timestep(schedule, x, t), **conditions)
        x_0, _ = parameterization.solve(schedule, x, output, t)
        _, b = parameterization.coefficients(schedule, t)
        determinant = parameterization.determinant(schedule, t)
        of_x, of_output = b / determinant, -schedule.sigma(t) / determinant

        def transposed(v: Array) -> Array:
            dnetwork_input = vjp(per_sample(of_output, v) * v)[1]
            return per_sample(of_x, v) * v + parameterization.network_input(
                schedule, dnetwork_input, t
            )

        return Linear(x_0, transposed)

    return linearize


class Known(Protocol):
    """A distribution whose perfect denoiser is known: one of :mod:`npdiff.exact`."""

    def denoised(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """E[x_0 | x_t = x]."""

    def jacobian(self, schedule: Schedule, x: Array, t: Times) -> Array:
        """Its derivative, (N, D, D)."""


def by_jacobian(distribution: Known, schedule: Schedule) -> Linearize:
    """The perfect denoiser of a distribution, with its Jacobian :eq:`denoiser-jacobian`."""

    def linearize(x: Array, t: float) -> Linear:
        jacobian = distribution.jacobian(schedule, x, t)

        def forward(v: Array) -> Array:
            rows = v.reshape(v.shape[0], 1, -1)
            return (jacobian * rows).sum(axis=-1).reshape(v.shape)

        return Linear(distribution.denoised(schedule, x, t), forward)

    return linearize


def probes(key: Key, x: Array, count: int = 1, kind: str = "rademacher") -> list[Array]:
    """Random directions of covariance I: signs, or standard normal numbers.

    Parameters
    ----------
    key : with N samples
    x : (N, ...) array, for its shape, dtype and backend
    count : how many directions
    kind : ``"rademacher"``, with which the diagonal of J adds no error, or ``"gaussian"``

    Raises
    ------
    InputError
        If the kind is unknown or the count not positive.
    """
    if kind not in PROBES or count < 1:
        raise InputError(f"expected one probe or more, of {' or '.join(PROBES)}")
    xp, shape = namespace(x), x.shape[1:]
    keys = [key.fold("probe").fold(k) for k in range(count)]
    if kind == "gaussian":
        return [one.normal(shape, xp).astype(x.dtype) for one in keys]
    size = int(np.prod(shape))
    bits = (one.bits(size, xp).reshape(-1, *shape) & xp.uint64(1) for one in keys)
    return [1.0 - 2.0 * bit.astype(x.dtype) for bit in bits]


def trace(
    jacobian: Callable[[Array], Array], x: Array, along: Sequence[Array] | None = None
) -> Array:
    r"""The trace of each sample's Jacobian, (N,).

    .. math::
        :label: hutchinson-trace

        \operatorname{tr} J = \sum_{d} e_d^\top J e_d
        = \mathbb E_v \left[ v^\top J v \right],
        \qquad \mathbb E [v v^\top] = I

    Parameters
    ----------
    jacobian : v -> J v or J^T v, sample by sample
    x : (N, ...) array, for its shape
    along : probes v, over which the second form is averaged; the D directions of the first form, if
        not given

    Notes
    -----
    Hutchinson 1990; Grathwohl et al. 2019 for its use here.
    """
    directions, share = (_basis(x), 1.0) if along is None else (along, 1.0 / len(along))
    return share * sum((v * jacobian(v)).reshape(x.shape[0], -1).sum(axis=1) for v in directions)


def _basis(x: Array) -> Iterator[Array]:
    xp = namespace(x)
    D = int(np.prod(x.shape[1:]))
    for d in range(D):
        direction = (xp.arange(D) == d).astype(x.dtype).reshape(1, *x.shape[1:])
        yield xp.broadcast_to(direction, x.shape)
