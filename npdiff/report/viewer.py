"""Noising and denoising to scrub through by hand: one HTML file, which needs nothing but a browser.

The file holds its pictures itself (a PNG for each direction, a frame a column), and its own short
script; it loads nothing. Move the slider, press play, or step with the arrow keys.
"""

import base64
import html
import io
import json
import math
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from npdiff.errors import InputError
from npdiff.generation import Frame
from npdiff.report.pictures import to_uint8
from npdiff.schedules import Schedule

_TEMPLATE = Path(__file__).with_name("viewer.html")

#: Bytes of all pixels of one direction: noise hardly shrinks in a PNG, and base64 adds a third.
BYTES = 600_000

#: Samples side by side, and the frames for which samples have to give way.
SAMPLES, FRAMES = 10, 16


def save_html(
    path: str | Path,
    forward: Sequence[Frame],
    reverse: Sequence[Frame],
    schedule: Schedule,
    *,
    forward_names: Sequence[str] = (),
    reverse_names: Sequence[str] = (),
    title: str = "Noise, and back",
) -> None:
    """Write the viewer, a file that is at all times whole and well below 2 MB.

    Where there are more frames or samples than fit (:data:`BYTES`), it shows frames evenly chosen
    among them, the first and the last included, and the first samples.

    Parameters
    ----------
    path : the file, ``.html``
    forward : frames of real images on their way to noise, whose ``x_0`` is the image itself; or
        none, and the page is about denoising alone
    reverse : frames of samples that come out of noise, as :func:`npdiff.generation.trajectory` makes
        them. ``x`` and ``x_0`` are (N, H, W, 1 or 3), bytes or numbers in [-1, 1]
    schedule : whose alpha_t, sigma_t and log-SNR belong to the times
    forward_names, reverse_names : what to write above each sample, one name each, or none
    title : of the page

    Raises
    ------
    InputError
        If there are no reverse frames, frames differ in shape, names or times do not fit, or the
        file cannot be written.
    """
    from npdiff.files import atomic

    views = {}
    if len(forward):
        views["noising"] = _view("forward", forward, schedule, forward_names)
    views["denoising"] = _view("reverse", reverse, schedule, reverse_names)
    sizes = {view.pop("size") for view in views.values()}
    if len(sizes) > 1:
        raise InputError(f"forward and reverse images differ in size (H, W): {sorted(sizes)}")
    timesteps = np.linspace(0.0, schedule.t_max, 101)
    content = {
        "size": sizes.pop(),
        "views": views,
        "curve": {
            "t": _rounded(timesteps),
            "alpha": _rounded(schedule.alpha(timesteps)),
            "sigma": _rounded(schedule.sigma(timesteps)),
        },
    }
    # Within a script "</" could end it.
    script = json.dumps(content, ensure_ascii=False, allow_nan=False).replace("</", "<\\/")
    parts = {"title": html.escape(title), "data": script}
    template = _TEMPLATE.read_text(encoding="utf-8")
    page = re.sub(r"\$(title|data)\b", lambda match: parts[match[1]], template)
    with atomic(path) as file:
        file.write(page.encode())


def _view(
    which: str, frames: Sequence[Frame], schedule: Schedule, names: Sequence[str]
) -> dict[str, Any]:
    """What the page has to know of one direction."""
    if not len(frames):
        raise InputError(f"the viewer needs at least one {which} frame")
    shape = frames[0].x.shape
    if len(shape) != 4 or shape[-1] not in (1, 3) or 0 in shape:
        raise InputError(f"expected {which} frames of shape (N, H, W, 1) or (N, H, W, 3): {shape}")
    for frame in frames:
        if frame.x.shape != shape or frame.x0_hat.shape != shape:
            raise InputError(
                f"{which} frames differ in shape: {shape}, then x {frame.x.shape} "
                f"with x_0 {frame.x0_hat.shape}"
            )
    if names and len(names) != shape[0]:
        raise InputError(f"{len(names)} {which} names for {shape[0]} samples: give one each")
    samples, count = fitting(shape, len(frames))
    chosen = np.linspace(0, len(frames) - 1, count).round().astype(int)
    shown = [frames[i] for i in chosen]
    t = schedule.time(np.array([frame.t for frame in shown]))
    return {
        "size": shape[1:3],
        "names": [str(name) for name in names[:samples]] or [""] * samples,
        "timesteps": _rounded(t),
        "alpha": _rounded(schedule.alpha(t)),
        "sigma": _rounded(schedule.sigma(t)),
        "log_snr": _rounded(schedule.log_snr(t)),
        "sheet": _sheet(shown, samples),
    }


def fitting(shape: Sequence[int], frames: int) -> tuple[int, int]:
    """How many samples and frames of images (N, H, W, C) fit a page.

    >>> fitting((80, 32, 32, 1), 26), fitting((8, 32, 32, 1), 1000), fitting((8, 64, 64, 3), 51)
    ((10, 26), (8, 36), (1, 24))
    """
    pair = 2 * math.prod(shape[1:])
    samples = min(shape[0], SAMPLES, max(1, BYTES // (pair * min(frames, FRAMES))))
    return samples, min(frames, max(2, BYTES // (pair * samples)))


def _sheet(frames: Sequence[Frame], samples: int) -> str:
    """All frames as one picture: a frame a column; rows are the noisy samples, then the clean."""
    from PIL import Image

    columns = [
        np.concatenate([*to_uint8(frame.x)[:samples], *to_uint8(frame.x0_hat)[:samples]])
        for frame in frames
    ]
    sheet = np.concatenate(columns, axis=1)
    out = io.BytesIO()
    image = Image.fromarray(sheet[..., 0] if sheet.shape[-1] == 1 else sheet)
    image.save(out, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(out.getvalue()).decode()


def _rounded(values: np.ndarray) -> list[float | None]:
    """Numbers for the page; JSON knows no infinity."""
    return [round(float(value), 6) if math.isfinite(value) else None for value in values]
