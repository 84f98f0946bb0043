"""Load your own images: from a folder, from an ``.npz`` file, or a single one."""

import zipfile
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.data.dataset import Dataset
from npdiff.errors import InputError

EXTENSIONS = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".tif", ".tiff", ".webp", ".pgm", ".ppm")


def load_folder(path: str | Path, size: int | None = None, channels: int | None = None) -> Dataset:
    """The images of a folder with one subfolder per class; without subfolders, one class.

    Parameters
    ----------
    path : the folder
    size : crop every image to its largest centered square and resize it to ``size`` x ``size``
        pixels; without it all images must have the same shape
    channels : 1 (gray) or 3 (RGB); by default 1 if all images are gray, else 3

    Raises
    ------
    InputError
        If there are no images, their shapes differ, or one of them cannot be read.
    """
    path = Path(path)
    if size is not None and size < 1:
        raise InputError(f"expected a size of at least 1 pixel, got {size}")
    if channels not in (None, 1, 3):
        raise InputError(f"expected 1 channel (gray) or 3 (RGB), got {channels}")
    groups = {child.name: _image_files(child, deep=True) for child in _subfolders(path)}
    groups = {name: files for name, files in groups.items() if files}
    loose = _image_files(path, deep=False)
    if loose and groups:
        raise InputError(
            f"{path} contains both images ({loose[0].name}) and subfolders of images: "
            "put every image into the subfolder of its class"
        )
    if loose:
        groups = {path.resolve().name: loose}
    if not groups:
        raise InputError(f"no images in {path}: expected files ending in {', '.join(EXTENSIONS)}")
    files = [file for group in groups.values() for file in group]
    images = [_read(file, size, channels) for file in files]
    if channels is None and any(image.shape[-1] == 3 for image in images):
        images = [np.broadcast_to(image, (*image.shape[:2], 3)) for image in images]
    for file, image in zip(files, images, strict=True):
        if image.shape != images[0].shape:
            raise InputError(
                f"{file} is {_pixels(image)} and {files[0]} is {_pixels(images[0])}: "
                "give a size to resize all images to"
            )
    labels = np.repeat(np.arange(len(groups)), [len(group) for group in groups.values()])
    return Dataset(np.stack(images), labels.astype(np.int64), tuple(groups))


def load_npz(path: str | Path) -> Dataset:
    """The images of an ``.npz`` file.

    It contains ``images``, uint8 of shape (N, H, W), (N, H, W, 1) or (N, H, W, 3); optionally
    ``labels``, integers from 0 of shape (N,); and optionally ``classes``, an array of strings with
    the names of the classes. The file is read without unpickling.

    Raises
    ------
    InputError
        If the file cannot be read, or an array has another name, shape or type.
    """
    try:
        with open(path, "rb") as file:
            loaded = np.load(file, allow_pickle=False)
            if not isinstance(loaded, np.lib.npyio.NpzFile):
                raise ValueError("it contains a single array")
            arrays = {name: loaded[name] for name in loaded.files}
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"cannot read {path} as an .npz file of plain arrays: {error}") from error
    if "images" not in arrays:
        raise InputError(f"{path} contains {sorted(arrays)}: expected an array named 'images'")
    images = _check_images(path, arrays["images"])
    labels = _check_labels(path, arrays.get("labels"), len(images))
    count = int(labels.max()) + 1
    names = arrays.get("classes", np.arange(count).astype(str))
    if names.ndim != 1 or names.dtype.kind != "U" or len(names) < count:
        raise InputError(
            f"{path}: labels run to {count - 1}, so 'classes' must be at least {count} strings, "
            f"got {names.dtype} of shape {names.shape}"
        )
    return Dataset(images, labels, tuple(names.tolist()))


def load_image(path: str | Path, shape: tuple[int, ...]) -> np.ndarray:
    """One image converted to a given shape (H, W, C): a square is cropped and resized.

    Raises
    ------
    InputError
        If the image does not exist or cannot be read, or if H and W differ from each other and
        from those of the image.
    """
    height, width, channels = shape
    size = height if height == width else None
    image = _read(Path(path), size, channels)
    if image.shape != tuple(shape):
        raise InputError(
            f"{path} is {_pixels(image)}, expected {width} x {height}: resize it first"
        )
    return image


def _check_images(path: str | Path, images: np.ndarray) -> np.ndarray:
    if images.dtype != np.uint8:
        raise InputError(
            f"{path}: 'images' has dtype {images.dtype}, expected uint8 with values 0 to 255"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise InputError(
            f"{path}: 'images' has shape {images.shape}, expected (N, H, W), (N, H, W, 1) or "
            "(N, H, W, 3) with at least one image"
        )
    return images


def _check_labels(path: str | Path, labels: np.ndarray | None, count: int) -> np.ndarray:
    if labels is None:
        return np.zeros(count, dtype=np.int64)
    if labels.dtype.kind not in "iu" or labels.shape != (count,):
        raise InputError(
            f"{path}: 'labels' is {labels.dtype} of shape {labels.shape}, expected integers of "
            f"shape ({count},), one for each image"
        )
    if labels.min() < 0 or labels.max() >= count:
        raise InputError(
            f"{path}: labels run from {labels.min()} to {labels.max()}, expected 0, 1, 2, ... "
            f"below the number of images ({count})"
        )
    return labels.astype(np.int64)


def _subfolders(path: Path) -> list[Path]:
    return sorted(p for p in path.iterdir() if p.is_dir() and not p.name.startswith("."))


def _image_files(path: Path, *, deep: bool) -> list[Path]:
    found = path.rglob("*") if deep else path.iterdir()
    return sorted(p for p in found if p.suffix.lower() in EXTENSIONS and p.name[0] != ".")


def _read(file: Path, size: int | None, channels: int | None) -> np.ndarray:
    """One image, uint8 (H, W, 1 or 3), upright, with transparent parts on white."""
    from PIL import Image, ImageOps

    try:
        with Image.open(file) as opened:
            opened.load()
            image: Any = ImageOps.exif_transpose(opened)
    except (OSError, ValueError, SyntaxError, EOFError, Image.DecompressionBombError) as error:
        known = error.strerror if isinstance(error, OSError) else None  # not from Pillow
        reason = known or f"{error}; repair or remove the file"
        raise InputError(f"cannot read the image {file}: {reason}") from error
    if image.mode.startswith("I;16"):  # 16 bits per pixel: keep the upper eight
        image = Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
    if image.mode in ("I", "F"):
        raise InputError(f"{file} has 32 bits per pixel: convert it to 8 bits")
    if image.has_transparency_data:
        canvas = Image.new("RGBA", image.size, "white")
        gray = image.mode in ("LA", "La", "L", "1")
        image = Image.alpha_composite(canvas, image.convert("RGBA")).convert("L" if gray else "RGB")
    wanted = channels or (1 if image.mode in ("L", "1") else 3)
    image = image.convert("L" if wanted == 1 else "RGB")
    if size is not None and image.size != (size, size):
        image = ImageOps.fit(image, (size, size), Image.Resampling.LANCZOS)
    return np.asarray(image, dtype=np.uint8).reshape(image.height, image.width, wanted)


def _pixels(image: np.ndarray) -> str:
    height, width, channels = image.shape
    return f"{width} x {height} pixels, {channels} channel{'s' if channels > 1 else ''}"
