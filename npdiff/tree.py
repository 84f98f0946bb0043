"""A model is a tree: frozen dataclasses whose array fields are the parameters.

The gradient of a model is a model of the same class, so the optimizer, the moving average, a sum
over shards and a checkpoint are all maps over trees.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar, dataclass_transform

from npdiff.backend import Array, namespace
from npdiff.errors import InputError

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
class Module:
    """A frozen dataclass. Fields that hold arrays, modules or tuples of them are parameters.

    Every other field (a stride, a number of groups, a name, ``None``) is part of the structure:
    it is carried along unchanged and has no gradient.
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, eq=False, repr=False)(cls)

    def replace(self, **changes: Any) -> Self:
        """This module with the named fields exchanged."""
        return replace(self, **changes)  # type: ignore[type-var]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({size(self):,} parameters)"


def is_array(node: object) -> bool:
    """Whether ``node`` is a leaf of a tree."""
    return hasattr(node, "dtype") and hasattr(node, "shape")


def children(node: object) -> Iterator[tuple[str, Any]]:
    """The named branches of one node; none for a leaf or a piece of structure."""
    if isinstance(node, Module):
        for field in fields(node):  # type: ignore[arg-type]
            yield field.name, getattr(node, field.name)
    elif isinstance(node, tuple):
        for i, child in enumerate(node):
            yield str(i), child


def named_leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Every parameter with its dotted name, in the order in which the fields are declared."""
    if is_array(tree):
        yield prefix, tree
    for name, child in children(tree):
        yield from named_leaves(child, f"{prefix}.{name}" if prefix else name)


def leaves(tree: object) -> list[Array]:
    """Every parameter, in the order of :func:`named_leaves`."""
    return [leaf for _, leaf in named_leaves(tree)]


def map(f: Callable[..., Any], tree: T, *rest: T) -> T:
    """A tree like ``tree`` whose every leaf is ``f`` of the corresponding leaves.

    >>> import numpy as np
    >>> map(lambda a, b: a + b, (np.ones(2), (np.zeros(1),)), (np.ones(2), (np.ones(1),)))
    (array([2., 2.]), (array([1.]),))
    """
    if is_array(tree):
        return f(tree, *rest)
    if isinstance(tree, Module):
        named = {
            name: map(f, child, *(getattr(other, name) for other in rest))
            for name, child in children(tree)
        }
        return tree.replace(**named)
    if isinstance(tree, tuple):
        columns = zip(tree, *rest, strict=True)
        return tuple(map(f, *column) for column in columns)  # type: ignore[return-value]
    return tree


def with_leaves(tree: T, named: dict[str, Array]) -> T:
    """``tree`` with its parameters taken from ``named``.

    Raises
    ------
    InputError
        If names or shapes differ from those of ``tree``.
    """
    own = dict(named_leaves(tree))
    missing, foreign = sorted(own.keys() - named.keys()), sorted(named.keys() - own.keys())
    if missing or foreign:
        raise InputError(
            f"the weights do not fit this model: {len(missing)} parameters are missing "
            f"{missing[:3]}, {len(foreign)} are unknown {foreign[:3]}"
        )
    for name, leaf in own.items():
        if tuple(named[name].shape) != tuple(leaf.shape):
            raise InputError(
                f"the weights do not fit this model: {name} has shape "
                f"{tuple(named[name].shape)}, expected {tuple(leaf.shape)}"
            )
    incoming = iter([named[name] for name in own])
    return map(lambda _: next(incoming), tree)


def size(tree: object) -> int:
    """The number of parameters."""
    return sum(math.prod(leaf.shape) for leaf in leaves(tree))


def add(tree: T, *others: T) -> T:
    """The sum of trees, in the order given."""
    return map(lambda first, *rest: sum(rest, first), tree, *others)


def scale(tree: T, factor: float) -> T:
    """Every leaf times ``factor``."""
    return map(lambda leaf: leaf * factor, tree)


def dot(a: T, b: T) -> Array:
    """The inner product of two trees, a scalar array."""
    return sum(namespace(x).vdot(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def zeros_like(tree: T) -> T:
    """A tree of the same shape, all zero."""
    return map(lambda leaf: namespace(leaf).zeros_like(leaf), tree)
