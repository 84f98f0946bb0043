"""Image grids, strips of the forward and reverse process, loss curves; PNG and GIF files.

Images are uint8 or floats in [-1, 1], gray or RGB, channels last; results are uint8. Pillow and
matplotlib are imported where they are used, and ``pyplot`` with its global state is not used.
"""

import io
import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.errors import InputError

_WHITE, _INK = 255, 40


def to_uint8(x: Array) -> np.ndarray:
    """Floats in [-1, 1] as uint8: 127.5 (x + 1), clipped to 0 .. 255 and rounded.

    The inverse of :func:`npdiff.data.to_float`. A uint8 array is returned as it is.

    >>> to_uint8(np.array([-1.0, -0.6, 0.0, 1.0, 7.0])).tolist()
    [0, 51, 128, 255, 255]

    Raises
    ------
    InputError
        If the dtype is neither uint8 nor floating, or an entry is NaN.
    """
    x = np.asarray(to_host(x))
    if x.dtype == np.uint8:
        return x
    if x.dtype.kind != "f":
        raise InputError(f"images must be uint8 or floats in [-1, 1], got {x.dtype}")
    if np.isnan(x).any():
        raise InputError(
            f"images must not contain NaN, got {np.isnan(x).sum()} NaN entries: replace them first"
        )
    return np.rint(127.5 * (np.clip(x, -1.0, 1.0) + 1.0)).astype(np.uint8)


def image_grid(
    images: Array, columns: int | None = None, *, scale: int = 1, gap: int = 2, border: int = _WHITE
) -> np.ndarray:
    """Many images as one image, row by row, with borders between and around them.

    Parameters
    ----------
    images : (N, H, W, C) or (N, H, W), uint8 or floats in [-1, 1]
    columns : images in a row; by default the grid is about square
    scale : the width and height of each drawn pixel
    gap : width of the borders, in pixels of the result
    border : gray level of the borders, 0 to 255

    Returns
    -------
    uint8 array (height, width, C)

    Raises
    ------
    InputError
        If the images have another shape, or an option is out of range.
    """
    tiles = _enlarge(_stack(images), scale)
    N, H, W, C = tiles.shape
    if columns is None:
        columns = math.ceil(math.sqrt(N))
    if columns < 1 or gap < 0 or not 0 <= border <= 255:
        raise InputError(
            "expected columns >= 1, gap >= 0 and border from 0 to 255, "
            f"got columns {columns}, gap {gap}, border {border}"
        )
    columns = min(columns, N)
    rows = -(-N // columns)
    height, width = rows * (H + gap) + gap, columns * (W + gap) + gap
    canvas = np.full((height, width, C), border, dtype=np.uint8)
    for i, tile in enumerate(tiles):
        top, left = (gap + (i // columns) * (H + gap), gap + (i % columns) * (W + gap))
        canvas[top : top + H, left : left + W] = tile
    return canvas


def save_png(image: Array, path: str | Path) -> None:
    """Write one image, (H, W, C) or (H, W), to a PNG file, atomically.

    Raises
    ------
    InputError
        If the image has another shape, or the file cannot be written.
    """
    _save([_to_pillow(image)], path, format="PNG", optimize=True)


def save_gif(
    frames: Iterable[Array], path: str | Path, *, milliseconds: int = 100, hold: int = 1500
) -> None:
    """Write images of one shape to an animated GIF that repeats forever.

    Parameters
    ----------
    frames : images, (H, W, C) or (H, W) each. Gray is exact; RGB gets 256 colors a frame.
    path : the file
    milliseconds : duration of a frame
    hold : duration of the last frame, in milliseconds

    Raises
    ------
    InputError
        If there are no frames, their shapes differ, or the file cannot be written.
    """
    images = [_to_pillow(frame) for frame in frames]
    if not images:
        raise InputError("an animation needs at least one frame, got none")
    shapes = sorted({(image.height, image.width, len(image.getbands())) for image in images})
    if len(shapes) > 1:
        raise InputError(f"the frames of an animation must have one shape, got {shapes}")
    durations = [milliseconds] * (len(images) - 1) + [hold]
    rest = images[1:]
    _save(images, path, format="GIF", save_all=True, append_images=rest, duration=durations, loop=0)


def noising_strip(x_t: Array, timesteps: Sequence[float], *, scale: int = 3) -> np.ndarray:
    """One image at several times of the forward process, side by side, each with its t.

    Parameters
    ----------
    x_t : (K, H, W, C), the image at each time
    timesteps : the K times
    scale : the width and height of each drawn pixel

    Returns
    -------
    uint8 array (height, width, C)
    """
    return _label_rows([x_t], [], timesteps, scale)


def denoising_strip(
    x_t: Array, x0_hat: Array, timesteps: Sequence[float], *, scale: int = 3
) -> np.ndarray:
    """A sample along the reverse process: x_t in the upper row, the estimate x0_hat below.

    Parameters
    ----------
    x_t, x0_hat : (K, H, W, C) each
    timesteps : the K times, one for each column
    scale : the width and height of each drawn pixel

    Returns
    -------
    uint8 array (height, width, C)
    """
    return _label_rows([x_t, x0_hat], [("x", "t"), ("estimate of x", "0")], timesteps, scale)


def save_loss_curve(
    metrics: Iterable[Mapping[str, Any]], path: str | Path, *, key: str = "loss"
) -> None:
    """Plot the loss over the steps of a run, log scale, with its running median, as a PNG file.

    Parameters
    ----------
    metrics : one mapping per step, with ``"step"`` and ``key``; others are skipped
    path : the file
    key : the quantity to plot

    Raises
    ------
    InputError
        If there is no finite value, or the file cannot be written.
    """
    from matplotlib.figure import Figure
    from matplotlib.ticker import LogLocator

    points = [(row["step"], row[key]) for row in metrics if "step" in row and key in row]
    steps, values = (
        np.array([p for p in points if math.isfinite(p[1])], dtype=float).reshape(-1, 2).T
    )
    if steps.size == 0:
        raise InputError(f"no finite {key} to plot: the run has not logged a step yet")
    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot()
    axes.plot(steps, values, color="#9ec3e6", linewidth=0.8, label="each step")
    width = max(1, len(values) // 40)
    if width > 1:
        windows = np.lib.stride_tricks.sliding_window_view(values, width)
        middle = steps[width // 2 : width // 2 + len(windows)]
        label = f"median of {width} steps"
        axes.plot(middle, np.median(windows, axis=1), color="#0b4f8a", linewidth=1.8, label=label)
        axes.legend(frameon=False)
    if (values > 0).all():
        axes.set_yscale("log")
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 3, 5, 7)))
        axes.yaxis.set_major_formatter("{x:g}")
        axes.yaxis.set_minor_formatter("")
    axes.set(xlabel="step", ylabel=key)
    axes.grid(color="#e6e6e6", which="both", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    _write(out.getvalue(), path)


def _stack(images: Array) -> np.ndarray:
    """Images as uint8 of shape (N, H, W, C)."""
    images = to_uint8(images)
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or images.size == 0:
        raise InputError(f"images must have shape (N, H, W, 1) or (N, H, W, 3), got {images.shape}")
    return images


def _enlarge(tiles: np.ndarray, scale: int) -> np.ndarray:
    if scale < 1:
        raise InputError(f"scale must be at least 1, got {scale}")
    return tiles.repeat(scale, axis=1).repeat(scale, axis=2)


def _to_pillow(image: Array) -> Any:
    from PIL import Image

    image = to_uint8(image)
    if image.ndim == 2:
        image = image[..., None]
    if image.ndim != 3 or image.shape[-1] not in (1, 3) or image.size == 0:
        raise InputError(
            f"expected one image of shape (H, W, 1) or (H, W, 3), got {image.shape}; "
            "image_grid joins several"
        )
    return Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image)


def _label_rows(
    rows: Sequence[Array], names: Sequence[tuple[str, str]], timesteps: Sequence[float], scale: int
) -> np.ndarray:
    """Rows of images on white, with the time above each column and a name above each row.

    A name is a text and its subscript.
    """
    from PIL import Image, ImageDraw, ImageFont

    tiles = [_enlarge(_stack(row), scale) for row in rows]
    K, H, W, C = tiles[0].shape
    if any(row.shape != tiles[0].shape for row in tiles) or len(timesteps) != K:
        shapes = ", ".join(str(row.shape) for row in rows)
        raise InputError(f"a strip of {len(timesteps)} times does not fit images of shape {shapes}")
    size = max(10, min(16, W // 6))
    font, small = ImageFont.load_default(size), ImageFont.load_default(0.7 * size)
    texts = [f"t = {_format_time(t)}" for t in timesteps]
    gap = max(4, W // 12)
    pitch = max(W, *(math.ceil(font.getlength(text)) for text in texts)) + gap
    name_height = round(1.6 * size) if names else 0
    head = round(2.2 * size)
    height = head + len(rows) * (H + name_height + gap)
    canvas = Image.new("L" if C == 1 else "RGB", (K * pitch + gap, height), "white")
    draw = ImageDraw.Draw(canvas)
    ink = _INK if C == 1 else (_INK,) * 3
    for column, text in enumerate(texts):
        middle = gap + column * pitch + (pitch - gap) / 2
        draw.text((middle, head / 2), text, fill=ink, font=font, anchor="mm")
        left = round(middle - W / 2)
        for r, row in enumerate(tiles):
            top = head + r * (H + name_height + gap) + name_height
            canvas.paste(_to_pillow(row[column]), (left, top))
    for r, (name, index) in enumerate(names):
        base = head + r * (H + name_height + gap) + name_height - 0.5 * size
        draw.text((gap, base), name, fill=ink, font=font, anchor="ls")
        right = gap + font.getlength(name) + 1
        draw.text((right, base + 0.25 * size), index, fill=ink, font=small, anchor="ls")
    return np.asarray(canvas).reshape(canvas.height, canvas.width, C)


def _format_time(t: float) -> str:
    return str(round(t)) if abs(t - round(t)) < 1e-9 else f"{t:.3g}"


def _save(images: Sequence[Any], path: str | Path, **options: Any) -> None:
    out = io.BytesIO()
    images[0].save(out, **options)
    _write(out.getvalue(), path)


def _write(content: bytes, path: str | Path) -> None:
    from npdiff.files import atomic

    with atomic(path) as file:
        file.write(content)
