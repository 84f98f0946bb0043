"""Attention layers: gradients, those that vanish and why, and dtypes."""

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.verify import pullback

RNG = np.random.default_rng(0)
MASK = np.array([[True, True, False], [True, False, True]])
BLOCKS = {
    "transformer block": (nn.TransformerBlock.init(RNG, 8, 5, heads=2), (2, 4, 8)),
    "spatial transformer": (nn.SpatialTransformer.init(RNG, 8, 5, heads=2), (2, 3, 2, 8)),
    "spatial transformer, one axis": (nn.SpatialTransformer.init(RNG, 8, 5), (2, 5, 8)),
}


def key_part(gradient):
    """The part of the bias gradient of a qkv or kv map that belongs to the keys."""
    parts = np.split(gradient.b, 3 if gradient.b.shape[0] == 24 else 2)
    return parts[1] if len(parts) == 3 else parts[0]


def test_self_attention_gradients_and_a_vanishing_key_bias(normals, perturbed) -> None:
    layer, x = perturbed(nn.SelfAttention.init(RNG, 8, heads=2)), normals((2, 5, 8))
    pullback(layer, x).check()
    y, layer_pullback = layer(x)
    dqkv = layer_pullback(normals(y.shape, seed=1))[0].qkv
    # Softmax is shift-invariant: adding one vector to all keys changes no probability.
    np.testing.assert_allclose(key_part(dqkv), 0.0, atol=1e-13)
    moved = layer.qkv.b.copy()
    moved[8:16] += 3.0
    np.testing.assert_allclose(layer.replace(qkv=layer.qkv.replace(b=moved))(x)[0], y, rtol=1e-11)
    assert all(np.abs(part).max() > 1e-3 for part in np.split(dqkv.b, 3)[::2])


@pytest.mark.parametrize("mask", [None, MASK])
def test_cross_attention_gradients_with_and_without_mask(normals, perturbed, mask) -> None:
    layer = perturbed(nn.CrossAttention.init(RNG, 8, 5, heads=2))
    x, context = normals((2, 4, 8), (2, 3, 5))
    report = pullback(layer, x, context, mask=mask).check()
    assert len(report.gradients) == len(tree.leaves(layer)) + 2
    y, layer_pullback = layer(x, context, mask=mask)
    dlayer, _, dcontext = layer_pullback(normals(y.shape, seed=1))
    np.testing.assert_allclose(key_part(dlayer.kv), 0.0, atol=1e-13)
    if mask is not None:
        assert not dcontext[~mask].any()
        assert dcontext[mask].all()


def test_with_one_token_the_query_gradients_vanish(normals, perturbed) -> None:
    """With a single key the queries have no effect; all other gradients are not zero."""
    layer = perturbed(nn.CrossAttention.init(RNG, 8, 5, heads=2))
    x, context = normals((2, 4, 8), (2, 1, 5))
    vanish = ("0.q.w", "0.q.b", "1")
    report = pullback(layer, x, context, may_vanish=vanish).check()
    for gradient in report.gradients:
        assert (gradient.norm < 1e-12) is (gradient.name in vanish)


def test_feed_forward_gradients(normals, perturbed) -> None:
    layer = perturbed(nn.FeedForward.init(RNG, 4, expansion=3))
    assert layer.first.w.shape == (4, 12)
    pullback(layer, normals((2, 3, 4))).check()


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("case", BLOCKS)
def test_gradients_of_the_transformer_blocks(case, mask, normals, perturbed) -> None:
    block, shape = BLOCKS[case]
    report = pullback(
        perturbed(block), normals(shape), normals((2, 3, 5), seed=1), mask=mask
    ).check()
    assert len(report.gradients) == len(tree.leaves(block)) + 2


@pytest.mark.parametrize("space", [(5,), (3, 2), (2, 1, 3)])
def test_gradients_of_the_attention_block(space, normals, perturbed) -> None:
    block = nn.AttentionBlock.init(RNG, 8, heads=2)
    report = pullback(perturbed(block), normals((2, *space, 8))).check()
    assert len(report.gradients) == len(tree.leaves(block)) + 1


def test_float32_in_gives_float32_out(normals) -> None:
    x, context = normals((2, 3, 2, 8), (2, 3, 5), dtype=np.float32)
    tokens = x.reshape(2, 6, 8)
    for layer, args in (
        (nn.SelfAttention.init(RNG, 8), (tokens,)),
        (nn.CrossAttention.init(RNG, 8, 5), (tokens, context)),
        (nn.FeedForward.init(RNG, 8), (tokens,)),
        (nn.TransformerBlock.init(RNG, 8, 5), (tokens, context)),
        (nn.AttentionBlock.init(RNG, 8), (x,)),
        (nn.SpatialTransformer.init(RNG, 8, 5), (x, context)),
    ):
        y, layer_pullback = layer(*args)
        leaves = (y, *tree.leaves(layer_pullback(np.ones_like(y))))
        assert {a.dtype for a in leaves} == {np.dtype("float32")}
        if len(args) == 2:
            assert layer(*args, mask=MASK)[0].dtype == np.float32


def test_attention_is_equivariant_to_the_order_of_tokens(normals, perturbed) -> None:
    """Permuted tokens give permuted outputs; a permuted context changes nothing."""
    block = perturbed(nn.TransformerBlock.init(RNG, 8, 5, heads=2))
    x, context = normals((2, 4, 8), (2, 3, 5))
    y, _ = block(x, context, mask=MASK)
    order, other = [2, 0, 3, 1], [1, 2, 0]
    np.testing.assert_allclose(block(x[:, order], context, mask=MASK)[0], y[:, order], rtol=1e-10)
    same, _ = block(x, context[:, other], mask=MASK[:, other])
    np.testing.assert_allclose(same, y, rtol=1e-10)
