"""Checks of the layers and blocks of :mod:`npdiff.nn`: each written out, all its gradients."""

import math
from typing import Any

import numpy as np

from npdiff import nn, tree
from npdiff.backend import to_host
from npdiff.laboratory.checks import textbook
from npdiff.laboratory.complex_step import compare_trees
from npdiff.laboratory.registry import Case, check, relative
from npdiff.nn import init
from npdiff.random import Key


def _moved(case: Case, layer: Any) -> Any:
    """A layer in float64 with every weight moved, so that no zero hides what is wrong."""
    return tree.map(lambda w: w + 0.4 * case.rng.standard_normal(w.shape), layer)


def _linear(x: Any, layer: Any) -> Any:
    return np.einsum("...c,cf->...f", x, layer.w) + (0.0 if layer.b is None else layer.b)


def _norm(x: Any, layer: Any) -> Any:
    return textbook.group_norm(x, layer.gamma, layer.beta, layer.groups, layer.eps)


def _self_attention(layer: Any, x: Any) -> Any:
    q, k, v = np.split(_linear(x, layer.qkv), 3, axis=-1)
    return _linear(textbook.attention(q, k, v, layer.heads), layer.out)


def _cross_attention(layer: Any, x: Any, c: Any, mask: Any) -> Any:
    q, (k, v) = _linear(x, layer.q), np.split(_linear(c, layer.kv), 2, axis=-1)
    return _linear(textbook.attention(q, k, v, layer.heads, mask), layer.out)


def _feed_forward(layer: Any, x: Any) -> Any:
    return _linear(textbook.gelu_tanh(_linear(x, layer.first)), layer.second)


def _transformer(block: Any, x: Any, c: Any, mask: Any) -> Any:
    def norm(x: Any, layer: Any) -> Any:
        return textbook.layer_norm(x, layer.gamma, layer.beta, layer.eps)

    x = x + _self_attention(block.self_attention, norm(x, block.norm1))
    x = x + _cross_attention(block.cross_attention, norm(x, block.norm2), c, mask)
    return x + _feed_forward(block.feed_forward, norm(x, block.norm3))


@check("self-attention", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def self_attention_written_out(case: Case) -> float:
    """The joint map cut into q, k and v; every gradient."""
    layer = _moved(case, nn.SelfAttention.init(case.rng, 4, heads=2))
    return max(compare_trees(case, layer, _self_attention, case.rng.standard_normal((2, 3, 4))))


@check("cross-attention", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def cross_attention_written_out(case: Case) -> float:
    """q of x, k and v of a context with and without a mask; every gradient."""
    mask = case.choose([None, np.array([[True, False, True], [True, True, True]])])
    layer = _moved(case, nn.CrossAttention.init(case.rng, 4, 3, heads=2))
    x, c = case.rng.standard_normal((2, 2, 4)), case.rng.standard_normal((2, 3, 3))
    given = {"mask": None if mask is None else case.array(mask)}
    return max(
        compare_trees(
            case, layer, lambda m, x, c: _cross_attention(m, x, c, mask), x, c, options=given
        )
    )


@check("feed-forward", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def feed_forward_written_out(case: Case) -> float:
    """Two affine maps and GELU's tanh form; every gradient."""
    layer = _moved(case, nn.FeedForward.init(case.rng, 3, expansion=2))
    return max(compare_trees(case, layer, _feed_forward, case.rng.standard_normal((2, 4, 3))))


@check("transformer-block", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def transformer_block_written_out(case: Case) -> float:
    """Three branches, each normalized before and added after; every gradient."""
    mask = np.array([[True, False, True], [True, True, True]])
    block = _moved(case, nn.TransformerBlock.init(case.rng, 4, 3, heads=2))
    x, c = case.rng.standard_normal((2, 2, 4)), case.rng.standard_normal((2, 3, 3))
    return max(
        compare_trees(
            case, block, lambda m, x, c: _transformer(m, x, c, mask), x, c,
            options={"mask": case.array(mask)},
        )
    )  # fmt: skip


def _tokens(x: Any) -> Any:
    return x.reshape(x.shape[0], -1, x.shape[-1])


@check("attention-block", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def attention_block_written_out(case: Case) -> float:
    """Positions as tokens, normalized before and added after; every gradient."""

    def f(block: Any, x: Any) -> Any:
        h = _self_attention(block.attention, _tokens(_norm(x, block.norm)))
        return x + h.reshape(x.shape)

    block = _moved(case, nn.AttentionBlock.init(case.rng, 8, heads=2))
    shape = case.choose([(2, 2, 2, 8), (2, 3, 8)])
    return max(compare_trees(case, block, f, case.rng.standard_normal(shape)))


@check("spatial-transformer", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def spatial_transformer_written_out(case: Case) -> float:
    """Norm, affine map, transformer block, affine map, added; every gradient."""

    def f(block: Any, x: Any, c: Any) -> Any:
        h = textbook.group_norm(x, block.norm.gamma, block.norm.beta, 1, 1e-6)
        h = _linear(_tokens(h), block.inward)
        return x + _linear(_transformer(block.block, h, c, None), block.outward).reshape(x.shape)

    block = _moved(case, nn.SpatialTransformer.init(case.rng, 4, 3, heads=2))
    x = case.rng.standard_normal(case.choose([(2, 1, 2, 4), (2, 3, 4)]))
    return max(compare_trees(case, block, f, x, case.rng.standard_normal((2, 2, 3))))


@check("residual-block", route="textbook ops, complex step", tolerance=1e-11, cases=4)
def residual_block_written_out(case: Case) -> float:
    """AdaGN or an added embedding, with and without a map of the skip; every gradient."""
    adagn, features = case.choose([(True, 8), (False, 8), (True, 4), (False, 4)])
    block = nn.ResBlock.init(case.rng, 4, features, 3, dims=1, adagn=adagn, dropout=0.4)
    key = case.choose([None, Key(1, (0, 1), 5, "dropout")])
    uniform = np.ones((2, 4, features)) if key is None else key.uniform((4, features))
    kept = np.where(uniform >= 0.4, 1.0 if key is None else 1.0 / 0.6, 0.0)

    def f(block: Any, x: Any, e: Any) -> Any:
        h = textbook.conv(textbook.silu(_norm(x, block.norm1)), block.conv1.w, block.conv1.b)
        a = _linear(e, block.embed)[:, None]
        if adagn:
            h = (1.0 + a[..., :features]) * _norm(h, block.norm2) + a[..., features:]
        else:
            h = _norm(h + a, block.norm2)
        h = textbook.conv(kept * textbook.silu(h), block.conv2.w, block.conv2.b)
        return h + (x if block.skip is None else _linear(x, block.skip))

    x, e = case.rng.standard_normal((2, 4, 4)), case.rng.standard_normal((2, 3))
    return max(compare_trees(case, _moved(case, block), f, x, e, options={"key": key}))


@check("time-embedding", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def time_embedding_written_out(case: Case) -> float:
    """Two layouts of the sinusoids, then affine, SiLU, affine; every gradient."""
    variant = case.choose(["ddpm", "adm"])

    def f(layer: Any, t: Any) -> Any:
        half = layer.first.w.shape[0] // 2
        last = half - 1 if variant == "ddpm" else half
        angles = [t * 10_000.0 ** (-i / last) for i in range(half)]
        sines, cosines = [np.sin(a) for a in angles], [np.cos(a) for a in angles]
        waves = sines + cosines if variant == "ddpm" else cosines + sines
        h = _linear(np.stack(waves, axis=1), layer.first)
        return _linear(textbook.silu(h), layer.second)

    layer = _moved(case, nn.TimeEmbedding.init(case.rng, 6, 4, variant=variant))
    return max(compare_trees(case, layer, f, case.rng.uniform(0.5, 9.0, 3)))


@check("residual-layers", route="textbook ops, complex step", tolerance=1e-11, cases=2)
def residual_layers_written_out(case: Case) -> float:
    """The network for points: its layers one after the other, with and without labels."""
    labels = case.choose([None, np.array([2, 0, 1])])

    def f(mlp: Any, x: Any, t: Any) -> Any:
        half = mlp.time.first.w.shape[0] // 2
        angles = t[:, None] * 10_000.0 ** (-np.arange(half) / half)
        h = _linear(np.concatenate([np.cos(angles), np.sin(angles)], axis=1), mlp.time.first)
        e = _linear(textbook.silu(h), mlp.time.second)
        e = e + mlp.label.table[[3, 3, 3] if labels is None else labels]
        h = _linear(x, mlp.inward)
        for layer in mlp.layers:
            h = h + _linear(textbook.silu(h + e), layer)
        return _linear(h, mlp.outward)

    mlp = _moved(case, nn.MLP.init(3, width=6, depth=2, classes=3))
    x, t = case.rng.standard_normal((3, 2)), case.rng.uniform(0.5, 9.0, 3)
    given = {"labels": None if labels is None else case.array(labels)}
    return max(compare_trees(case, mlp, f, x, t, options=given))


@check(
    "variance-scaling", route="the largest and the mean square of many", tolerance=0.018, cases=3
)
def moments_of_weights(case: Case) -> float:
    """Variance and mean in deviations of one weight, 7 of their mean's allowed; bound to 1e-3."""
    shape, scale = case.choose([((300, 500), 1.0), ((5, 3, 40, 250), 2.5), ((100, 1500), 0.25)])
    w = init.variance_scaling(np.random.default_rng(case.index), shape, scale).astype(np.float64)
    variance = scale / math.prod(shape[:-1])
    bound = relative(np.abs(w).max(), (3.0 * variance) ** 0.5) * 18.0
    # The variance of the square of a uniform number is 4/5 of its squared mean.
    square = abs((w**2).mean() / variance - 1.0) / 0.8**0.5
    mean = abs(w.mean()) / variance**0.5
    return max(bound, square, mean)


@check("variance-scaling", route="the bits of the generator", tolerance=1e-6, cases=3)
def weights_from_uniform_numbers(case: Case) -> float:
    """-r + 2 r u, number by number, of a generator in the same state; and 0 for a scale of 0."""
    shape, scale = case.choose([((3, 5), 1.0), ((3, 2, 4, 2), 0.3), ((7, 2), 0.0)])
    w = init.variance_scaling(np.random.default_rng(case.index), shape, scale)
    u = np.random.default_rng(case.index).random(shape)
    r = (3.0 * scale / (w.size / shape[-1])) ** 0.5
    return relative(to_host(w), (2.0 * u - 1.0) * r)
