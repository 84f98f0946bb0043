"""How samples are made."""

import math
from dataclasses import dataclass, field
from typing import Any

from npdiff.errors import InputError
from npdiff.spacings import SPACINGS


@dataclass(frozen=True)
class SamplingConfig:
    """How samples are made.

    Parameters
    ----------
    sampler : a key of :data:`npdiff.samplers.SAMPLERS`
    steps : of the sampler
    spacing : a key of :data:`npdiff.spacings.SPACINGS`, which times the steps visit
    guidance : w of classifier-free guidance: 0 ignores the label, 1 is the model as it was trained,
        above 1 leans towards the label
    rescale : phi of :func:`npdiff.guidance.rescale_cfg`, from 0 (none) to 1: the guided estimate of
        the data gets the contrast of the unguided one
    threshold : quantile of :func:`npdiff.guidance.dynamic_threshold`, which then takes the place of
        ``clip``; None for none
    interval : the noise levels sigma / alpha, from low to high, where guidance acts
        (:func:`npdiff.guidance.guidance_interval`); None for all
    clip : keep every estimate of the data within [-1, 1]
    options : the sampler's own (:func:`npdiff.samplers.options_of`): ``{"eta": 0.5}`` for ddim
    """

    sampler: str = "ddim"
    steps: int = 50
    spacing: str = "trailing"
    guidance: float = 1.0
    rescale: float = 0.0
    threshold: float | None = None
    interval: tuple[float, float] | None = None
    clip: bool = True
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.spacing not in SPACINGS:
            raise InputError(
                f"unknown timestep spacing {self.spacing!r}: choose one of {', '.join(SPACINGS)}"
            )
        if not math.isfinite(self.guidance):
            raise InputError(f"guidance is a finite number, 1 for none, got {self.guidance}")
        for name, share in (("rescale", self.rescale), ("threshold", self.threshold)):
            if share is not None and not 0.0 <= share <= 1.0:
                raise InputError(f"{name} is a number from 0 to 1, got {share}")
        low, high = self.interval or (0.0, 1.0)
        if not 0.0 <= low < high < math.inf:
            raise InputError(f"interval LOW HIGH: expected 0 <= LOW < HIGH, got {low} and {high}")
