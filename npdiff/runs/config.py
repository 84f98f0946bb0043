"""What a training run is: one frozen record, checked field by field, that goes to JSON and back."""

import dataclasses
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from npdiff.backend import BACKENDS
from npdiff.errors import InputError
from npdiff.nn import UNet
from npdiff.objective import TIME_SAMPLERS, WEIGHTINGS
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.runs.fields import (
    choice,
    fraction,
    integer,
    is_fraction,
    number,
    option,
    sequence,
    text,
)
from npdiff.schedules import SCHEDULES


def _betas(value: Any) -> tuple[float, float]:
    first, second = value
    if not (is_fraction(first) and is_fraction(second)):
        raise ValueError
    return float(first), float(second)


#: The options of the U-Net that a configuration may set. The seed is the run's, and images have two
#: axes, leave with the channels they came with, and come without a context.
MODEL_OPTIONS = {
    name: option.annotation
    for name, option in inspect.signature(UNet.init).parameters.items()
    if name not in ("seed", "out_channels", "context_width", "dims")
}


def _model(value: Any) -> dict[str, Any]:
    """The options of the U-Net; the lists that JSON has instead of tuples become tuples."""
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
    """What an option allows, in words and as a test, from its annotation in ``UNet.init``."""
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


@dataclass(frozen=True, kw_only=True)
class Config:
    """Everything that decides the result of a training run.

    Each field's metadata holds its ``help``, a line, and what is ``allowed``.

    Raises
    ------
    InputError
        If a field has the wrong type or lies out of range: names the field and what is allowed.
    """

    data: str = text("digits", "a data set's name, or a path to a folder or file of images")
    split: str = text("train", "the part of the data set to train on")
    shape: tuple[int, ...] = sequence(
        (),
        "a list of integers from 1 up",
        lambda v: type(v) is int and v >= 1,
        "the shape of one sample, channels last (filled in from the data)",
    )
    classes: tuple[str, ...] = sequence(
        (),
        "a list of strings",
        lambda v: isinstance(v, str),
        "the names of the classes (filled in from the data)",
    )
    model: dict[str, Any] = option(  # noqa: RUF009
        {}, "a table of the U-Net's options", _model, "the options of the U-Net"
    )
    schedule: str = choice("cosine", SCHEDULES, "the noise schedule")
    prediction: str = choice("v", PARAMETERIZATIONS, "what the network's output means")
    weighting: str = choice("v", WEIGHTINGS, "how much the error at each time counts")
    time_sampler: str = choice("uniform", TIME_SAMPLERS, "how the times of the samples are drawn")
    label_drop: float = fraction(
        0.1, "the share of labels replaced by the null label, for guidance"
    )

    steps: int = integer(500, 1, "optimizer steps", high=2**32 - 1)
    batch: int = integer(128, 1, "samples in a batch", high=2**20)
    accumulate: int = integer(1, 1, "batches whose gradients make up one step", high=2**12)
    shard: int = integer(32, 1, "samples a thread works on at a time", high=2**20)
    learning_rate: float = number(
        2e-3, "a number above 0", lambda v: v > 0, "the highest learning rate"
    )
    warmup: int = integer(50, 0, "steps in which the learning rate rises from 0")
    decay: str = choice(
        "cosine", ("constant", "cosine", "linear"), "the learning rate after the warm-up"
    )
    betas: tuple[float, float] = option(
        (0.9, 0.999),
        "two numbers from 0 up to, not including, 1",
        _betas,
        "the decay of AdamW's two moments",
    )
    weight_decay: float = number(
        0.01, "a number from 0 up", lambda v: v >= 0, "AdamW's decoupled weight decay"
    )
    clip: float = number(1.0, "a number above 0", lambda v: v > 0, "the largest norm of a gradient")
    ema: float = fraction(0.995, "the decay of the weights' moving average; 0 keeps none")
    seed: int = integer(0, 0, "the seed of every draw", high=2**64 - 1)
    backend: str = choice("numpy", BACKENDS, "where the arrays live")

    sample_every: int = integer(200, 0, "steps between pictures of samples; 0 for none")
    checkpoint_every: int = integer(100, 1, "steps between checkpoints")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                checked = field.metadata["check"](value)
            except InputError:
                raise
            except (ValueError, TypeError):
                raise InputError(
                    f"config: {field.name} must be {field.metadata['allowed']}, got {value!r}"
                ) from None
            object.__setattr__(self, field.name, checked)
        if self.warmup >= self.steps and self.decay != "constant":
            raise InputError(
                f"config: warmup must be less than steps ({self.steps}) where the learning rate "
                f"decays, got {self.warmup}"
            )

    @property
    def shard_size(self) -> int:
        """The samples a thread works on at a time; a GPU works on a whole batch."""
        return self.batch if self.backend == "cupy" else self.shard

    def replace(self, **changes: Any) -> Self:
        """This configuration with some fields changed, checked again."""
        return type(self).from_dict({**self._as_dict(), **changes})

    def differing(self, other: Self) -> list[str]:
        """The names of the fields in which two configurations differ."""
        mine, others = self._as_dict(), other._as_dict()
        return [name for name in mine if mine[name] != others[name]]

    def _as_dict(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_json(self) -> str:
        """The configuration as JSON, a field a line."""
        return json.dumps(self._as_dict(), indent=2)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Self:
        """The configuration with these fields; the others have their defaults.

        Raises
        ------
        InputError
            If a field is unknown.
        """
        known = [field.name for field in dataclasses.fields(cls)]
        for name in values:
            if name not in known:
                raise InputError(f"config: unknown field {name!r}: choose among {', '.join(known)}")
        return cls(**values)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """The configuration that :meth:`to_json` wrote, or a person did.

        Raises
        ------
        InputError
            If the text is no JSON object, or a field does not fit.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"config: not JSON ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"config: expected a JSON object, got {type(values).__name__}")
        return cls.from_dict(values)

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The configuration in a JSON file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"config: cannot read {path} ({error})") from None


_DIGITS = {"width": 32, "multipliers": (1, 2), "blocks": 2, "attention": (1,), "patch": 2}

#: Configurations by name: a first run of minutes, and the model that ships with the package.
PRESETS: dict[str, Config] = {
    "digits": Config(data="digits", model=_DIGITS, steps=450),
    "digits-large": Config(
        data="digits",
        model={**_DIGITS, "width": 40},
        steps=1500,
        warmup=100,
        ema=0.999,
        sample_every=400,
        checkpoint_every=200,
    ),
}
