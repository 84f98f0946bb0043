"""A problem specified to the last digit, and its results."""

import importlib
import inspect
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from npdiff.laboratory.equations import equations

#: Significant decimal digits of written values.
DIGITS = 12

_CITED = re.compile(r":eq:\x60([^\x60]+)\x60")
_ROLE = re.compile(r":(?:func|class|mod|meth|data):`~?\.?([^`]+)`")


@dataclass(frozen=True)
class Problem:
    """A computation, its inputs and its results.

    Attributes
    ----------
    name : for example ``"schedule/cosine"``
    statement : the task in words
    given : its inputs, by name
    values : the results, by name
    definitions : functions, classes and modules whose docstrings define the terms
    """

    name: str
    statement: str
    given: Mapping[str, Any]
    values: Mapping[str, Any]
    definitions: tuple[Any, ...] = ()


def wave(phase: float, shape: tuple[int, ...]) -> np.ndarray:
    """sin(i + phase) at row-major flat index i: an array that any program can make."""
    return np.sin(np.arange(int(np.prod(shape))) + phase).reshape(shape)


def json_values(value: Any) -> Any:
    """Arrays as nested lists, floats with 12 digits, infinities and NaN as strings."""
    if isinstance(value, Mapping):
        return {str(key): json_values(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_values(item) for item in value]
    if isinstance(value, np.ndarray):
        return json_values(value.tolist())
    if isinstance(value, bool | str) or value is None:
        return value
    if isinstance(value, int | np.integer):
        return int(value)
    value = float(value)
    return float(f"{value:.{DIGITS}g}") if np.isfinite(value) else str(value)


def definition(f: Any) -> str:
    """The docstring of a function, a class or a module."""
    return inspect.getdoc(f) or ""


def key_of(f: Any) -> str:
    """The key of a definition in the file: ``npdiff.samplers._ddim.ddim``."""
    return f.__name__ if inspect.ismodule(f) else f"{f.__module__}.{f.__qualname__}"


def collect_docstrings(definitions: Iterable[Any]) -> dict[str, str]:
    """Docstrings by key: of the definitions, and of everything in npdiff that they refer to."""
    found: dict[str, str] = {}
    queue = list(definitions)
    while queue:
        f = queue.pop()
        if key_of(f) not in found:
            found[key_of(f)] = definition(f)
            queue += [g for name in _ROLE.findall(definition(f)) if (g := _find_object(name))]
    return dict(sorted(found.items()))


def _find_object(name: str) -> Any:
    """The object with a full name, or None if it is not in npdiff."""
    parts = name.split(".")
    for cut in range(len(parts), 1, -1) if parts[0] == "npdiff" else ():
        try:
            found = importlib.import_module(".".join(parts[:cut]))
        except ModuleNotFoundError:
            continue
        for part in parts[cut:]:
            found = getattr(found, part)
        return found if inspect.getdoc(found) and hasattr(found, "__name__") else None
    return None


def cited_equations(texts: list[str]) -> dict[str, str]:
    """Equations by label: those that the texts cite, and those that the equations cite."""
    stated, found, queue = equations(), {}, list(texts)
    while queue:
        for label in _CITED.findall(queue.pop()):
            if label in stated and label not in found:
                found[label] = stated[label].latex
                queue.append(stated[label].latex)
    return dict(sorted(found.items()))


def plain_text(text: str) -> str:
    """A docstring without Sphinx roles and double backticks."""
    return _ROLE.sub(r"\1", text).replace("``", "`")
