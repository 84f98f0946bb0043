"""Configurations by name."""

from npdiff.runs.config import Config

_DIGITS = {"width": 32, "multipliers": (1, 2), "blocks": 2, "attention": (1,), "patch": 2}

#: Configurations by name: a first run of some minutes, and the model that ships with npdiff.
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
