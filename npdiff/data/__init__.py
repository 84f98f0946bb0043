"""Data sets: the digits that ship with npdiff, your own images, and toy densities in the plane."""

from pathlib import Path

from npdiff.data._digits import digits
from npdiff.data.batches import batch_indices
from npdiff.data.dataset import SPLITS, Dataset, take_split, to_float
from npdiff.data.images import load_folder, load_npz
from npdiff.data.toys import TOYS, Density
from npdiff.errors import InputError

__all__ = [
    "SPLITS",
    "TOYS",
    "Dataset",
    "Density",
    "batch_indices",
    "load",
    "to_float",
]


def load(
    name_or_path: str | Path,
    split: str = "train",
    *,
    size: int | None = None,
    channels: int | None = None,
) -> Dataset:
    """The data set with a given name or path.

    Parameters
    ----------
    name_or_path : ``"digits"``, a folder of images with one subfolder per class, or an ``.npz``
        file with ``images`` and, optionally, ``labels`` and ``classes``
    split : ``"train"``, ``"test"`` (a tenth: :func:`npdiff.data.dataset.take_split`) or ``"all"``,
        which keeps the order
    size, channels : for a folder: the size and the number of channels to convert its images to

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
    path = Path(name_or_path)
    if str(name_or_path) != "digits" and path.is_dir():
        return take_split(load_folder(path, size, channels), split)
    if size is not None or channels is not None:
        raise InputError(
            f"size and channels apply to a folder of images, and {name_or_path} is not a folder"
        )
    if str(name_or_path) == "digits":
        return take_split(digits(), split, shuffle=False)
    if path.suffix == ".npz" and path.is_file():
        return take_split(load_npz(path), split)
    raise InputError(
        f"no data at {name_or_path}: expected 'digits', a folder of images or an .npz file"
    )
