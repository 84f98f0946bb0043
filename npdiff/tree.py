"""Models as trees: frozen dataclasses whose array fields are the parameters.

The gradient of a model is a model of the same class, so the optimizer, the moving average, the sum
over shards and the checkpoint file are all maps over trees.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Self, TypeVar, dataclass_transform

import numpy as np

from npdiff.backend import Array, namespace
from npdiff.errors import InputError

T = TypeVar("T")


@dataclass_transform(frozen_default=True, eq_default=False)
class Module:
    """Base class of layers and networks: a frozen dataclass that prints as a tree.

    Fields that hold arrays, modules or tuples of them are parameters. Every other field (a stride,
    a number of groups, a name, ``None``) is structure: it stays unchanged and has no gradient.

    >>> import numpy as np
    >>> from npdiff import nn
    >>> nn.FeedForward.init(np.random.default_rng(0), 64, expansion=2)
    FeedForward                  16,576 parameters
      first: Linear(64 -> 128)    8,320
      second: Linear(128 -> 64)   8,256
    """

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        dataclass(frozen=True, eq=False, repr=False)(cls)

    def replace(self, **changes: Any) -> Self:
        """A copy of this module with the named fields replaced."""
        return replace(self, **changes)  # type: ignore[type-var]

    def _sizes(self) -> str:
        """What a layer prints in place of the shapes of its arrays, such as ``64 -> 128``."""
        return ""

    def __repr__(self) -> str:
        lines = _lines(self)
        if len(lines) == 1:
            return lines[0][0]
        left, right = (max(len(line[i]) for line in lines) for i in (0, 1))
        shown = [f"{text:{left}}  {count:>{right}}".rstrip() for text, count in lines]
        return "\n".join([f"{shown[0]} parameters", *shown[1:]])


def is_array(node: object) -> bool:
    """Whether ``node`` is an array, and so a leaf of a tree."""
    return hasattr(node, "dtype") and hasattr(node, "shape")


def children(node: object) -> Iterator[tuple[str, Any]]:
    """Names and values of the fields of a module or the entries of a tuple; else nothing."""
    if isinstance(node, Module):
        for field in fields(node):  # type: ignore[arg-type]
            yield field.name, getattr(node, field.name)
    elif isinstance(node, tuple):
        for i, child in enumerate(node):
            yield str(i), child


def named_leaves(tree: object, prefix: str = "") -> Iterator[tuple[str, Array]]:
    """Every parameter with its dotted name, in the order of declaration."""
    if is_array(tree):
        yield prefix, tree
    for name, child in children(tree):
        yield from named_leaves(child, f"{prefix}.{name}" if prefix else name)


def leaves(tree: object) -> list[Array]:
    """Every parameter, in the order of :func:`named_leaves`."""
    return [leaf for _, leaf in named_leaves(tree)]


def map(f: Callable[..., Any], tree: T, *rest: T) -> T:
    """The tree of ``f`` applied to each leaf of ``tree`` and the same leaves of the others.

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
    """``tree`` with its parameters replaced by the arrays in ``named``.

    Raises
    ------
    InputError
        If names or shapes differ from those of ``tree``.
    """
    own = dict(named_leaves(tree))
    missing, unknown = sorted(own.keys() - named.keys()), sorted(named.keys() - own.keys())
    if missing or unknown:
        raise InputError(
            f"the weights do not fit this model: {len(missing)} parameters are missing "
            f"{missing[:3]}, {len(unknown)} are unknown {unknown[:3]}"
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
    """The number of scalar parameters."""
    return sum(math.prod(leaf.shape) for leaf in leaves(tree))


def dtype(tree: object) -> Any:
    """The NumPy type of the first parameter; float32 for a network without parameters."""
    first = next(named_leaves(tree), None)
    return np.float32 if first is None else first[1].dtype.type


def add(tree: T, *others: T) -> T:
    """The sum of trees, added in the order given."""
    return map(lambda first, *rest: sum(rest, first), tree, *others)


def scale(tree: T, factor: float) -> T:
    """The tree with every leaf multiplied by ``factor``."""
    return map(lambda leaf: leaf * factor, tree)


def dot(a: T, b: T) -> Array:
    """The inner product of two trees over all elements, a scalar array."""
    return sum(namespace(x).vdot(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


def zeros_like(tree: T) -> T:
    """A tree of zeros with the shapes of ``tree``."""
    return map(lambda leaf: namespace(leaf).zeros_like(leaf), tree)


#: A tuple with more different entries than this is printed without its middle.
_LONGEST = 8


def _has_leaves(node: object) -> bool:
    return is_array(node) or any(_has_leaves(child) for _, child in children(node))


def _lines(node: Any) -> list[tuple[str, str]]:
    """A printed tree: text and parameter count, line by line."""
    count = f"{size(node):,}"
    if is_array(node):
        return [(str(tuple(node.shape)), count)]
    if not isinstance(node, Module):
        return _entries("", node) if _has_leaves(node) else [(repr(node), "")]
    named = dict(children(node))
    arrays = {name: child for name, child in named.items() if is_array(child)}
    branches = {name: child for name, child in named.items() if _has_leaves(child)}
    inside = [f"{name}={child!r}" for name, child in named.items() if name not in branches]
    if len(arrays) == len(branches):  # a layer without sub-layers takes one line
        sizes = node._sizes() if next(iter(named), None) in arrays else ""
        shapes = [f"{name}: {tuple(a.shape)}" for name, a in arrays.items()]
        inside, branches = ([sizes] if sizes else shapes) + inside, {}
    lines = [(type(node).__name__ + (f"({', '.join(inside)})" if inside else ""), count)]
    for name, child in branches.items():
        if isinstance(child, tuple):
            below = _entries(f"{name}.", child)
        else:
            below = _lines(child)
            below[0] = (f"{name}: {below[0][0]}", below[0][1])
        lines += [(f"  {text}", n) for text, n in below]
    return lines


def _entries(prefix: str, nodes: tuple[Any, ...]) -> list[tuple[str, str]]:
    """The lines of a tuple; equal neighbors share theirs, and a long tuple loses its middle."""
    groups: list[tuple[list[int], list[tuple[str, str]]]] = []
    for i, node in enumerate(nodes):
        below = _lines(node)
        if groups and groups[-1][1] == below:
            groups[-1][0].append(i)
        else:
            groups.append(([i], below))
    lines, hidden = [], groups[_LONGEST // 2 : -(_LONGEST // 2)] if len(groups) > _LONGEST else []
    for where, ((text, count), *rest) in groups:
        if hidden and where == hidden[0][0]:
            left_out = nodes[where[0] : hidden[-1][0][-1] + 1]
            text = f"{prefix}{where[0]} to {hidden[-1][0][-1]}: {len(left_out)} more entries"
            lines.append((text, f"{size(left_out):,}"))
        if any(where == indices for indices, _ in hidden):
            continue
        if len(where) > 1:
            label, count = f"{prefix}{where[0]} to {where[-1]}", f"{len(where)} x {count}"
        else:
            label = f"{prefix}{where[0]}"
        lines += [(f"{label}: {text}", count), *rest]
    return lines
