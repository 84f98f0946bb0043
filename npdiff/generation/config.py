"""The configuration of sampling: sampler, steps, guidance."""

import dataclasses
import inspect
import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.options import describe, spell, to_python
from npdiff.samplers import SAMPLERS
from npdiff.samplers.checks import check_timesteps
from npdiff.schedules import Schedule
from npdiff.spacings import SPACINGS


@dataclass(frozen=True, repr=False)
class SamplingConfig:
    """The configuration of sampling: sampler, steps, spacing, guidance and clipping.

    Parameters
    ----------
    sampler : a name in :data:`npdiff.samplers.SAMPLERS`, a dictionary of a name and options
        (``{"name": "ddim", "eta": 0.5}``), or a function (:func:`npdiff.samplers.sample`)
    steps : of the sampler
    spacing : a name in :data:`npdiff.spacings.SPACINGS`, a dictionary of a name and options
        (``{"name": "karras", "rho": 5}``), or a function of (schedule, steps)
    guidance : w of classifier-free guidance: 0 ignores the label, 1 is the model as it was trained,
        above 1 strengthens the label
    rescale : phi of :func:`npdiff.guidance.rescale_cfg`, from 0 (none) to 1: the guided estimate of
        the data gets the contrast of the unguided estimate
    threshold : quantile of :func:`npdiff.guidance.dynamic_threshold`, which then replaces ``clip``;
        None for none
    interval : the noise levels sigma / alpha, from low to high, at which guidance acts
        (:func:`npdiff.guidance.guidance_interval`); None for all
    clip : clip every estimate of the data to [-1, 1]
    options : of the sampler (:func:`npdiff.samplers.options_of`): ``{"eta": 0.5}`` for ddim

    Raises
    ------
    InputError
        If a name or an option is unknown, or a number is out of range.
    """

    sampler: Any = "ddim"
    steps: int = 50
    spacing: Any = "trailing"
    guidance: float = 1.0
    rescale: float = 0.0
    threshold: float | None = None
    interval: tuple[float, float] | None = None
    clip: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for number in ("steps", "guidance", "rescale", "threshold"):
            object.__setattr__(self, number, to_python(getattr(self, number)))
        SAMPLERS.split(self.sampler, **self.options)
        SPACINGS.split(self.spacing)
        if not math.isfinite(self.guidance):
            raise InputError(
                f"guidance must be a finite number, 1 for no guidance, got {self.guidance}"
            )
        for name, fraction in (("rescale", self.rescale), ("threshold", self.threshold)):
            if fraction is not None and not 0.0 <= fraction <= 1.0:
                raise InputError(f"{name} must be a number from 0 to 1, got {fraction}")
        low, high = self.interval or (0.0, 1.0)
        if not 0.0 <= low < high < math.inf:
            raise InputError(f"interval LOW HIGH: expected 0 <= LOW < HIGH, got {low} and {high}")

    def timesteps(self, schedule: Schedule) -> np.ndarray:
        """The times that the sampler visits: steps + 1 descending times, the last of them 0.

        Raises
        ------
        InputError
            If the spacing returns something else, or is not a function of (schedule, steps).
        """
        spacing = SPACINGS.resolve(self.spacing)
        try:
            inspect.signature(spacing).bind(schedule, self.steps)
        except TypeError as error:
            raise InputError(
                f"timestep spacing {spell(self.spacing)!r} must accept the call "
                f"spacing(schedule, steps): {error}"
            ) from error
        return check_timesteps(schedule, spacing(schedule, self.steps))

    def to_dict(self) -> dict[str, Any]:
        """The fields as plain values, with descriptions in place of functions."""
        fields = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        described = ("sampler", "spacing", "options")
        return {name: describe(v) if name in described else v for name, v in fields.items()}

    def __repr__(self) -> str:
        """The fields that differ from their defaults."""
        given = [
            f"{f.name}={repr(value) if isinstance(value, str | dict) else spell(value)}"
            for f in dataclasses.fields(self)
            if (value := getattr(self, f.name)) != f.default and value != {}
        ]
        return f"SamplingConfig({', '.join(given)})"
