"""Fields of a configuration that check their values: what is allowed, in words and as a test."""

import dataclasses
import math
from collections.abc import Callable, Iterable
from typing import Any

#: Checks one value and returns it, in its own type; raises ValueError where it does not fit.
Check = Callable[[Any], Any]


def option(default: Any, allowed: str, check: Check, about: str) -> Any:
    """A field with its default, what is allowed in words, the check, and a line of help."""
    metadata = {"allowed": allowed, "check": check, "help": about}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=lambda: dict(default), metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def integer(default: int, low: int, about: str, high: float = math.inf) -> Any:
    """A whole number from ``low`` to ``high``; a bool is none."""

    def check(value: Any) -> int:
        if type(value) is not int or not low <= value <= high:
            raise ValueError
        return value

    upto = "up" if high == math.inf else f"to {high}"
    return option(default, f"an integer from {low} {upto}", check, about)


def number(default: float, allowed: str, fits: Callable[[float], bool], about: str) -> Any:
    """A finite number; a whole one becomes a float."""

    def check(value: Any) -> float:
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

    def check(value: Any) -> str:
        if not isinstance(value, str) or not value:
            raise ValueError
        return value

    return option(default, "a string that is not empty", check, about)


def choice(default: str, names: Iterable[str], about: str) -> Any:
    """One of some names."""

    def check(value: Any) -> str:
        if not isinstance(value, str) or value not in names:
            raise ValueError
        return value

    return option(default, f"one of {', '.join(names)}", check, about)


def sequence(
    default: tuple[Any, ...], allowed: str, fits: Callable[[Any], bool], about: str
) -> Any:
    """A list or a tuple, of which a tuple is made."""

    def check(value: Any) -> tuple[Any, ...]:
        if not isinstance(value, list | tuple) or not all(fits(entry) for entry in value):
            raise ValueError
        return tuple(value)

    return option(default, allowed, check, about)
