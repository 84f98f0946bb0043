r"""Keyed random numbers: draws are functions of (seed, stream, step, sample), not of history.

The generator is Philox 4x32-10 (Salmon, Moraes, Dror and Shaw 2011): ten rounds of a keyed
bijection on a 128-bit counter. The key is the seed and the counter is (element block, sample, step,
stream). So no two draws share a counter, and a sample has the same noise for every batch split,
number of threads or machines, and backend, and after a run is resumed.
"""

import math
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.backend import Array
from npdiff.errors import InputError

_ROUNDS = 10
_MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
_WEYL = (0x9E3779B9, 0xBB67AE85)
_MASK = 0xFFFFFFFF


def philox(counter: Sequence[Array], key: tuple[int, int], xp: Any = np) -> list[Array]:
    r"""Philox 4x32-10: maps a counter of four words to four random words.

    .. math::
        :label: philox

        (c_0, c_1, c_2, c_3) \leftarrow \big(\mathrm{hi}(M_1 c_2) \oplus c_1 \oplus k_0,\;
            \mathrm{lo}(M_1 c_2),\; \mathrm{hi}(M_0 c_0) \oplus c_3 \oplus k_1,\;
            \mathrm{lo}(M_0 c_0)\big), \qquad k_i \leftarrow k_i + W_i \bmod 2^{32}

    ten times; hi and lo are the upper and lower 32 bits of a product of two words.

    Parameters
    ----------
    counter : four uint64 arrays that broadcast together, each element below 2**32
    key : two integers below 2**32
    xp : the array module

    Returns
    -------
    list of four uint64 arrays, each element below 2**32
    """
    c0, c1, c2, c3 = counter
    k0, k1 = key
    m0, m1 = (xp.uint64(m) for m in _MULTIPLIERS)
    shift, mask = xp.uint64(32), xp.uint64(_MASK)
    for _ in range(_ROUNDS):
        p0, p1 = c0 * m0, c2 * m1
        c0, c2 = (p1 >> shift) ^ c1 ^ xp.uint64(k0), (p0 >> shift) ^ c3 ^ xp.uint64(k1)
        c1, c3 = p1 & mask, p0 & mask
        k0, k1 = (k0 + _WEYL[0]) & _MASK, (k1 + _WEYL[1]) & _MASK
    return [c0, c1, c2, c3]


@dataclass(frozen=True)
class Key:
    """A random key: identifies draws by seed, samples, step and stream.

    Parameters
    ----------
    seed : int, below 2**64
    samples : sample indices, one for each row of a draw, each below 2**32
    step : int, below 2**32
    stream : str, the purpose of the draw, such as ``"noise"``, ``"time"`` or ``"dropout/down.0"``.
        Different streams are independent.

    Raises
    ------
    InputError
        If the seed, the step or a sample index is not an integer in its range.

    Examples
    --------
    The draw of a sample does not depend on the other samples:

    >>> both = Key(0, (3, 8)).normal((2,))
    >>> alone = Key(0, (8,)).normal((2,))
    >>> bool((both[1] == alone[0]).all())
    True
    """

    seed: int
    samples: Sequence[int] | np.ndarray
    step: int = 0
    stream: str = ""

    def __post_init__(self) -> None:
        for name, value, bits in (("seed", self.seed, 64), ("step", self.step, 32)):
            if not isinstance(value, int | np.integer) or not 0 <= value < 2**bits:
                raise InputError(
                    f"{name} must be an integer from 0 to 2**{bits} - 1, got {value!r}"
                )
        samples = np.asarray(self.samples)
        if samples.ndim != 1:
            raise InputError(f"samples must be a list of integers, got shape {samples.shape}")
        if samples.size and (
            samples.dtype.kind not in "iu" or samples.min() < 0 or samples.max() >= 2**32
        ):
            raise InputError(f"samples must be integers from 0 to 2**32 - 1, got {self.samples}")

    def fold(self, name: object) -> "Key":
        """The key of a sub-stream: ``key.fold("dropout").fold(2)``."""
        return Key(self.seed, self.samples, self.step, f"{self.stream}/{name}")

    def bits(self, count: int, xp: Any = np) -> Array:
        r"""``(N, count)`` random words: uint64 integers below 2**32.

        .. math::
            :label: keyed-words

            w_{n,\, 4 b + j} = \mathrm{Philox}_{\text{seed}}(
                b, \text{sample}_n, \text{step}, \mathrm{crc32}(\text{stream}))_j

        with the lower half of the seed as the first word of Philox's key.
        """
        blocks = -(-count // 4)
        samples = xp.asarray(np.asarray(self.samples, dtype=np.uint64))[:, None]
        counter = (
            xp.arange(blocks, dtype=xp.uint64)[None, :],
            samples,
            xp.uint64(self.step),
            xp.uint64(zlib.crc32(self.stream.encode())),
        )
        seed = int(self.seed)
        words = philox(counter, (seed & _MASK, seed >> 32), xp)
        return xp.stack(words, axis=-1).reshape(samples.shape[0], 4 * blocks)[:, :count]

    def uniform(self, shape: tuple[int, ...] = (), xp: Any = np) -> Array:
        r"""``(N, *shape)`` uniform draws from (0, 1), both ends excluded; float64.

        .. math::
            :label: keyed-uniform

            u = (w + \tfrac12)\, 2^{-32}
        """
        bits = self.bits(math.prod(shape), xp)
        return ((bits.astype(xp.float64) + 0.5) * 2.0**-32).reshape(-1, *shape)

    def normal(self, shape: tuple[int, ...] = (), xp: Any = np) -> Array:
        r"""``(N, *shape)`` standard normal draws; float64.

        .. math::
            :label: box-muller

            (z, z') = \sqrt{-2 \ln u}\; (\cos 2 \pi v,\; \sin 2 \pi v)

        with the uniform u from the first half of a row and v from the second; cosines come first.

        Notes
        -----
        Box and Muller 1958.
        """
        count = math.prod(shape)
        half = -(-count // 2)
        u = self.uniform((2 * half,), xp)
        radius = xp.sqrt(-2.0 * xp.log(u[:, :half]))
        angle = (2.0 * math.pi) * u[:, half:]
        pair = xp.concatenate([radius * xp.cos(angle), radius * xp.sin(angle)], axis=1)
        return pair[:, :count].reshape(-1, *shape)

    def integers(self, high: int, xp: Any = np) -> Array:
        r"""``(N,)`` uniform integers from 0 to high - 1; int64.

        .. math::
            :label: keyed-integers

            i = \lfloor w \cdot \text{high} \cdot 2^{-32} \rfloor

        The relative bias of each probability is below high / 2**32.

        Raises
        ------
        InputError
            If ``high`` is not between 1 and 2**32.
        """
        if not 1 <= high <= 2**32:
            raise InputError(f"high must be between 1 and 2**32, got {high}")
        return ((self.bits(1, xp)[:, 0] * xp.uint64(high)) >> xp.uint64(32)).astype(xp.int64)
