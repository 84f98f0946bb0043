"""Pullbacks never write to arrays that another function or pullback made."""

from typing import Any

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.pullback import differentiable
from npdiff.random import Key
from npdiff.tree import Module

pytestmark = pytest.mark.usefixtures("implementation")

RNG = np.random.default_rng(0)
T, LABELS, KEY = (2,), np.array([1, 3]), Key(0, (0, 1), 5, "dropout")
IMAGE, TOKENS, CONTEXT = (2, 4, 6, 8), (2, 5, 8), (2, 3, 5)
SMALL = {"width": 8, "blocks": 1, "heads": 2, "dropout": 0.3}

# Examples of every layer and network: the module, the shapes of its inputs, its options.
CASES: dict[str, tuple[Any, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "AttentionBlock": (nn.AttentionBlock.init(RNG, 8), (IMAGE,), {}),
    "Conv": (nn.Conv.init(RNG, 8, 3), (IMAGE,), {}),
    "Conv, one pixel": (nn.Conv.init(RNG, 8, 3, kernel=(1, 1)), (IMAGE,), {}),
    "CrossAttention": (nn.CrossAttention.init(RNG, 8, 5), (TOKENS, CONTEXT), {}),
    "Downsample": (nn.Downsample.init(RNG, 8), (IMAGE,), {}),
    "Embedding": (nn.Embedding.init(RNG, 4, 8), (), {"index": LABELS}),
    "FeedForward": (nn.FeedForward.init(RNG, 8), (TOKENS,), {}),
    "GroupNorm": (nn.GroupNorm.init(8), (IMAGE,), {}),
    "LayerNorm": (nn.LayerNorm.init(8), (TOKENS,), {}),
    "Linear": (nn.Linear.init(RNG, 8, 4), (TOKENS,), {}),
    "MLP": (nn.MLP.init(0, width=8, classes=3), ((2, 2), T), {"labels": LABELS}),
    "MonotoneNetwork": (nn.MonotoneNetwork.init(0, width=3), (T,), {}),
    "ResBlock": (nn.ResBlock.init(RNG, 8, 8, 5, dropout=0.3), (IMAGE, (2, 5)), {"key": KEY}),
    "ResBlock, more channels": (nn.ResBlock.init(RNG, 8, 12, 5), (IMAGE, (2, 5)), {}),
    "ResBlock, added embedding": (
        nn.ResBlock.init(RNG, 8, 8, 5, adagn=False), (IMAGE, (2, 5)), {},
    ),
    "SelfAttention": (nn.SelfAttention.init(RNG, 8), (TOKENS,), {}),
    "SpatialTransformer": (nn.SpatialTransformer.init(RNG, 8, 5), (IMAGE, CONTEXT), {}),
    "Stage": (nn.Stage.init(RNG, 8, 8, 5, attend=False), (IMAGE, (2, 5)), {}),
    "Stage, attention": (nn.Stage.init(RNG, 8, 8, 5, attend=True), (IMAGE, (2, 5)), {}),
    "Stage, context": (
        nn.Stage.init(RNG, 8, 8, 5, attend=True, context_width=5), (IMAGE, (2, 5), CONTEXT), {},
    ),
    "TimeEmbedding": (nn.TimeEmbedding.init(RNG, 6, 5), (T,), {}),
    "TransformerBlock": (nn.TransformerBlock.init(RNG, 8, 5), (TOKENS, CONTEXT), {}),
    "UNet": (
        nn.UNet.init(0, classes=3, patch=2, **SMALL), ((2, 8, 12, 1), T),
        {"labels": LABELS, "key": KEY},
    ),
    "UNet, context": (
        nn.UNet.init(0, context_width=5, adagn=False, **SMALL), ((2, 4, 6, 1), T, CONTEXT),
        {"keep": np.array([True, False])},
    ),
    "UNet, gradient checkpointing": (
        nn.UNet.init(0, gradient_checkpointing=True, **SMALL), ((2, 4, 6, 1), T), {"key": KEY},
    ),
    "Upsample": (nn.Upsample.init(RNG, 8), (IMAGE,), {}),
}  # fmt: skip


def test_every_layer_has_a_case() -> None:
    assert {case.split(",")[0] for case in CASES} == set(nn.__all__) - {"NETWORKS"}


@pytest.mark.parametrize("case", CASES)
def test_results_of_other_functions_and_pullbacks_stay_unchanged(
    case, normals, perturbed, request
) -> None:
    """With read-only results everywhere the gradients are the same to the bit."""
    module, shapes, options = CASES[case]
    module = perturbed(module)
    args = [normals(shape, seed=i) for i, shape in enumerate(shapes)]

    def gradients() -> list[np.ndarray]:
        y, pullback = module(*args, **options)
        dy = [normals(a.shape, seed=9) for a in tree.leaves(y)]
        return tree.leaves((y, pullback(*dy), pullback(*dy)))

    free = gradients()
    request.getfixturevalue("read_only_results")
    for a, b in zip(gradients(), free, strict=True):
        np.testing.assert_array_equal(a, b)
        assert not a.flags.writeable


class WritesToACotangent(Module):
    w: np.ndarray

    @differentiable
    def __call__(self, x):
        y, silu_pullback = ops.silu(x)

        def writing_pullback(dy):
            (dx,) = silu_pullback(dy)
            dx += dy
            return self, dx

        return x + y, writing_pullback


@pytest.mark.usefixtures("read_only_results")
def test_writing_to_a_cotangent_of_another_pullback_raises_an_error(normals) -> None:
    x = normals((2, 3))
    y, writing_pullback = WritesToACotangent(x)(x)
    with pytest.raises(ValueError, match="read-only"):
        writing_pullback(y)
