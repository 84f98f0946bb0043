"""Errata of networks: attention and time embeddings."""

import math

import numpy as np

from npdiff.laboratory.errata.record import QUOTED, READ, Occurrence, Residuals, erratum
from npdiff.ops import attention, sinusoidal


def _off(found: np.ndarray, expected: np.ndarray) -> float:
    """The relative error in norm."""
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


def _by_loops(q: np.ndarray, k: np.ndarray, v: np.ndarray, heads: int) -> np.ndarray:
    """Attention of one sample, (L, E), in loops over heads and queries."""
    d, out = q.shape[1] // heads, np.zeros_like(q)
    for head in range(heads):
        columns = slice(head * d, (head + 1) * d)
        for i, query in enumerate(q[:, columns]):
            scores = [math.fsum(query * key) / math.sqrt(d) for key in k[:, columns]]
            odds = [math.exp(score - max(scores)) for score in scores]
            out[i, columns] = sum(
                p * row for p, row in zip(odds, v[:, columns], strict=True)
            ) / sum(odds)
    return out


def _tokens(count: int, width: int) -> list[np.ndarray]:
    return list(np.random.default_rng(0).standard_normal((3, count, width)))


@erratum(
    "keys-before-queries",
    title="Attention with the product of keys and queries transposed",
    occurrences=(
        Occurrence(
            "numpy-ml, DotProductAttention: the formula of the docstring; the code is right",
            READ,
        ),
    ),
    wrong=r"\operatorname{softmax}\!\left( \frac{K Q^\top}{\sqrt d} \right) V",
    right=r"\operatorname{softmax}\!\left( \frac{Q K^\top}{\sqrt d} \right) V",
    labels=("attention",),
    method="sums over keys, one query at a time",
    tolerance=1e-12,
    impact="With as many queries as keys the shapes fit, and the output is {off:.0%} off, because "
    "each row is then normalized over queries. In self-attention the shapes always fit, so only a "
    "comparison of values detects the mistake.",
)
def keys_before_queries() -> Residuals:
    """The softmax runs over the last axis, which must be that of the keys, whose values are
    averaged."""
    q, k, v = _tokens(7, 8)
    expected = _by_loops(q, k, v, heads=1)
    scores = k @ q.T / math.sqrt(8.0)
    odds = np.exp(scores - scores.max(axis=1, keepdims=True))
    printed = odds / odds.sum(axis=1, keepdims=True) @ v
    found, _ = attention(q[None], k[None], v[None], heads=1)
    wrong = _off(printed, expected)
    return Residuals(wrong, _off(found[0], expected), {"off": wrong})


@erratum(
    "heads-for-their-width",
    title="The number of heads, named as the width of a head",
    occurrences=(
        Occurrence(
            "diffusers #2011 and #3797: attention_head_dim of the first U-Nets is the number of "
            "heads",
            QUOTED,
        ),
    ),
    wrong=r"d = 8, \qquad E / d = 40 \text{ heads}",
    right=r"8 \text{ heads}, \qquad d = E / 8 = 40",
    labels=("attention", "self-attention"),
    method="attention with 8 heads of width 40, in loops over heads, queries and keys",
    tolerance=1e-12,
    impact="The weights have the same shapes either way, so a checkpoint loads without error. "
    "With 320 channels, as in Stable Diffusion 1's first level, the output for random tokens is "
    "{off:.0%} off; the scale is {scale:.4f} instead of {right_scale:.4f}.",
)
def heads_for_their_width() -> Residuals:
    """A port of the network from its configuration file takes 8 as the width of a head."""
    q, k, v = _tokens(5, 320)
    expected = _by_loops(q, k, v, heads=8)
    forty, _ = attention(q[None], k[None], v[None], heads=40)
    eight, _ = attention(q[None], k[None], v[None], heads=8)
    wrong = _off(forty[0], expected)
    figures = {"off": wrong, "scale": 1.0 / math.sqrt(8.0), "right_scale": 1.0 / math.sqrt(40.0)}
    return Residuals(wrong, _off(eight[0], expected), figures)


def _transformer(t: float, width: int) -> np.ndarray:
    """The transformer's embedding in the layout [cos, sin]."""
    angles = [t / 10_000.0 ** (2.0 * i / width) for i in range(width // 2)]
    return np.array([math.cos(a) for a in angles] + [math.sin(a) for a in angles])


@erratum(
    "half-or-half-less-one",
    title="Two frequency spacings under one name",
    occurrences=(
        Occurrence(
            "diffusion (DDPM), nn.py: get_timestep_embedding divides by half_dim - 1; see #15",
            QUOTED,
        ),
        Occurrence(
            "kohya sd-scripts #1187: one network's weights with the other's embedding", QUOTED
        ),
    ),
    wrong=r"\omega_i = 10000^{-i / (h - 1)} \quad\text{for weights trained with } h",
    right=r"\omega_i = 10000^{-i / h} = 10000^{-2 i / \text{width}}",
    labels=("sinusoidal", "time-embedding"),
    method="the transformer's formula, one element at a time",
    tolerance=1e-12,
    impact="At width 320 the embedding of t = 500 is {off:.0%} off in norm, that of t = 5 "
    "{early:.1%}. Neither spacing is wrong in itself: in the transformer's text the wavelengths "
    "end at 2 pi 10000, which holds with h - 1, and its formula has h. A network needs the "
    "spacing with which it was trained.",
)
def half_or_half_less_one() -> Residuals:
    """In DDPM's program the lowest frequency is exactly 1 / 10000; guided-diffusion and Stable
    Diffusion follow the transformer's formula, which stops one frequency before it."""

    def embedded(t: float, variant: str) -> np.ndarray:
        y, _ = sinusoidal(np.array([t]), width=320, variant=variant)
        return y[0]

    def as_cos_sin(y: np.ndarray) -> np.ndarray:
        return np.concatenate([y[160:], y[:160]])

    expected = {t: _transformer(t, 320) for t in (5.0, 500.0)}
    wrong = {t: _off(as_cos_sin(embedded(t, "ddpm")), e) for t, e in expected.items()}
    right = max(_off(embedded(t, "adm"), e) for t, e in expected.items())
    return Residuals(wrong[500.0], right, {"off": wrong[500.0], "early": wrong[5.0]})


@erratum(
    "sines-for-cosines",
    title="Exchanged halves of a time embedding",
    occurrences=(
        Occurrence("flashinfer #3819: [sin, cos] for a network trained with [cos, sin]", QUOTED),
    ),
    wrong=r"y = (\sin \omega t,\, \cos \omega t)",
    right=r"y = (\cos \omega t,\, \sin \omega t) \quad\text{if the network was trained with it}",
    labels=("sinusoidal",),
    method="cosines and sines of the same angles, one element at a time",
    tolerance=1e-12,
    impact="The embedding is {off:.0%} off in norm at t = 500 and {early:.0%} at t = 5, and has "
    "the right shape, mean square and frequencies, so no statistic of it reveals the exchange.",
)
def sines_for_cosines() -> Residuals:
    """In DDPM the sines come first, in guided-diffusion and Stable Diffusion the cosines."""

    def exchanged(t: float) -> np.ndarray:
        y, _ = sinusoidal(np.array([t]), width=320, variant="adm")
        return np.concatenate([y[0, 160:], y[0, :160]])

    expected = {t: _transformer(t, 320) for t in (5.0, 500.0)}
    wrong = {t: _off(exchanged(t), e) for t, e in expected.items()}
    right = max(
        _off(sinusoidal(np.array([t]), width=320, variant="adm")[0][0], e)
        for t, e in expected.items()
    )
    return Residuals(wrong[500.0], right, {"off": wrong[500.0], "early": wrong[5.0]})
