"""Training: the loop, its configuration, the run directory, and the files that weights live in."""

from npdiff.train.config import PRESETS, Config
from npdiff.train.loop import Progress, train
from npdiff.train.run import Run, load_model
from npdiff.train.shards import Workers, forward
from npdiff.train.weights import Trained, save_model

__all__ = [
    "PRESETS",
    "Config",
    "Progress",
    "Run",
    "Trained",
    "Workers",
    "forward",
    "load_model",
    "save_model",
    "train",
]
