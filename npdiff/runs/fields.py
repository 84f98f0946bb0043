"""Fields of a configuration with checks: the allowed values, in words and as a function."""

import dataclasses
import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from npdiff.options import is_description, to_python
from npdiff.registry import Registry

#: Checks one value and returns it with the field's type; raises ValueError if it does not fit.
Check = Callable[[Any], Any]


def option(default: Any, allowed: str, check: Check, about: str) -> Any:
    """A field with its default, the allowed values in words, the check, and a line of help."""
    metadata = {"allowed": allowed, "check": check, "help": about}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def integer(
    default: int | None, low: int, about: str, high: float = math.inf, *, optional: bool = False
) -> Any:
    """An integer from ``low`` to ``high``, or None where it is optional."""

    def check(value: Any) -> int | None:
        if optional and value is None:
            return None
        value = to_python(value)
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    upto = "up" if high == math.inf else f"to {high}"
    null = ", or null" if optional else ""
    return option(default, f"an integer from {low} {upto}{null}", check, about)


def number(default: float, allowed: str, fits: Callable[[float], bool], about: str) -> Any:
    """A finite number; an integer becomes a float."""

    def check(value: Any) -> float:
        value = to_python(value)
        if type(value) not in (int, float) or not math.isfinite(value) or not fits(value):
            raise ValueError
        return float(value)

    return option(default, allowed, check, about)


def is_fraction(value: Any) -> bool:
    """Whether a value is a number in [0, 1)."""
    return type(value) in (int, float) and 0 <= value < 1


def fraction(default: float, about: str) -> Any:
    """A number in [0, 1)."""
    return number(default, "a number from 0 up to, not including, 1", is_fraction, about)


def text(default: str, about: str) -> Any:
    """A string that is not empty."""
    return option(default, "a string that is not empty", _nonempty, about)


def boolean(default: bool, about: str) -> Any:
    """True or false."""

    def check(value: Any) -> bool:
        if type(value) is not bool:
            raise ValueError
        return value

    return option(default, "true or false", check, about)


def choice(default: str, names: Iterable[str], about: str) -> Any:
    """One of some names."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return option(default, f"one of {', '.join(names)}", check, about)


def part(
    default: str, registry: Registry[Any, Any], about: str, *, other_text: bool = False
) -> Any:
    """A name in a registry, a dictionary of a name and options, or an object of the kind.

    Parameters
    ----------
    default : a name
    registry : the names
    about : a line of help
    other_text : True if a string may also be something other than a name, such as a path
    """

    def check(value: Any) -> Any:
        if is_description(value):  # of a run in a file: resolved only when it is needed
            return dict(value)
        if other_text and isinstance(value, str):
            return _nonempty(value)
        if isinstance(value, Mapping):
            registry.resolve(value)
            return {key: to_python(entry) for key, entry in value.items()}
        registry.split(value)
        return value

    allowed = f"a {registry.kind}: a name, a dictionary of a name and options, or an object"
    return option(default, allowed, check, about)


def sequence(
    default: tuple[Any, ...], allowed: str, fits: Callable[[Any], bool], about: str
) -> Any:
    """A list or a tuple, stored as a tuple."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not all(fits(entry) for entry in value):
            raise ValueError
        return tuple(value)

    return option(default, allowed, check, about)


def _nonempty(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError
    return value
