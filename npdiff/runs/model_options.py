"""The options of the U-Net in a configuration, checked against the signature of ``UNet.init``."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from npdiff.errors import InputError
from npdiff.nn import UNet
from npdiff.runs.fields import is_fraction

#: The options of the U-Net that a configuration may set. The seed is that of the run; images have
#: two axes; the objective decides the output channels; there is no context.
MODEL_OPTIONS = {
    name: option.annotation
    for name, option in inspect.signature(UNet.init).parameters.items()
    if name not in ("seed", "out_channels", "context_width", "dims")
}


def model_options(value: Any) -> dict[str, Any]:
    """The options of the U-Net, with tuples in place of the lists of JSON."""
    if not isinstance(value, dict):
        raise ValueError
    for name, given in value.items():
        if name not in MODEL_OPTIONS:
            known = ", ".join(MODEL_OPTIONS)
            raise InputError(f"config: unknown field 'model.{name}': choose among {known}")
        allowed, fits = _model_option(name, MODEL_OPTIONS[name])
        if not fits(given):
            raise InputError(f"config: model.{name} must be {allowed}, got {given!r}")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in value.items()}


def _model_option(name: str, kind: Any) -> tuple[str, Callable[[Any], bool]]:
    """The allowed values of an option, in words and as a test, from its annotation in ``init``."""
    low = 0 if name == "attention" else 1

    def counts(value: Any) -> bool:
        return type(value) is int and value >= low

    if kind is int:
        return "an integer from 1 up", counts
    if kind is bool:
        return "true or false", lambda value: type(value) is bool
    if kind is float:
        return "a number from 0 up to, not including, 1", is_fraction
    if kind is str:
        return "a string", lambda value: isinstance(value, str)
    if kind == Sequence[int]:
        return (
            f"a list of integers from {low} up",
            lambda value: isinstance(value, list | tuple) and all(counts(entry) for entry in value),
        )
    return "an integer from 1 up, or null", lambda value: value is None or counts(value)
