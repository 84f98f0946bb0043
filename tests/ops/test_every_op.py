"""Properties of every op: saved arrays, dtype, purity, independence of samples."""

import inspect
import re
from importlib import import_module
from types import FunctionType
from typing import Any

import numpy as np
import pytest

import npdiff.ops
from npdiff import ops, tree
from npdiff.ops import conv
from npdiff.pullback import dropped, forward_only
from npdiff.random import Key

pytestmark = pytest.mark.usefixtures("implementation")

LABELS, MASK = np.array([2, 0]), np.array([[True, False, True, True], [False] * 4])

# An example of every op: the shapes of its arguments, and its options.
CASES: dict[str, tuple[tuple[tuple[int, ...], ...], dict[str, Any]]] = {
    "attention": (((2, 3, 4), (2, 4, 4), (2, 4, 4)), {"heads": 2, "mask": MASK}),
    "average_pool": (((2, 4, 6, 3),), {}),
    "concat": (((2, 4, 3), (2, 4, 2)), {}),
    "conv": (((2, 4, 5, 3), (3, 2, 3, 4), (4,)), {"stride": 2, "padding": ((1, 0), (0, 2))}),
    "conv, pointwise": (((2, 4, 5, 3), (1, 1, 3, 4), (4,)), {}),
    "cross_entropy": (((2, 3),), {"labels": LABELS}),
    "depth_to_space": (((2, 2, 3, 8),), {}),
    "dropout": (((2, 3),), {"rate": 0.5, "key": Key(0, (0, 1))}),
    "embedding": (((4, 3),), {"index": LABELS}),
    "gelu": (((2, 3),), {}),
    "gelu, approximate": (((2, 3),), {"approximate": True}),
    "group_norm": (((2, 3, 4), (4,), (4,)), {"groups": 2}),
    "layer_norm": (((2, 3, 4), (4,), (4,)), {}),
    "linear": (((2, 3, 4), (4, 5), (5,)), {}),
    "modulate": (((2, 3, 4), (2, 4), (2, 4)), {}),
    "norm_silu_conv": (
        ((2, 4, 5, 4), (4,), (4,), (3, 3, 4, 3), (3,), (2, 4), (2, 4), (2, 3), (2, 4, 5, 3)),
        {"groups": 2},
    ),
    "norm_silu_conv, dropout": (
        ((2, 4, 5, 4), (4,), (4,), (3, 3, 4, 3), (3,), (2, 4), (2, 4), (2, 3), (2, 4, 5, 3)),
        {"groups": 2, "rate": 0.5, "key": Key(0, (0, 1))},
    ),
    "shift": (((2, 3, 4), (2, 4)), {}),
    "silu": (((2, 3),), {}),
    "sinusoidal": (((2,),), {"width": 6}),
    "softmax": (((2, 3),), {}),
    "space_to_depth": (((2, 4, 6, 3),), {}),
    "split": (((2, 3, 4),), {"parts": 2}),
    "squared_error": (((2, 3),), {"target": (2, 3), "weight": (2,)}),
    "upsample": (((2, 3, 4),), {"size": (5,)}),
    "upsample_conv": (((16, 1, 2, 4), (3, 3, 4, 5), (5,)), {}),
    "upsample_conv, cut": (((2, 3, 4, 3), (3, 3, 3, 5), (5,)), {"size": (5, 8)}),
}

# The parts of fused operations.
PARTS = {
    "norm_silu_conv": ("group_norm", "modulate", "silu", "dropout", "conv", "shift"),
    "upsample_conv": ("upsample", "conv"),
}


def example(case: str, normals: Any, dtype: Any = np.float64) -> tuple[Any, list[Any], Any]:
    """The op, its arguments and its options; all arrays are read-only and of one dtype."""
    shapes, options = CASES[case]
    args = [normals(shape, seed=i, dtype=dtype) for i, shape in enumerate(shapes)]
    options = dict(options)
    for name in ("target", "weight"):
        if name in options:
            options[name] = normals(options[name], seed=9, dtype=dtype)
    return getattr(ops, case.split(",")[0]), args, options


def cotangent(y: Any, normals: Any) -> tuple[Any, ...]:
    dy = [normals(a.shape, seed=5, dtype=a.dtype) for a in (y if isinstance(y, tuple) else (y,))]
    return tuple(dy)


def saved(f: FunctionType) -> dict[str, np.ndarray]:
    """The arrays that the closure of a function keeps alive, by variable name.

    The functions it calls, lists, tuples and dictionaries are searched, too.
    """
    found: dict[str, np.ndarray] = {}
    seen: set[int] = set()

    def visit(name: str, value: Any) -> None:
        if id(value) in seen:
            return
        if isinstance(value, np.ndarray):
            found[name] = value
            return
        seen.add(id(value))
        if isinstance(value, FunctionType):
            for variable, inner in inspect.getclosurevars(value).nonlocals.items():
                visit(variable, inner)
            for inner in (*(value.__defaults__ or ()), *(value.__kwdefaults__ or {}).values()):
                visit(f"a default of {value.__name__}", inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                visit(name, inner)
        elif isinstance(value, dict):
            for inner in value.values():
                visit(name, inner)

    visit(f.__name__, f)
    return found


def documented(op: Any, module: str = "") -> set[str]:
    """The names in the line "Saves:" of the docstring; a kernel that saves the same needs none."""
    if module.startswith("npdiff.kernels"):
        kernel = getattr(import_module(module), op.__name__)
        if "Saves: " in kernel.__doc__:
            op = kernel
    if op.__name__ in PARTS and op is getattr(ops, op.__name__):
        assert "Saves: what these functions save." in op.__doc__
        return set().union(*(documented(getattr(ops, part)) for part in PARTS[op.__name__]))
    (line,) = re.findall(r"^\s*Saves: (.*?)\.$", op.__doc__, re.MULTILINE)
    return set() if line == "nothing" else set(re.findall(r"``(\w+)``", line))


def test_every_op_has_a_case() -> None:
    assert {case.split(",")[0] for case in CASES} == set(npdiff.ops.__all__)


@pytest.mark.parametrize("case", CASES)
def test_the_saved_arrays_are_those_that_the_docstring_lists(case, normals) -> None:
    op, args, options = example(case, normals)
    _, op_pullback = op(*args, **options)
    names, kept = documented(op, op_pullback.__module__), saved(op_pullback)
    assert names <= kept.keys()
    for name in kept.keys() - names:
        # Another name for the same memory is allowed, such as w as a matrix.
        assert any(np.shares_memory(kept[name], kept[other]) for other in names), name


def test_saved_finds_arrays_in_functions_containers_and_defaults() -> None:
    a, b, c, d = (np.zeros(1) for _ in range(4))
    pair = [(b,), {"c": c}]

    def inner(hidden=d):
        return a, hidden

    def outer():
        return inner(), pair

    assert saved(outer).keys() == {"a", "pair", "a default of inner"}
    assert saved(lambda: None) == {}


def test_conv_saves_w_and_not_a_copy(normals) -> None:
    x, w = normals((2, 4, 4, 3), (3, 3, 3, 2))
    kept = saved(conv(x, w)[1])
    assert kept["x"] is x
    assert sum(a.nbytes for n, a in kept.items() if not np.shares_memory(a, w)) == x.nbytes


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_have_the_dtype_of_the_arguments(case, dtype, normals) -> None:
    op, args, options = example(case, normals, dtype)
    y, op_pullback = op(*args, **options)
    for a in (*tree.leaves(y), *tree.leaves(op_pullback(*cotangent(y, normals)))):
        assert a.dtype == dtype


@pytest.mark.parametrize("case", CASES)
def test_float32_results_agree_with_float64(case, normals) -> None:
    op, single, options = example(case, normals, np.float32)
    y, op_pullback = op(*single, **options)
    dy = cotangent(y, normals)
    double = [a.astype(np.float64) for a in single]
    for name in options.keys() & {"target", "weight"}:
        options[name] = options[name].astype(np.float64)
    exact, exact_pullback = op(*double, **options)
    found = (*tree.leaves(y), *tree.leaves(op_pullback(*dy)))
    right = (*tree.leaves(exact), *tree.leaves(exact_pullback(*(a.astype(np.float64) for a in dy))))
    for a, b in zip(found, right, strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-5)


@pytest.mark.usefixtures("read_only_results")
@pytest.mark.parametrize("case", CASES)
def test_the_pullback_returns_one_cotangent_per_argument_and_can_be_called_again(
    case, normals
) -> None:
    """Each has the shape of its argument; the arguments are read-only."""
    op, args, options = example(case, normals)
    y, op_pullback = op(*args, **options)
    dy = cotangent(y, normals)
    gradient = op_pullback(*dy)
    assert isinstance(gradient, tuple)
    assert [d.shape for d in gradient] == [a.shape for a in args]
    first = [d.copy() for d in gradient]
    for a, b in zip(first, op_pullback(*dy), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("case", CASES)
def test_forward_only_drops_the_pullback(case, normals) -> None:
    op, args, options = example(case, normals)
    with forward_only():
        y, op_pullback = op(*args, **options)
    assert op_pullback is dropped
    for a, b in zip(tree.leaves(y), tree.leaves(op(*args, **options)[0]), strict=True):
        np.testing.assert_array_equal(a, b)


#: The arguments with one row per sample, where it is not the first alone.
PER_SAMPLE: dict[str, tuple[int, ...]] = {
    "attention": (0, 1, 2),
    "concat": (0, 1),
    "modulate": (0, 1, 2),
    "norm_silu_conv": (0, 5, 6, 7, 8),
    "shift": (0, 1),
}
#: Ops whose output does not have one row per sample.
OVER_THE_BATCH = ("cross_entropy", "embedding", "squared_error")


@pytest.mark.parametrize("case", [case for case in CASES if case not in OVER_THE_BATCH])
def test_samples_are_independent(case, normals) -> None:
    """The first sample alone gives the same as in a batch."""
    op, args, options = example(case, normals)
    together = op(*args, **options)[0]
    rows = PER_SAMPLE.get(op.__name__, (0,))
    options = {**options, **({"mask": MASK[:1]} if "mask" in options else {})}
    options = {**options, **({"key": Key(0, (0,))} if "key" in options else {})}
    alone = op(*(a[:1] if i in rows else a for i, a in enumerate(args)), **options)[0]
    for a, b in zip(tree.leaves(alone), tree.leaves(together), strict=True):
        np.testing.assert_allclose(a, b[:1], rtol=1e-13, atol=1e-14)
