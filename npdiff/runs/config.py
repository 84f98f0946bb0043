"""The configuration of a training run: a frozen record with checked fields, saved as JSON."""

# ruff: noqa: RUF009

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from npdiff.backend import BACKENDS
from npdiff.data import DATASETS
from npdiff.errors import InputError
from npdiff.nn import NETWORKS
from npdiff.objective import TIME_SAMPLERS, WEIGHTINGS
from npdiff.options import describe, is_description, shorten, spell
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.registry import Registry, UnknownNameError
from npdiff.runs.fields import (
    boolean,
    choice,
    fraction,
    integer,
    is_fraction,
    number,
    option,
    part,
    sequence,
    text,
)
from npdiff.runs.model_options import model_options
from npdiff.schedules import SCHEDULES

#: The fields whose values are parts: a name, a dictionary of a name and options, or an object.
PARTS: dict[str, Registry[Any, Any]] = {
    "data": DATASETS,
    "schedule": SCHEDULES,
    "prediction": PARAMETERIZATIONS,
    "weighting": WEIGHTINGS,
    "time_sampler": TIME_SAMPLERS,
}


def _network(value: Any) -> Any:
    if value is None or is_description(value):
        return value
    if not isinstance(value, str | dict):
        raise ValueError
    NETWORKS.split(value)
    return value


def _betas(value: Any) -> tuple[float, float]:
    first, second = value
    if not (is_fraction(first) and is_fraction(second)):
        raise ValueError
    return float(first), float(second)


@dataclass(frozen=True, kw_only=True, eq=False, repr=False)
class Config:
    """Everything that decides the result of a training run.

    ``data``, ``schedule``, ``prediction``, ``weighting`` and ``time_sampler`` are names,
    dictionaries of a name and options (``{"name": "linear", "steps": 4000}``), or objects. An
    object is described in the files of the run and is passed again to open it
    (:func:`npdiff.runs.load_model`); a registered name needs no object, only its registration.

    Some building blocks of the library are not options of a run: times drawn by their loss
    (:mod:`npdiff.objective.adaptive`), schedules trained with the network
    (:class:`npdiff.nn.MonotoneNetwork`), contexts of the U-Net, CUDA graphs of a step.

    Each field's metadata holds its ``help``, a line, and what is ``allowed``.

    Raises
    ------
    InputError
        If a field has the wrong type or is out of range: names the field and what is allowed.
    """

    data: Any = part(
        "digits", DATASETS, "a data set's name, or a path to a folder or file of images",
        other_text=True,
    )  # fmt: skip
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
    model: dict[str, Any] = option(
        {}, "a table of the U-Net's options", model_options, "the options of the U-Net"
    )
    network: Any = option(
        None, "null, a registered name, or a dictionary of a name and options; pass an object as "
        "train(network=...)", _network,
        "a network other than the U-Net of `model`: a name in npdiff.nn.NETWORKS (training fills "
        "in the description of an object)",
    )  # fmt: skip
    schedule: Any = part("cosine", SCHEDULES, "the noise schedule")
    prediction: Any = part("v", PARAMETERIZATIONS, "the prediction type: the network's output")
    weighting: Any = part("v", WEIGHTINGS, "the weight of the error at each noise level")
    time_sampler: Any = part("uniform", TIME_SAMPLERS, "the distribution of the training times")
    learn_variance: bool = boolean(
        False, "train the variance of the reverse steps too (hybrid loss); for discrete schedules"
    )
    label_drop: float = fraction(
        0.1, "the fraction of labels replaced by the null label, for guidance"
    )

    steps: int = integer(500, 1, "optimizer steps", high=2**32 - 1)
    batch: int = integer(128, 1, "samples in a batch", high=2**20)
    accumulate: int = integer(1, 1, "batches whose gradients make up one step", high=2**12)
    shard: int = integer(32, 1, "samples that a thread processes at a time", high=2**20)
    learning_rate: float = number(
        2e-3, "a number above 0", lambda v: v > 0, "the highest learning rate"
    )
    warmup: int | None = integer(
        None, 0, "steps in which the learning rate rises from 0; null: 50, or a quarter of all",
        optional=True,
    )  # fmt: skip
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
    seed: int = integer(0, 0, "the seed of all random numbers", high=2**64 - 1)
    backend: str = choice("numpy", BACKENDS, "the array library: the CPU or a GPU")

    sample_every: int = integer(200, 0, "steps between sample images; 0 for none")
    checkpoint_every: int = integer(100, 1, "steps between checkpoints")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            try:
                checked = field.metadata["check"](value)
            except InputError as error:
                if str(error).startswith("config:"):
                    raise
                raise InputError(f"config: {field.name}: {error}") from error
            except (ValueError, TypeError):
                raise InputError(
                    f"config: {field.name} must be {field.metadata['allowed']}, "
                    f"got {shorten(value)}"
                ) from None
            object.__setattr__(self, field.name, checked)
        if self.warmup_steps >= self.steps and self.decay != "constant":
            raise InputError(
                f"config: warmup must be less than steps ({self.steps}) if the learning rate "
                f"decays, got {self.warmup}; null chooses it"
            )

    @property
    def warmup_steps(self) -> int:
        """The steps of the warm-up: ``warmup``, or by default 50, but at most a quarter of all."""
        return min(50, self.steps // 4) if self.warmup is None else self.warmup

    @property
    def shard_size(self) -> int:
        """The samples that a thread processes at a time; a GPU processes a whole batch."""
        return self.batch if self.backend == "cupy" else self.shard

    def replace(self, **changes: Any) -> Self:
        """This configuration with some fields changed, checked again."""
        return type(self).from_dict({**self._fields(), **changes})

    def differing(self, other: Self) -> list[str]:
        """The names of the fields in which two configurations differ; objects by description."""
        mine, others = self.to_dict(), other.to_dict()
        return [name for name in mine if mine[name] != others[name]]

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Config) and self.to_dict() == other.to_dict()

    def __hash__(self) -> int:
        return hash(self.to_json())

    def __repr__(self) -> str:
        """The fields that differ from their defaults."""
        default = Config()
        fields = [
            f"{name}={repr(value) if isinstance(value, str | dict) else spell(value)}"
            for name, value in self._fields().items()
            if describe(value) != describe(getattr(default, name))
        ]
        return f"Config({', '.join(fields)})"

    def _fields(self) -> dict[str, Any]:
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, with descriptions in place of objects."""
        return {
            name: describe(value) if name in PARTS else value
            for name, value in self._fields().items()
        }

    def to_json(self) -> str:
        """The configuration as JSON, one field per line."""
        return json.dumps(self.to_dict(), indent=2)

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
    def from_json(cls, text: str, **objects: Any) -> Self:
        """The configuration in a JSON text, such as :meth:`to_json` returns.

        Parameters
        ----------
        text : a JSON object
        objects : by field, the objects that the text describes or whose names are not registered

        Raises
        ------
        InputError
            If the text is not a JSON object, a field does not fit, or an object is not
            the described one.
        """
        try:
            values = json.loads(text)
        except ValueError as error:
            raise InputError(f"config: not JSON ({error})") from None
        if not isinstance(values, dict):
            raise InputError(f"config: expected a JSON object, got {type(values).__name__}")
        for name, value in objects.items():
            if name not in PARTS:
                raise InputError(f"unknown object {name!r}: choose among {', '.join(PARTS)}")
            recorded = values.get(name, getattr(cls(), name))
            if value is None:
                continue
            given = describe(value)
            known = recorded.get("name") if isinstance(recorded, dict) else recorded
            if is_description(recorded) and is_description(given):
                if recorded != given:
                    texts = [f"{one['object']} ({one['type']})" for one in (recorded, given)]
                    raise InputError(f"config: {name} is {texts[0]}, got {texts[1]}")
            elif recorded != given and (is_description(recorded) or known in PARTS[name]):
                raise InputError(f"config: {name} is {spell(recorded)}, not {spell(value)}")
            values[name] = value
        try:
            return cls.from_dict(values)
        except InputError as error:
            if isinstance(error.__cause__, UnknownNameError):
                raise InputError(
                    f"{error}. If the name is your own, register it before the file is opened "
                    "(command line: --import my_module)"
                ) from error.__cause__
            raise

    @classmethod
    def read(cls, path: str | Path) -> Self:
        """The configuration in a JSON file."""
        try:
            return cls.from_json(Path(path).read_text(encoding="utf-8"))
        except (OSError, UnicodeDecodeError) as error:
            raise InputError(f"config: cannot read {path} ({error})") from None
