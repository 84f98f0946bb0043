"""Trees: maps over the parameters, names, sums, and weights that do not fit."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from npdiff import tree
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


def test_size_and_representation() -> None:
    assert tree.size(model()) == 6 + 4 + 2 + 1
    assert repr(model()) == "Branch(13 parameters)"
    assert tree.size(()) == 0


def test_a_module_is_frozen_and_equal_only_to_itself() -> None:
    m = model()
    with pytest.raises(FrozenInstanceError):
        m.name = "other"
    assert m != model()
    assert m.replace(name="other").name == "other"
    assert m.replace(name="other").first is m.first


def test_map_touches_the_arrays_and_nothing_else() -> None:
    m = model()
    doubled = tree.map(lambda a: 2 * a, m)
    assert isinstance(doubled, Branch)
    assert (doubled.name, doubled.first.stride, doubled.first.b) == ("model", 2, None)
    assert doubled.first.padding == ((1, 0), (0, 1))
    for a, b in zip(tree.leaves(m), tree.leaves(doubled), strict=True):
        np.testing.assert_array_equal(2 * a, b)


def test_map_of_several_trees_refuses_another_length() -> None:
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


def test_dot_is_the_inner_product_of_all_numbers() -> None:
    a, b = model(0), model(1)
    flat = [np.concatenate([leaf.ravel() for leaf in tree.leaves(t)]) for t in (a, b)]
    np.testing.assert_allclose(tree.dot(a, b), flat[0] @ flat[1], rtol=1e-13)
    with pytest.raises(ValueError, match="zip"):
        tree.dot((np.ones(1),), (np.ones(1), np.ones(1)))


def test_with_leaves_round_trip_whatever_the_order() -> None:
    source, target = dict(tree.named_leaves(model(0))), model(1)
    filled = tree.with_leaves(target, dict(reversed(source.items())))
    for name, leaf in tree.named_leaves(filled):
        assert leaf is source[name]
    assert filled.name == "model"


def test_weights_that_do_not_fit() -> None:
    named = dict(tree.named_leaves(model()))
    renamed = {name.replace("rest.0", "tail"): leaf for name, leaf in named.items()}
    with pytest.raises(InputError, match=r"2 parameters are missing.*2 are unknown.*tail\.b"):
        tree.with_leaves(model(), renamed)
    with pytest.raises(InputError, match=r"rest\.0\.w has shape \(3,\), expected \(4,\)"):
        tree.with_leaves(model(), named | {"rest.0.w": np.ones(3)})
