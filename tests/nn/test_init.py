"""Initial parameters: variance, bounds, and what starts at zero."""

import math

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.nn import init


@pytest.mark.parametrize(("shape", "scale"), [((300, 400), 1.0), ((3, 3, 64, 128), 2.0)])
def test_weights_have_the_variance_and_bounds_of_the_definition(shape, scale) -> None:
    w = init.variance_scaling(np.random.default_rng(0), shape, scale)
    expected = scale / math.prod(shape[:-1])
    assert (w.shape, w.dtype) == (shape, np.float32)
    assert math.isclose(w.var(), expected, rel_tol=0.02)
    assert abs(w.mean()) < 5.0 * math.sqrt(expected / w.size)
    assert math.isclose(np.abs(w).max(), math.sqrt(3.0 * expected), rel_tol=1e-3)


def test_layers_preserve_the_variance_of_their_input(normals) -> None:
    """Normal inputs of variance 1 give outputs of variance 1."""
    rng = np.random.default_rng(0)
    y, _ = nn.Linear.init(rng, 500, 400)(normals((300, 500), dtype=np.float32))
    assert math.isclose(y.var(), 1.0, rel_tol=0.03)
    y, _ = nn.Conv.init(rng, 32, 64, padding=0)(normals((4, 18, 18, 32), dtype=np.float32))
    assert math.isclose(y.var(), 1.0, rel_tol=0.05)
    assert math.isclose(nn.Embedding.init(rng, 500, 100).table.var(), 1.0, rel_tol=0.03)


def test_scale_zero_gives_zeros() -> None:
    assert not init.variance_scaling(np.random.default_rng(0), (3, 4), 0.0).any()
    assert not init.zeros(3).any()
    assert (init.ones(3) == 1.0).all()
    assert {init.zeros(3).dtype, init.ones(3).dtype} == {np.dtype("float32")}


def test_residual_blocks_start_as_the_identity(normals) -> None:
    """The last layer of each branch is zero, so a network starts as its skip connections."""
    rng = np.random.default_rng(0)
    x, e, context = normals((2, 4, 4, 8), (2, 6), (2, 3, 5), dtype=np.float32)
    for y, _ in (
        nn.ResBlock.init(rng, 8, 8, 6)(x, e),
        nn.AttentionBlock.init(rng, 8)(x),
        nn.SpatialTransformer.init(rng, 8, 5)(x, context),
    ):
        np.testing.assert_array_equal(y, x)
    y, _ = nn.UNet.init(0, width=8)(x[..., :1], np.ones(2, dtype=np.float32))
    assert not y.any()
    y, _ = nn.MLP.init(0)(x[:, 0, 0, :2], np.ones(2, dtype=np.float32))
    assert not y.any()


def test_the_same_seed_gives_the_same_weights() -> None:
    a, b, c = (tree.leaves(nn.UNet.init(seed, width=8)) for seed in (4, 4, 5))
    assert all((x == y).all() for x, y in zip(a, b, strict=True))
    assert any((x != y).any() for x, y in zip(a, c, strict=True))
    assert {leaf.dtype for leaf in a} == {np.dtype("float32")}


@pytest.mark.parametrize(
    ("channels", "groups"),
    [(4, 1), (6, 1), (8, 2), (9, 1), (32, 8), (96, 24), (128, 32), (640, 32)],
)
def test_default_groups_divide_the_channels_and_have_at_least_four(channels, groups) -> None:
    assert nn.GroupNorm.init(channels).groups == groups
    assert channels % groups == 0
    assert nn.GroupNorm.init(channels, groups=1).groups == 1
