"""Checks of the keyed random numbers: the published words, and the samples made from them."""

import math
import zlib
from fractions import Fraction

import numpy as np

from npdiff.backend import to_host
from npdiff.laboratory.checks._philox import words_of
from npdiff.laboratory.registry import Case, check, relative
from npdiff.random import Key, philox
from npdiff.samplers.step import keyed_noise


@check("keyed-words", "box-muller", method="a key for each step", tolerance=0.0)
def noise_of_each_step(case: Case) -> float:
    """The noise of step i is that of the key at step i, whatever the key's step was."""
    key, shape = Key(case.index, (4, 1), 9, "noise"), case.choose([(2, 3), (2,), (2, 2, 1), (2, 1)])
    noise = keyed_noise(key, case.array(np.zeros(shape)))
    there = [Key(case.index, (4, 1), i, "noise").normal(shape[1:]) for i in (0, 1, 7)]
    pairs = zip((0, 1, 7), there, strict=True)
    return max(relative(noise(i), expected) for i, expected in pairs)


_ONES = 0xFFFFFFFF


#: Known answers published with the generator for 4x32-10: counter, key, words.
KNOWN = (
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    ((_ONES,) * 4, (_ONES,) * 2, (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD)),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
)


@check("philox", method="the published answers", tolerance=0.0, cases=3)
def philox_known_answers(case: Case) -> float:
    """The words that the authors publish for three counters and keys."""
    counter, key, words = case.choose(KNOWN)
    found = philox([case.xp.asarray([c], dtype=np.uint64) for c in counter], key, case.xp)
    return float([int(word[0]) for word in found] != list(words))


@check("philox", "keyed-words", method="Python integers", tolerance=0.0)
def words_in_integers(case: Case) -> float:
    """Every word of a key, with its counter built block by block and sample by sample."""
    seed = int(case.rng.integers(2**63)) * 2 + 1
    samples = case.rng.integers(2**32, size=3).tolist()
    step, stream = int(case.rng.integers(2**32)), f"noise/{case.index}"
    count = 4 + case.index * 3
    expected = [
        [
            word
            for block in range(-(-count // 4))
            for word in words_of(
                (block, sample, step, zlib.crc32(stream.encode())), (seed % 2**32, seed // 2**32)
            )
        ][:count]
        for sample in samples
    ]
    key = Key(seed, samples, step, "noise").fold(case.index)
    return float(to_host(key.bits(count, case.xp)).tolist() != expected)


@check("keyed-uniform", "keyed-integers", method="fractions", tolerance=0.0)
def samples_from_words(case: Case) -> dict[str, float]:
    """The middle of the word's cell in [0, 1]; and the cell of ``high`` that contains it."""
    key = Key(case.index, (3, 1, 4), 1, "u")
    words = to_host(key.bits(6)).tolist()
    found = to_host(key.uniform((2, 3), case.xp)).reshape(3, 6)
    exact = [[Fraction(2 * word + 1, 2**33) for word in row] for row in words]
    uniform = [[Fraction(u) for u in row] for row in found.tolist()]
    first = to_host(Key(case.index, (3, 1, 4), stream="u").bits(6)) == to_host(
        Key(case.index, (3, 1, 4), 0, "u").bits(6)
    )
    high = case.choose([1, 10, 1000, 2**32])
    cells = [math.floor(Fraction(row[0], 2**32) * high) for row in words]
    integers = to_host(key.integers(high, case.xp)).tolist()
    return {
        "keyed-uniform": float(uniform != exact or not first.all()),
        "keyed-integers": float(integers != cells),
    }


@check("box-muller", method="the transform inverted", tolerance=1e-12)
def normals_back_to_uniforms(case: Case) -> float:
    """Radius and angle of each pair, and from them the two uniform samples."""
    key, count = Key(case.index + 7, (2, 0, 5), 9, "n"), case.choose([6, 5, 8, 3])
    half = (count + 1) // 2
    u = to_host(key.uniform((2 * half,), case.xp))
    z = to_host(key.normal((count,), case.xp))
    off: list[float] = []
    for n, i in np.ndindex(3, count - half):
        a, b = z[n, i], z[n, half + i]
        off.append(float(abs(math.exp(-(a * a + b * b) / 2.0) - u[n, i])))
        off.append(float(abs((math.atan2(b, a) / (2.0 * math.pi)) % 1.0 - u[n, half + i])))
    return max(max(off), relative(to_host(key.normal((count, 1), case.xp))[..., 0], z))


@check("box-muller", "keyed-uniform", method="moments of many samples", tolerance=0.0349, cases=2)
def moments_of_draws(case: Case) -> dict[str, float]:
    """Four moments and products of neighbors, in standard deviations of one sample (allowed: 7)."""
    key = Key(2024 + case.index, range(40), stream="laws")
    z, u = (to_host(draw((1001,), case.xp)).ravel() for draw in (key.normal, key.uniform))

    def errors(x: np.ndarray, moments: dict[int, tuple[float, float]]) -> float:
        return max(
            abs((x**k).mean() - mean) / variance**0.5 for k, (mean, variance) in moments.items()
        )

    normal = errors(z, {1: (0.0, 1.0), 2: (1.0, 2.0), 3: (0.0, 15.0), 4: (3.0, 96.0)})
    uniform = errors(u - 0.5, {1: (0.0, 1 / 12), 2: (1 / 12, 1 / 180), 3: (0.0, 1 / 448)})
    return {
        "box-muller": max(normal, errors(z[1:] * z[:-1], {1: (0.0, 1.0)})),
        "keyed-uniform": uniform,
    }
