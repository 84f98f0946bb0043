"""Group normalization, modulation and SiLU in one launch, and their pullback in one."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.kernels.cuda.device import Device, contiguous, device_of
from npdiff.kernels.cuda.program import THREADS, Program
from npdiff.pullback import Cotangents, Traced

#: Smallest number of channels in a block: a warp reads as many at once.
WARP = 32


@dataclass(frozen=True)
class FusedNorm:
    r"""silu((1 + scale) group_norm(x) + offset), with or without silu, scale and offset.

    Parameters
    ----------
    device : the device of the arrays
    x : ``(N, *space, C)``, C-contiguous
    gamma, beta : ``(C,)``
    scale, offset : ``(N, C)``, or None
    groups, eps : of the normalization
    silu : whether SiLU follows
    """

    device: Device
    x: Array
    gamma: Array
    beta: Array
    scale: Array | None
    offset: Array | None
    groups: int
    eps: float
    silu: bool

    @property
    def _group_size(self) -> int:
        return self.x.shape[-1] // self.groups

    @property
    def _width(self) -> int:
        """Channels of a block: one group, or as many small groups as fit a warp."""
        return self._group_size * min(self.groups, max(1, WARP // self._group_size))

    def _launch(self, kernel: str, *args: Any) -> None:
        N, C, width = self.x.shape[0], self.x.shape[-1], self._width
        S = math.prod(self.x.shape[1:-1])
        block = width * min(max(1, THREADS // width), S)
        self.device.launch(
            Program("norm", self.x.dtype.name), kernel, (-(-C // width), N), block,
            *args[:-1], S, C, self._group_size, width, *args[-1],
        )  # fmt: skip

    def value(self) -> tuple[Array, tuple[Array, Array]]:
        """The value; and mean and rstd, ``(N, G)``, for :meth:`recompute` and :meth:`pullback`."""
        xp, x = namespace(self.x), self.x
        y = xp.empty(x.shape, dtype=x.dtype)
        mean, rstd = (xp.empty((x.shape[0], self.groups), dtype=x.dtype) for _ in range(2))
        parts = (self.gamma, self.beta, self.scale, self.offset)
        tail = (float(self.eps), int(self.silu))
        self._launch("norm_silu", x, *parts, y, mean, rstd, tail)
        return y, (mean, rstd)

    def recompute(self, statistics: tuple[Array, Array]) -> Array:
        """The value again, from the statistics."""
        y = namespace(self.x).empty(self.x.shape, dtype=self.x.dtype)
        parts = (self.gamma, self.beta, self.scale, self.offset)
        self._launch("norm_silu_recompute", self.x, *parts, y, *statistics, (int(self.silu),))
        return y

    def pullback(
        self, dy: Array, statistics: tuple[Array, Array]
    ) -> tuple[Array, Array, Array, Array | None, Array | None]:
        """The cotangents of x, gamma, beta, scale and offset."""
        xp, x = namespace(self.x), self.x
        dx = xp.empty(x.shape, dtype=x.dtype)
        sum_dz, sum_dz_x = (xp.empty((x.shape[0], x.shape[-1]), dtype=x.dtype) for _ in range(2))
        parts = (self.gamma, self.beta, self.scale, self.offset)
        self._launch(
            "norm_silu_pullback",
            *(x, contiguous(dy), *parts, *statistics, dx, sum_dz, sum_dz_x),
            (int(self.silu),),
        )
        dscale = None
        along, along_x = sum_dz, sum_dz_x
        if self.scale is not None:
            dscale = self.gamma * sum_dz_x + self.beta * sum_dz
            gain = 1.0 + self.scale
            along, along_x = gain * sum_dz, gain * sum_dz_x
        doffset = None if self.offset is None else sum_dz
        return dx, along_x.sum(axis=0), along.sum(axis=0), dscale, doffset


def fused_norm(
    x: Array,
    gamma: Array,
    beta: Array,
    scale: Array | None,
    offset: Array | None,
    *,
    groups: int,
    eps: float,
    silu: bool,
) -> FusedNorm | None:
    """The normalization of these arrays, or None if the kernel does not cover them."""
    device = device_of(x, gamma, beta, scale, offset)
    if device is None or x.size == 0 or x.ndim < 2:
        return None
    N, C = x.shape[0], x.shape[-1]
    fits = gamma.shape == beta.shape == (C,) and C % groups == 0 and C // groups <= THREADS
    modulated = [a for a in (scale, offset) if a is not None]
    if not fits or any(a.shape != (N, C) for a in modulated) or np.iinfo(np.uint16).max <= N:
        return None
    x, gamma, beta = (contiguous(a) for a in (x, gamma, beta))
    scale, offset = (None if a is None else contiguous(a) for a in (scale, offset))
    return FusedNorm(device, x, gamma, beta, scale, offset, groups, eps, silu)


def group_norm(
    x: Array, gamma: Array, beta: Array, *, groups: int, eps: float = 1e-5
) -> Traced | None:
    """See :func:`npdiff.ops.group_norm`."""
    norm = fused_norm(x, gamma, beta, None, None, groups=groups, eps=eps, silu=False)
    if norm is None:
        return None
    y, statistics = norm.value()

    def group_norm_pullback(dy: Array) -> Cotangents:
        return norm.pullback(dy, statistics)[:3]

    return y, group_norm_pullback
