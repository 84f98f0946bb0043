"""Data: the digits that ship with npdiff, anybody's own images, and densities in the plane."""

from pathlib import Path

from npdiff.data._digits import digits
from npdiff.data.batches import batch_indices
from npdiff.data.dataset import SPLITS, Dataset, split_of, to_float
from npdiff.data.own import folder, npz
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
    """The data set of that name or at that path.

    Parameters
    ----------
    name_or_path : ``"digits"``, a folder of images (one subfolder a class), or an ``.npz`` file
        (``images``, and ``labels`` and ``classes`` if there are any)
    split : ``"train"``, ``"test"`` (a tenth: :func:`npdiff.data.dataset.split_of`) or ``"all"``,
        in the order given
    size, channels : for a folder: what to bring its images to

    Examples
    --------
    >>> train = load("digits")
    >>> train.images.shape, len(train.classes)
    ((9000, 32, 32, 1), 10)

    Raises
    ------
    InputError
        If there is no such data, or it cannot be used.
    """
    path = Path(name_or_path)
    if str(name_or_path) != "digits" and path.is_dir():
        return split_of(folder(path, size, channels), split)
    if size is not None or channels is not None:
        raise InputError(f"size and channels are for folders of images, not for {name_or_path}")
    if str(name_or_path) == "digits":
        return split_of(digits(), split, shuffle=False)
    if path.suffix == ".npz" and path.is_file():
        return split_of(npz(path), split)
    raise InputError(
        f"no data at {name_or_path}: expected 'digits', a folder of images or an .npz file"
    )
