"""Options of functions, checked; and names, options and objects as text and as JSON."""

import inspect
import math
import re
from collections.abc import Callable, Mapping
from numbers import Integral, Real
from typing import Any

import numpy as np

from npdiff.errors import InputError

Options = dict[str, Any]


def defaults(function: Callable[..., Any], common: tuple[str, ...] = ()) -> Options:
    """The options of a function with their defaults; ``...`` stands for an option without one."""
    if inspect.isclass(function) and function.__init__ is object.__init__:
        return {}
    found: Options = {}
    for i, (name, parameter) in enumerate(inspect.signature(function).parameters.items()):
        shared_by_position = (
            i < len(common)
            and parameter.default is parameter.empty
            and parameter.kind is not parameter.KEYWORD_ONLY
        )
        if name in common or shared_by_position:
            continue
        if parameter.kind is parameter.VAR_KEYWORD:
            found["**"] = ...
        elif parameter.kind is not parameter.VAR_POSITIONAL:
            found[name] = ... if parameter.default is parameter.empty else parameter.default
    return found


def checked_options(owner: str, known: Mapping[str, Any], options: Mapping[str, Any]) -> Options:
    """The options, checked; NumPy scalars become Python numbers, which keep the dtype of an array.

    Raises
    ------
    InputError
        If an option is unknown or not of the type of its default.
    """
    unknown = sorted(options.keys() - known.keys())
    if unknown and "**" not in known:
        has = f"its options are {', '.join(known)}" if known else "it has no options"
        raise InputError(f"{owner} has no option {unknown[0]!r}: {has}")
    checked = {name: to_python(value) for name, value in options.items()}
    for name, value in checked.items():
        if expected := _expected(value, known.get(name)):
            raise InputError(f"option {name!r} of {owner} must be {expected}, got {value!r}")
    return checked


def _expected(value: Any, default: Any) -> str:
    """The type of the default, in words, if ``value`` does not have it; else an empty string."""
    is_bool = isinstance(value, bool)
    if isinstance(default, bool):
        return "" if is_bool else "true or false"
    if isinstance(default, int):
        return "" if isinstance(value, Integral) and not is_bool else "an integer"
    if isinstance(default, float):
        number = isinstance(value, Real) and not is_bool
        return "" if number and not math.isnan(value) else "a number"
    if isinstance(default, str):  # a name, or the object that a name denotes
        return "" if isinstance(value, str | Mapping) or callable(value) else "a name"
    return ""


def to_python(value: Any) -> Any:
    """A NumPy scalar as a Python number; everything else unchanged."""
    scalar = isinstance(value, np.generic) or (isinstance(value, np.ndarray) and value.ndim == 0)
    return value.item() if scalar else value


def describe(value: Any) -> Any:
    """A description for JSON: names and dictionaries unchanged, an object as its text and type."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return {key: describe(v) if callable(v) else to_python(v) for key, v in value.items()}
    owner = value if hasattr(value, "__qualname__") else type(value)
    text = owner.__qualname__ if owner is value else re.sub(r" at 0x[0-9a-f]+", "", repr(value))
    return {"object": text, "type": f"{owner.__module__}.{owner.__qualname__}"}


def is_description(value: Any) -> bool:
    """Whether :func:`describe` made this value from an object."""
    return isinstance(value, Mapping) and value.keys() == {"object", "type"}


def spell(value: Any) -> str:
    """The text of a name, a name with options, or an object, for messages and reports."""
    if isinstance(value, str):
        return value
    if is_description(value):
        return str(value["object"])
    if isinstance(value, Mapping):
        options = ", ".join(f"{k}={spell(to_python(v))}" for k, v in value.items() if k != "name")
        return f"{value.get('name')}({options})"
    scalar = to_python(value)
    if value is None or value is ... or isinstance(scalar, bool | int | float | tuple | list):
        return "..." if value is ... else str(scalar)
    return str(describe(value)["object"])


def shorten(value: Any) -> str:
    """An object of any kind as a short text for an error message."""
    if isinstance(value, np.ndarray):
        return f"an array of shape {value.shape} and dtype {value.dtype}"
    if inspect.isclass(value) or inspect.isroutine(value):
        return f"the {'class' if inspect.isclass(value) else 'function'} {value.__name__}"
    text = " ".join(repr(value).split())
    return text if len(text) <= 120 else f"{text[:117]}..."


def summary(entry: Any) -> str:
    """The first line of the docstring, without reStructuredText markup."""
    line = (inspect.getdoc(entry) or shorten(entry)).splitlines()[0]
    return re.sub(r":\w+:`~?([^`]*)`|``([^`]*)``", r"\1\2", line)
