"""Checks of likelihoods of bytes."""

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.registry import Case, check, relative
from npdiff.likelihood import dequantize, dequantized_bits
from npdiff.random import Key


@check("dequantization", method="the bin of each value", tolerance=1e-12)
def bytes_from_their_bins(case: Case) -> float:
    """Rounding recovers the byte, and the position within its bin is uniform."""
    images = case.rng.integers(0, 256, (40, 25), dtype=np.uint8)
    x = dequantize(case.xp.asarray(images), Key(case.index, range(40)), np.float64)
    place = (to_host(x) + 1.0) * 255.0 / 2.0 + 0.5
    byte = np.floor(place)
    part = np.sort((place - byte).ravel())
    even = (np.arange(1000) + 0.5) / 1000
    uneven = float(np.abs(part - even).max()) > 1.95 / np.sqrt(1000)
    return max(relative(byte, images.astype(float)), float(uneven))


@check(
    "dequantized-bits", method="a density that is constant on each bin", tolerance=1e-12, cases=3
)
def bits_of_constant_bins(case: Case) -> float:
    """Jensen's inequality is tight: the bits are -log2 of the bytes' probabilities."""
    width = case.choose([1 / 127.5, 2 / 256, 1 / 256])
    probabilities = case.rng.dirichlet(np.ones(256), size=(5, 7))
    byte = case.rng.integers(0, 256, (5, 7))
    p = np.take_along_axis(probabilities, byte[..., None], -1)[..., 0]
    density = np.log(p / width).sum(axis=1)
    found = (
        dequantized_bits(density, 7) if case.index % 3 == 0 else dequantized_bits(density, 7, width)
    )
    return relative(found, -np.log2(p).mean(axis=1))
