"""Layers: gradients of all parameters, values equal to those of the ops, dtypes."""

from typing import Any

import numpy as np
import pytest

from npdiff import nn, ops, tree
from npdiff.verify import pullback

RNG = np.random.default_rng(0)

# An example of every layer: the layer, the shapes of its inputs, its options.
CASES: dict[str, tuple[Any, tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "linear": (nn.Linear.init(RNG, 3, 4), ((2, 5, 3),), {}),
    "linear without bias": (nn.Linear.init(RNG, 3, 4, bias=False), ((2, 3),), {}),
    "conv": (nn.Conv.init(RNG, 3, 2), ((2, 4, 5, 3),), {}),
    "conv, one axis, stride": (nn.Conv.init(RNG, 2, 3, kernel=(4,), stride=3), ((2, 9, 2),), {}),
    "conv, three axes": (nn.Conv.init(RNG, 2, 2, kernel=(3, 2, 1)), ((1, 3, 4, 2, 2),), {}),
    "conv, padded on one side": (
        nn.Conv.init(RNG, 2, 3, padding=((0, 1), (2, 0)), stride=2), ((2, 4, 5, 2),), {},
    ),
    "group norm": (nn.GroupNorm.init(8), ((2, 3, 2, 8),), {}),
    "group norm, other groups": (nn.GroupNorm.init(6, groups=3, eps=0.1), ((2, 5, 6),), {}),
    "layer norm": (nn.LayerNorm.init(6), ((2, 3, 6),), {}),
    "embedding": (nn.Embedding.init(RNG, 4, 3), (), {"index": np.array([1, 3, 1])}),
    "downsample": (nn.Downsample.init(RNG, 3), ((2, 5, 4, 3),), {}),
    "downsample, three axes": (nn.Downsample.init(RNG, 2, 3), ((1, 3, 2, 1, 2),), {}),
    "upsample": (nn.Upsample.init(RNG, 3), ((2, 2, 3, 3),), {}),
    "upsample, odd": (nn.Upsample.init(RNG, 3, 1), ((2, 3, 3),), {"size": (5,)}),
    **{
        f"time embedding, {variant}": (
            nn.TimeEmbedding.init(RNG, 6, 5, variant=variant), ((3,),), {},
        )
        for variant in ("adm", "ddpm", "transformer")
    },
}  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_gradients_against_central_differences(case, normals, perturbed) -> None:
    layer, shapes, options = CASES[case]
    args = [normals(shape, seed=i) for i, shape in enumerate(shapes)]
    report = pullback(perturbed(layer), *args, **options).check()
    assert len(report.gradients) == len(tree.leaves(layer)) + len(args)


@pytest.mark.parametrize("case", CASES)
def test_float32_in_gives_float32_out(case, normals) -> None:
    layer, shapes, options = CASES[case]
    y, layer_pullback = layer(*(normals(shape, dtype=np.float32) for shape in shapes), **options)
    gradient = layer_pullback(np.ones_like(y))
    assert isinstance(gradient[0], type(layer))
    assert {a.dtype for a in (y, *tree.leaves(gradient))} == {np.dtype("float32")}
    shapes = [leaf.shape for leaf in tree.leaves((layer,))]
    assert [leaf.shape for leaf in tree.leaves(gradient[:1])] == shapes


def test_layers_return_the_values_of_their_ops(normals, perturbed) -> None:
    x = normals((2, 6, 4, 8))
    conv = perturbed(nn.Conv.init(RNG, 8, 3, kernel=(3, 2), stride=2, padding=1))
    expected = ops.conv(x, conv.w, conv.b, stride=2, padding=1)[0]
    np.testing.assert_array_equal(conv(x)[0], expected)
    norm = perturbed(nn.GroupNorm.init(8, groups=4, eps=0.5))
    expected = ops.group_norm(x, norm.gamma, norm.beta, groups=4, eps=0.5)[0]
    np.testing.assert_array_equal(norm(x)[0], expected)
    norm = perturbed(nn.LayerNorm.init(8, eps=0.5))
    expected = ops.layer_norm(x, norm.gamma, norm.beta, eps=0.5)[0]
    np.testing.assert_array_equal(norm(x)[0], expected)
    linear = perturbed(nn.Linear.init(RNG, 8, 3))
    np.testing.assert_array_equal(linear(x)[0], x @ linear.w + linear.b)


@pytest.mark.parametrize("size", range(1, 8))
def test_downsample_halves_rounding_up_and_upsample_restores_the_size(size, normals) -> None:
    x = normals((1, size, 2))
    down, up = nn.Downsample.init(RNG, 2, 1), nn.Upsample.init(RNG, 2, 1)
    small, _ = down(x)
    assert small.shape == (1, -(-size // 2), 2)
    assert up(small, size=(size,))[0].shape == x.shape
    assert up(small)[0].shape == (1, 2 * small.shape[1], 2)
