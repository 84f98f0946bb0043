"""The data set of a configuration."""

from pathlib import Path
from typing import Any

from npdiff import data
from npdiff.data import DATASETS, Dataset
from npdiff.errors import InputError
from npdiff.options import is_description
from npdiff.runs.config import Config


def load_data(config: Config) -> Dataset:
    """The data set of a configuration: the part ``config.split`` of named data; objects as given.

    Raises
    ------
    InputError
        If the data do not exist, or are an object that was not passed.
    """
    source: Any = config.data
    if is_description(source):
        raise InputError(
            f"this data set is an object that a file cannot hold, {source['object']}: "
            "pass it again, dataset=..., or register it under a name and train with that name"
        )
    if not isinstance(source, str | dict):
        return DATASETS.resolve(source)
    named = isinstance(source, dict) or source in DATASETS
    if not named and Path(str(source)).is_dir() and config.shape:
        height, _, channels = config.shape
        return data.load(source, config.split, size=height, channels=channels)
    return data.load(source, config.split)
