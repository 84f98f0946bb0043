"""Data sets: the digits that ship with npdiff, your own images, and toy densities in the plane."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from npdiff.data._digits import digits
from npdiff.data.batches import batch_indices
from npdiff.data.dataset import SPLITS, Dataset, check_dataset, take_split, to_float
from npdiff.data.images import load_folder, load_npz
from npdiff.data.toys import TOYS, Density
from npdiff.errors import InputError
from npdiff.registry import HasAttributes, Registry

__all__ = [
    "DATASETS",
    "SPLITS",
    "TOYS",
    "Dataset",
    "Density",
    "batch_indices",
    "check_dataset",
    "load",
    "to_float",
]

#: Data sets by name. An entry is a function that returns all images; :func:`load` splits them.
DATASETS: Registry[Callable[..., Dataset], Dataset] = Registry(
    "data set",
    "an npdiff.data.Dataset of images, labels and classes",
    HasAttributes("images", "labels", "classes"),
    {"digits": digits},
    call=True,
)


def load(
    source: str | Path | Mapping[str, Any],
    split: str = "train",
    *,
    size: int | None = None,
    channels: int | None = None,
) -> Dataset:
    """The data set with a name, or the images at a path.

    Parameters
    ----------
    source : a name in :data:`DATASETS` (``"digits"``), a dictionary of a name and options, a folder
        of images (one subfolder per class), or an ``.npz`` file (``images``, and optionally
        ``labels`` and ``classes``)
    split : ``"train"``, ``"test"`` (a tenth: :func:`npdiff.data.dataset.take_split`) or ``"all"``,
        in the order given
    size, channels : for a folder: the height and width, and the channels, of its images

    Examples
    --------
    >>> train = load("digits")
    >>> train.images.shape, len(train.classes)
    ((9000, 32, 32, 1), 10)

    Raises
    ------
    InputError
        If the data do not exist or cannot be used.
    """
    named = isinstance(source, Mapping) or str(source) in DATASETS
    if not named and Path(source).is_dir():  # type: ignore[arg-type]
        return take_split(load_folder(Path(source), size, channels), split)  # type: ignore[arg-type]
    if size is not None or channels is not None:
        raise InputError(
            f"size and channels are for folders of images, not for {source}: omit them"
        )
    if named:
        name = source["name"] if isinstance(source, Mapping) and "name" in source else source
        whole = DATASETS.resolve(source if isinstance(source, Mapping) else str(source))
        return take_split(whole, split, shuffle=name != "digits")
    path = Path(source)  # type: ignore[arg-type]
    if path.suffix == ".npz" and path.is_file():
        return take_split(load_npz(path), split)
    raise InputError(
        f"no data at {source}: expected a folder of images, an .npz file, or one of the names "
        f"{', '.join(DATASETS)}"
    )
