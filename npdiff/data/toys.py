r"""Toy data: densities in the plane with exact samples and an exact log-density.

Each has ``sample(key)``, which returns one point per sample of the key, float64 of shape (N, 2);
and ``log_density(x)``, the natural logarithm of the density at points of shape (..., 2), minus
infinity where the density is 0. All but the mixtures are a change of variables,

.. math::
    y = f(x) \quad\Longrightarrow\quad
    \log p_Y(y) = \log p_X\big(f^{-1}(y)\big)
        - \log \left| \det \frac{\partial f}{\partial x} \right| .
"""

import math
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from npdiff.random import Key


class Density(Protocol):
    """A density in the plane that can be sampled and evaluated."""

    def sample(self, key: Key) -> np.ndarray:
        """One point per sample of the key, (N, 2)."""
        ...

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log-density in nats at points (..., 2)."""
        ...


def _log_normal_density(z: np.ndarray, std: float = 1.0) -> np.ndarray:
    return -0.5 * (z / std) ** 2 - math.log(std * math.sqrt(2.0 * math.pi))


def _rotate(x: np.ndarray, angle: np.ndarray) -> np.ndarray:
    """The points rotated about the origin, counterclockwise."""
    cos, sin = np.cos(angle), np.sin(angle)
    return np.stack([cos * x[..., 0] - sin * x[..., 1], sin * x[..., 0] + cos * x[..., 1]], axis=-1)


@dataclass(frozen=True)
class Pinwheel:
    """Gaussian blades around a circle, twisted about the origin; twist 0 gives a ring.

    The twist rotates each point by ``twist`` times its distance from the origin. A rotation whose
    angle depends only on the distance preserves area, so its determinant is 1.
    """

    blades: int = 5
    radius: float = 1.2
    radial_std: float = 0.35
    tangential_std: float = 0.1
    twist: float = 1.0

    def sample(self, key: Key) -> np.ndarray:
        """One point per sample of the key, (N, 2)."""
        z = key.fold("point").normal((2,)) * np.array([self.radial_std, self.tangential_std])
        blade = key.fold("blade").integers(self.blades)
        x = _rotate(z + np.array([self.radius, 0.0]), (2.0 * math.pi / self.blades) * blade)
        return _rotate(x, self.twist * np.linalg.norm(x, axis=-1))

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log-density in nats at points (..., 2)."""
        x = _rotate(x, -self.twist * np.linalg.norm(x, axis=-1))
        blades = []
        for blade in range(self.blades):
            z = _rotate(x, np.asarray(-2.0 * math.pi * blade / self.blades)) - np.array(
                [self.radius, 0.0]
            )
            radial = _log_normal_density(z[..., 0], self.radial_std)
            blades.append(radial + _log_normal_density(z[..., 1], self.tangential_std))
        return np.logaddexp.reduce(blades, axis=0) - math.log(self.blades)


@dataclass(frozen=True)
class Banana:
    """Two standard normal variables bent into a parabola: (z_1, z_2 / 2 + bend (z_1^2 - 1))."""

    bend: float = 0.5

    def sample(self, key: Key) -> np.ndarray:
        """One point per sample of the key, (N, 2)."""
        z = key.fold("point").normal((2,))
        return np.stack([z[:, 0], 0.5 * z[:, 1] + self.bend * (z[:, 0] ** 2 - 1.0)], axis=-1)

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log-density in nats at points (..., 2); the determinant is 1 / 2."""
        z_1 = x[..., 0]
        z_2 = 2.0 * (x[..., 1] - self.bend * (z_1**2 - 1.0))
        return _log_normal_density(z_1) + _log_normal_density(z_2) + math.log(2.0)


@dataclass(frozen=True)
class Moons:
    """Two interleaved half circles; the angle is uniform, the log radius normal.

    In polar coordinates dx = r dr dtheta = r^2 dlog(r) dtheta, so the determinant is r^2.
    """

    std: float = 0.1

    def sample(self, key: Key) -> np.ndarray:
        """One point per sample of the key, (N, 2)."""
        angle = math.pi * key.fold("angle").uniform()
        radius = np.exp(self.std * key.fold("radius").normal())
        upper = np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=-1)
        side = 1.0 - 2.0 * key.fold("moon").integers(2)
        return side[:, None] * (upper - np.array([0.5, 0.25]))

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log-density in nats at points (..., 2)."""
        moons = []
        for side in (1.0, -1.0):
            u, v = np.moveaxis(side * x + np.array([0.5, 0.25]), -1, 0)
            log_r = 0.5 * np.log(np.maximum(u**2 + v**2, np.finfo(np.float64).tiny))
            log_p = _log_normal_density(log_r, self.std) - 2.0 * log_r - math.log(math.pi)
            moons.append(np.where(v > 0.0, log_p, -math.inf))
        return np.logaddexp(*moons) - math.log(2.0)


@dataclass(frozen=True)
class Checkerboard:
    """Uniform on the black squares of a board on [-2, 2]^2; ``rows`` must be even."""

    rows: int = 4

    def sample(self, key: Key) -> np.ndarray:
        """One point per sample of the key, (N, 2)."""
        row = key.fold("row").integers(self.rows)
        column = 2 * key.fold("column").integers(self.rows // 2) + row % 2
        within = key.fold("point").uniform((2,))
        return (np.stack([column, row], axis=-1) + within) * (4.0 / self.rows) - 2.0

    def log_density(self, x: np.ndarray) -> np.ndarray:
        """The log-density in nats at points (..., 2)."""
        square = np.floor((x + 2.0) * (self.rows / 4.0))
        black = (square.sum(axis=-1) % 2 == 0) & np.all(np.abs(x) < 2.0, axis=-1)
        return np.where(black, -math.log(8.0), -math.inf)


#: Toy densities by name.
TOYS: dict[str, Density] = {
    "ring": Pinwheel(blades=8, radius=1.5, radial_std=0.15, tangential_std=0.15, twist=0.0),
    "pinwheel": Pinwheel(),
    "banana": Banana(),
    "moons": Moons(),
    "checkerboard": Checkerboard(),
}
