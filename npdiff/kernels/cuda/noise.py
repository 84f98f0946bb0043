"""Keyed normal noise drawn on the device; the step is read there too, so a graph can contain it."""

import math
import zlib

import numpy as np

from npdiff.backend import Array, namespace, to_host
from npdiff.kernels.cuda.device import device_of
from npdiff.kernels.cuda.program import THREADS, Program, grid
from npdiff.random import Key


def fill_normal(out: Array, samples: Array, step: Array, *, seed: int, stream: str) -> None:
    """Fill ``out`` with ``Key(seed, samples, step, stream).normal(...)``.

    The random bits are equal; the values differ by the rounding of logarithm and cosine.

    Parameters
    ----------
    out : ``(N, ...)``, C-contiguous, float32 or float64
    samples : ``(N,)`` uint64, on the device of ``out``
    step : a uint32 scalar on the device of ``out``
    seed, stream : seed and stream of the key
    """
    device, shape = device_of(out), out.shape[1:]
    if device is None:  # no kernel for these arrays: draw by the definition
        key = Key(seed, to_host(samples), int(to_host(step).item()), stream)
        out[...] = key.normal(shape, namespace(out)).astype(out.dtype)
        return
    count = math.prod(shape)
    if out.size:
        device.launch(
            Program("training", out.dtype.name), "keyed_normal",
            grid(len(out) * -(-count // 2)), THREADS,
            out, samples, step, out.shape[0], count,
            np.uint32(zlib.crc32(stream.encode())), np.uint64(seed),
        )  # fmt: skip
