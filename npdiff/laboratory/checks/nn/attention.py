"""Checks of attention layers, each written out, with all gradients."""

from typing import Any

import numpy as np

from npdiff import nn
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.checks.nn._textbook import _linear, _norm, _perturbed
from npdiff.laboratory.complex_step import compare_trees
from npdiff.laboratory.registry import Case, check


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


@check("self-attention", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def self_attention_written_out(case: Case) -> float:
    """The joint projection split into q, k and v; every gradient."""
    layer = _perturbed(case, nn.SelfAttention.init(case.rng, 4, heads=2))
    return max(compare_trees(case, layer, _self_attention, case.rng.standard_normal((2, 3, 4))))


@check("cross-attention", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def cross_attention_written_out(case: Case) -> float:
    """q from x, k and v from a context, with and without a mask; every gradient."""
    mask = case.choose([None, np.array([[True, False, True], [True, True, True]])])
    layer = _perturbed(case, nn.CrossAttention.init(case.rng, 4, 3, heads=2))
    x, c = case.rng.standard_normal((2, 2, 4)), case.rng.standard_normal((2, 3, 3))
    given = {"mask": None if mask is None else case.array(mask)}
    return max(
        compare_trees(
            case, layer, lambda m, x, c: _cross_attention(m, x, c, mask), x, c, options=given
        )
    )


@check("feed-forward", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def feed_forward_written_out(case: Case) -> float:
    """Two affine maps and GELU's tanh form; every gradient."""
    layer = _perturbed(case, nn.FeedForward.init(case.rng, 3, expansion=2))
    return max(compare_trees(case, layer, _feed_forward, case.rng.standard_normal((2, 4, 3))))


@check("transformer-block", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def transformer_block_written_out(case: Case) -> float:
    """Three residual branches, each normalized first; every gradient."""
    mask = np.array([[True, False, True], [True, True, True]])
    block = _perturbed(case, nn.TransformerBlock.init(case.rng, 4, 3, heads=2))
    x, c = case.rng.standard_normal((2, 2, 4)), case.rng.standard_normal((2, 3, 3))
    return max(
        compare_trees(
            case, block, lambda m, x, c: _transformer(m, x, c, mask), x, c,
            options={"mask": case.array(mask)},
        )
    )  # fmt: skip


def _tokens(x: Any) -> Any:
    return x.reshape(x.shape[0], -1, x.shape[-1])


@check("attention-block", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def attention_block_written_out(case: Case) -> float:
    """Positions as tokens, normalized first, with a residual; every gradient."""

    def f(block: Any, x: Any) -> Any:
        h = _self_attention(block.attention, _tokens(_norm(x, block.norm)))
        return x + h.reshape(x.shape)

    block = _perturbed(case, nn.AttentionBlock.init(case.rng, 8, heads=2))
    shape = case.choose([(2, 2, 2, 8), (2, 3, 8)])
    return max(compare_trees(case, block, f, case.rng.standard_normal(shape)))


@check("spatial-transformer", method="textbook ops, complex step", tolerance=1e-11, cases=2)
def spatial_transformer_written_out(case: Case) -> float:
    """Norm, affine map, transformer block, affine map, residual; every gradient."""

    def f(block: Any, x: Any, c: Any) -> Any:
        h = textbook.group_norm(x, block.norm.gamma, block.norm.beta, 1, 1e-6)
        h = _linear(_tokens(h), block.inward)
        return x + _linear(_transformer(block.block, h, c, None), block.outward).reshape(x.shape)

    block = _perturbed(case, nn.SpatialTransformer.init(case.rng, 4, 3, heads=2))
    x = case.rng.standard_normal(case.choose([(2, 1, 2, 4), (2, 3, 4)]))
    return max(compare_trees(case, block, f, x, case.rng.standard_normal((2, 2, 3))))
