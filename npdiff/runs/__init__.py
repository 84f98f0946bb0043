"""Training runs on disk: the configuration, the checkpoint file and the run directory."""

from npdiff.runs.checkpoint import Checkpoint, save_model
from npdiff.runs.config import Config
from npdiff.runs.presets import PRESETS
from npdiff.runs.run import Run, load_model

__all__ = ["PRESETS", "Checkpoint", "Config", "Run", "load_model", "save_model"]
