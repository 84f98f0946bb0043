"""The changes that :mod:`benchmarks.mutants` makes to formulas, one at a time.

Signs, factors, operators, comparisons, indices, constants, functions and the order of arguments.
Left out, because no equation depends on them: code that only leads to ``raise``, strings, type
annotations, ``__repr__``; block sizes and the number of iterations of a search; tolerances and
whether they are inclusive; and -1 -> -2 in ``reshape``, which accepts any negative size.
"""

import ast
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

SWAPPED_OPERATORS = {
    ast.Add: ast.Sub, ast.Sub: ast.Add, ast.Mult: ast.Div, ast.Div: ast.Mult,
    ast.RShift: ast.LShift, ast.LShift: ast.RShift, ast.BitXor: ast.BitOr, ast.BitAnd: ast.BitOr,
}  # fmt: skip
COMPARISONS = {
    ast.Lt: (ast.LtE, ast.GtE), ast.LtE: (ast.Lt, ast.Gt), ast.Gt: (ast.GtE, ast.LtE),
    ast.GtE: (ast.Gt, ast.Lt), ast.Eq: (ast.NotEq,), ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,), ast.IsNot: (ast.Is,),
}  # fmt: skip
_PAIRS = (
    "min max, minimum maximum, sin cos, sinh cosh, exp expm1, log log1p, floor ceil, any all, "
    "argmin argmax, zeros_like ones_like, zeros ones"
)
SWAPPED_FUNCTIONS = {
    a: b for pair in _PAIRS.split(", ") for a, b in (pair.split(), pair.split()[::-1])
}
DROPPED_FUNCTIONS = {"sqrt", "square", "abs", "reversed"}
#: Functions with f(a, b) = f(b, a), and calls whose arguments are not mathematics.
SYMMETRIC = {
    "max",
    "min",
    "maximum",
    "minimum",
    "vdot",
    "hypot",
    "isclose",
    "gcd",
    "logaddexp",
    "swapaxes",
    "isinstance",
}
#: Functions that split work, register parts, validate, print, or give quadrature nodes.
_OUTSIDE = {
    *("split_range", "blocks", "Registry", "HasAttributes", "bind", "check_features"),
    *("TypeVar", "cast", "__repr__", "__str__", "short_repr", "leggauss", "hermgauss"),
}
#: Names of constants that affect only speed or the accuracy of a search.
_TUNING = re.compile(r"BLOCK|BITS|ITERATIONS|TOLERANCE|ROUNDING|^[ra]?tol")
_TINY = 1e-6
PLAIN = (ast.Name, ast.Attribute, ast.Call)


@dataclass(frozen=True)
class Mutant:
    """One change: its file and function, the original expression and its replacement."""

    path: Path
    function: str
    running: bool  # the changed code runs on a call, not when the function is defined
    line: int
    lines: range
    change: str
    parent: ast.AST
    field: str
    index: int | None
    new: ast.AST

    def apply(self) -> None:
        """Make the change in the syntax tree of the mutant."""
        self._put(self.new)

    def _put(self, node: ast.AST) -> None:
        if self.index is None:
            setattr(self.parent, self.field, node)
        else:
            getattr(self.parent, self.field)[self.index] = node

    def described(self, old: ast.AST, around: list[ast.AST]) -> str:
        """``a + b -> a - b``, with the surrounding expression if it is short."""
        whole = _context([*around, old])
        if whole is old:
            return " -> ".join(ast.unparse(node).split("\n")[0] for node in (old, self.new))
        before = ast.unparse(whole).split("\n")[0]
        self._put(self.new)
        after = ast.unparse(whole).split("\n")[0]
        self._put(old)
        return f"{before} -> {after}"


def name_of(node: ast.AST) -> str:
    """The function name of ``xp.sqrt`` or ``sqrt``; empty for other nodes."""
    return node.attr if isinstance(node, ast.Attribute) else getattr(node, "id", "")


def _of_texts(node: ast.BinOp) -> bool:
    kinds = (ast.Tuple, ast.List, ast.JoinedStr)
    return any(
        isinstance(side, kinds) or (isinstance(side, ast.Constant) and isinstance(side.value, str))
        for side in (node.left, node.right)
    )


def _binary(node: ast.BinOp) -> Iterator[ast.AST]:
    if _of_texts(node) or _is_tiny(node.left) or _is_tiny(node.right):
        return
    swapped = SWAPPED_OPERATORS.get(type(node.op))
    if swapped:
        yield ast.BinOp(node.left, swapped(), node.right)
    if isinstance(node.op, ast.Mult | ast.Div | ast.Pow):
        yield node.left
    if isinstance(node.op, ast.Mult):
        yield node.right


def _constant(node: ast.Constant) -> Iterator[ast.AST]:
    if type(node.value) is int:
        yield ast.Constant(node.value + 1)
    elif type(node.value) is float and not _is_tiny(node):
        yield ast.Constant(1.1 * node.value if node.value else 1.0)


def _alike(subscripts: ast.AST) -> bool:
    """Whether both operands of an einsum have the same indices."""
    text = str(getattr(subscripts, "value", ""))
    return len(set(text.partition("->")[0].split(","))) == 1


def _call(node: ast.Call) -> Iterator[ast.AST]:
    name = name_of(node.func)
    if name in SWAPPED_FUNCTIONS:
        other = SWAPPED_FUNCTIONS[name]
        func = (
            ast.Attribute(node.func.value, other, ast.Load())
            if isinstance(node.func, ast.Attribute)
            else ast.Name(other, ast.Load())
        )
        yield ast.Call(func, node.args, node.keywords)
    if name in DROPPED_FUNCTIONS and len(node.args) == 1:
        yield node.args[0]
    if name in SYMMETRIC | _OUTSIDE or (name == "einsum" and _alike(node.args[0])):
        return
    for i in range(len(node.args) - 1):
        a, b = node.args[i : i + 2]
        if type(a) is type(b) and ast.dump(a) != ast.dump(b):
            yield ast.Call(node.func, [*node.args[:i], b, a, *node.args[i + 2 :]], node.keywords)


def changes(node: ast.AST) -> Iterator[ast.AST]:
    """The possible replacements of a node."""
    if isinstance(node, ast.BinOp):
        yield from _binary(node)
    elif isinstance(node, ast.AugAssign):
        if type(node.op) in SWAPPED_OPERATORS:
            yield ast.AugAssign(node.target, SWAPPED_OPERATORS[type(node.op)](), node.value)
        yield ast.Pass()
    elif isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub | ast.Not):
        yield node.operand
    elif isinstance(node, ast.Compare):
        for i, op in enumerate(node.ops):
            others = COMPARISONS.get(type(op), ())
            for other in others[-1:] if any(map(_is_tiny, ast.walk(node))) else others:
                ops = [*node.ops[:i], other(), *node.ops[i + 1 :]]
                yield ast.Compare(node.left, ops, node.comparators)
    elif isinstance(node, ast.BoolOp):
        yield ast.BoolOp(ast.Or() if isinstance(node.op, ast.And) else ast.And(), node.values)
    elif isinstance(node, ast.Constant):
        yield from _constant(node)
    elif isinstance(node, ast.Call):
        yield from _call(node)
    elif isinstance(node, ast.IfExp) and isinstance(node.test, PLAIN):
        yield ast.IfExp(node.test, node.orelse, node.body)
    elif isinstance(node, ast.If) and isinstance(node.test, PLAIN):
        yield ast.If(ast.UnaryOp(ast.Not(), node.test), node.body, node.orelse)


def _leads_to_raise(node: ast.AST) -> bool:
    if isinstance(node, ast.For):
        return all(map(_leads_to_raise, node.body))
    return isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise)


def _is_tiny(node: ast.AST) -> bool:
    """Whether this is a tolerance: a tiny constant, or a multiple of machine epsilon."""
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult | ast.Div):
        return _is_tiny(node.left) or _is_tiny(node.right)
    if isinstance(node, ast.Call) and name_of(node.func) == "float":
        return _is_tiny(node.args[0])
    value = getattr(node, "value", None)
    rounding = isinstance(node, ast.Attribute) and node.attr == "eps"
    return (type(value) is float and 0.0 < abs(value) <= _TINY) or (
        rounding and isinstance(value, ast.Call) and name_of(value.func) == "finfo"
    )


def _skipped(node: ast.AST, field: str) -> bool:
    """Whether a field of a node is not part of a formula."""
    if isinstance(node, ast.Raise | ast.Assert | ast.JoinedStr | ast.ClassDef) and field != "body":
        return True
    if field in ("annotation", "returns", "decorator_list", "type_comment", "ops", "op", "ctx"):
        return True
    if _leads_to_raise(node) and field in ("test", "iter", "body"):
        return True
    if isinstance(node, ast.FunctionDef) and (
        node.name in _OUTSIDE or node.name.lstrip("_").startswith("check")
    ):
        return True
    if isinstance(node, ast.Call):
        return name_of(node.func) in _OUTSIDE
    if isinstance(node, ast.UnaryOp):
        return getattr(node, "rest", False)
    if isinstance(node, ast.keyword):
        return bool(_TUNING.search(node.arg or ""))
    if isinstance(node, ast.For) and field == "iter":  # for _ in range(60): rounds of a search
        return getattr(node.target, "id", "") == "_"
    if isinstance(node, ast.Assign | ast.AnnAssign) and field == "value":
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        named = (name for target in targets for name in ast.walk(target))
        return any(_TUNING.search(getattr(name, "id", "")) for name in named)
    return False


def _children(node: ast.AST) -> Iterator[tuple[str, int | None, ast.AST]]:
    if isinstance(node, ast.Call) and name_of(node.func) == "reshape":
        for argument in node.args:
            argument.rest = True  # type: ignore[attr-defined]
    if isinstance(node, ast.Tuple) and any(isinstance(size, ast.Starred) for size in node.elts):
        node.elts[0].rest = True  # type: ignore[attr-defined]
    if isinstance(node, ast.arguments):
        named = zip([*node.args[len(node.args) - len(node.defaults) :], *node.kwonlyargs],
                    [*node.defaults, *node.kw_defaults], strict=False)  # fmt: skip
        for argument, default in named:
            if default is not None and _TUNING.search(argument.arg):
                default.tuning = True  # type: ignore[attr-defined]
    for field, value in ast.iter_fields(node):
        if _skipped(node, field):
            continue
        if isinstance(value, ast.AST):
            yield field, None, value
        elif isinstance(value, list):
            pairs = (
                (i, child)
                for i, child in enumerate(value)
                if isinstance(child, ast.AST) and not hasattr(child, "tuning")
            )
            yield from ((field, i, child) for i, child in pairs)


def _context(nodes: list[ast.AST]) -> ast.AST:
    """The smallest surrounding node that identifies the place of a change."""
    for node in reversed(nodes):
        if isinstance(node, ast.arguments):
            break
        expression = isinstance(node, ast.expr) and not isinstance(node, ast.Attribute)
        if isinstance(node, ast.stmt) or (expression and len(ast.unparse(node)) > 8):
            return node
    return nodes[-1]


def mutants(path: Path, tree: ast.Module) -> Iterator[Mutant]:
    """All mutants of a file, in the order of the text."""

    known: Counter[tuple[str, str]] = Counter()

    def walk(
        node: ast.AST, function: str, outer: ast.AST | None, span: range, around: list[ast.AST]
    ) -> Iterator[Mutant]:
        for field, index, child in _children(node):
            here, within, lines = function, outer, span
            if isinstance(child, ast.FunctionDef | ast.ClassDef) and outer is None:
                here = f"{function}.{child.name}".lstrip(".")
                within = child if isinstance(child, ast.FunctionDef) else None
            elif isinstance(child, ast.arguments) and node is outer:
                within = None  # defaults are evaluated where the function is defined
            header = isinstance(child, ast.expr) and isinstance(node, ast.For | ast.While | ast.If)
            if isinstance(child, ast.stmt) or header:
                lines = range(child.lineno, (child.end_lineno or child.lineno) + 1)
            seen = {ast.dump(child)}
            for new in list(changes(child)):
                if ast.dump(new) in seen:
                    continue
                seen.add(ast.dump(new))
                ast.copy_location(new, child)
                mutant = Mutant(
                    path, here, within is not None, getattr(child, "lineno", span.start),
                    lines, "", node, field, index, new,
                )  # fmt: skip
                change = mutant.described(child, [*around, node])
                known[here, change] += 1
                number = known[here, change]  # repeated text in one function
                yield replace(mutant, change=change + (f" [{number}]" if number > 1 else ""))
            yield from walk(child, here, within, lines, [*around, node])

    yield from walk(tree, "", None, range(1, 2), [])
