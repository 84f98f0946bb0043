"""Trees: names, printing, maps, sums, and weights that do not fit."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from npdiff import nn, tree
from npdiff.errors import InputError
from npdiff.tree import Module


class Leaf(Module):
    w: np.ndarray
    b: np.ndarray | None
    stride: int = 1
    padding: tuple[tuple[int, int], ...] | None = None


class Branch(Module):
    first: Leaf
    rest: tuple[Leaf, ...]
    name: str


def model(seed: int = 0) -> Branch:
    rng = np.random.default_rng(seed)
    return Branch(
        Leaf(rng.standard_normal((2, 3)), None, 2, ((1, 0), (0, 1))),
        (Leaf(rng.standard_normal(4), rng.standard_normal((1, 2))), Leaf(np.float64(5.0), None)),
        "model",
    )


NAMES = ["first.w", "rest.0.w", "rest.0.b", "rest.1.w"]


def test_names_in_the_order_of_declaration() -> None:
    assert [name for name, _ in tree.named_leaves(model())] == NAMES
    assert [name for name, _ in tree.named_leaves(model().first, "x")] == ["x.w"]
    assert [leaf.shape for leaf in tree.leaves(model())] == [(2, 3), (4,), (1, 2), ()]
    assert tree.leaves(None) == tree.leaves("text") == tree.leaves(()) == []


def test_size_counts_scalar_parameters() -> None:
    assert tree.size(model()) == 6 + 4 + 2 + 1
    assert tree.size(()) == 0


def test_a_module_prints_as_a_tree_with_names_shapes_and_counts() -> None:
    assert repr(model()).splitlines() == [
        "Branch(name='model')                                                  13 parameters",
        "  first: Leaf(w: (2, 3), b=None, stride=2, padding=((1, 0), (0, 1)))   6",
        "  rest.0: Leaf(w: (4,), b: (1, 2), stride=1, padding=None)             6",
        "  rest.1: Leaf(w: (), b=None, stride=1, padding=None)                  1",
    ]


def test_a_layer_prints_in_one_line() -> None:
    rng = np.random.default_rng(0)
    assert repr(nn.Linear.init(rng, 64, 128)) == "Linear(64 -> 128)"
    assert repr(nn.Linear.init(rng, 64, 128, bias=False)) == "Linear(64 -> 128, b=None)"
    assert repr(nn.Conv.init(rng, 3, 8, kernel=(3, 5), stride=2, padding=1)) == (
        "Conv(3 -> 8, kernel 3 x 5, stride=2, padding=1)"
    )
    assert repr(nn.GroupNorm.init(64, eps=1e-6)) == "GroupNorm(64 channels, groups=16, eps=1e-06)"
    assert repr(nn.LayerNorm.init(64)) == "LayerNorm(64 channels, eps=1e-05)"
    assert repr(nn.Embedding.init(rng, 11, 64)) == "Embedding(11 x 64)"


def test_equal_neighbors_in_a_tuple_are_printed_once() -> None:
    leaf = Leaf(np.ones(3), None)
    lines = repr(Branch(leaf, (leaf, leaf, Leaf(np.ones(2), None), leaf), "x")).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["first:", "rest.0", "rest.2:", "rest.3:"]
    assert lines[2].startswith("  rest.0 to 1: Leaf(w: (3,), b=None")
    assert lines[2].endswith(" 2 x 3")


def test_the_middle_of_a_long_tuple_is_not_printed() -> None:
    leaves = tuple(Leaf(np.ones(n), None) for n in range(20))
    lines = repr(Branch(leaves[0], leaves, "x")).splitlines()
    assert len(lines) == 2 + 4 + 1 + 4
    assert lines[6].split() == [
        "rest.4",
        "to",
        "15:",
        "12",
        "more",
        "entries",
        str(sum(range(4, 16))),
    ]
    assert lines[0].endswith(" 190 parameters")


def test_every_network_prints_its_total_and_no_arrays() -> None:
    networks = (
        nn.UNet.init(0, width=8, heads=2, classes=3, context_width=5),
        nn.MLP.init(0),
        nn.SpatialTransformer.init(np.random.default_rng(0), 8, 5),
    )
    for network in networks:
        text = repr(network)
        assert text.splitlines()[0].endswith(f" {tree.size(network):,} parameters")
        assert not any(word in text for word in ("array", "np.", "float"))
        assert max(map(len, text.splitlines())) < 100
        assert type(network).__name__ in repr(tree.map(lambda a: a.shape, network))


def test_a_module_is_frozen_and_equal_only_to_itself() -> None:
    m = model()
    with pytest.raises(FrozenInstanceError):
        m.name = "other"
    assert m != model()
    assert m.replace(name="other").name == "other"
    assert m.replace(name="other").first is m.first


def test_map_changes_arrays_and_keeps_the_structure() -> None:
    m = model()
    doubled = tree.map(lambda a: 2 * a, m)
    assert isinstance(doubled, Branch)
    assert (doubled.name, doubled.first.stride, doubled.first.b) == ("model", 2, None)
    assert doubled.first.padding == ((1, 0), (0, 1))
    for a, b in zip(tree.leaves(m), tree.leaves(doubled), strict=True):
        np.testing.assert_array_equal(2 * a, b)


def test_map_rejects_tuples_of_different_length() -> None:
    with pytest.raises(ValueError, match="zip"):
        tree.map(np.add, (np.ones(1), np.ones(1)), (np.ones(1),))


def test_add_scale_and_zeros() -> None:
    a, b, c = model(0), model(1), model(2)
    total = tree.add(a, b, c)
    for x, y, z, s in zip(*map(tree.leaves, (a, b, c, total)), strict=True):
        np.testing.assert_array_equal(x + y + z, s)
    assert tree.leaves(tree.add(a))[0] is tree.leaves(a)[0]
    for x, s in zip(tree.leaves(a), tree.leaves(tree.scale(a, -0.5)), strict=True):
        np.testing.assert_array_equal(-0.5 * x, s)
    assert not any(leaf.any() for leaf in tree.leaves(tree.zeros_like(a)))
    halves = tree.map(lambda x: x.astype(np.float32), a)
    assert {leaf.dtype for leaf in tree.leaves(tree.scale(halves, 0.1))} == {np.dtype("float32")}


def test_dot_is_the_inner_product_over_all_elements() -> None:
    a, b = model(0), model(1)
    flat = [np.concatenate([leaf.ravel() for leaf in tree.leaves(t)]) for t in (a, b)]
    np.testing.assert_allclose(tree.dot(a, b), flat[0] @ flat[1], rtol=1e-13)
    with pytest.raises(ValueError, match="zip"):
        tree.dot((np.ones(1),), (np.ones(1), np.ones(1)))


def test_with_leaves_replaces_parameters_in_any_order() -> None:
    source, target = dict(tree.named_leaves(model(0))), model(1)
    filled = tree.with_leaves(target, dict(reversed(source.items())))
    for name, leaf in tree.named_leaves(filled):
        assert leaf is source[name]
    assert filled.name == "model"


def test_with_leaves_rejects_other_names_and_shapes() -> None:
    named = dict(tree.named_leaves(model()))
    renamed = {name.replace("rest.0", "tail"): leaf for name, leaf in named.items()}
    with pytest.raises(InputError, match=r"2 parameters are missing.*2 are unknown.*tail\.b"):
        tree.with_leaves(model(), renamed)
    with pytest.raises(InputError, match=r"rest\.0\.w has shape \(3,\), expected \(4,\)"):
        tree.with_leaves(model(), named | {"rest.0.w": np.ones(3)})
