"""The data set that a configuration names."""

from pathlib import Path

from npdiff import data
from npdiff.data import Dataset
from npdiff.runs.config import Config


def load_data(config: Config) -> Dataset:
    """The data that a configuration names."""
    if Path(config.data).is_dir() and config.shape:
        height, _, channels = config.shape
        return data.load(config.data, config.split, size=height, channels=channels)
    return data.load(config.data, config.split)
