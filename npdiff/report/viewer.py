"""The forward and reverse process as an interactive page: one HTML file for any browser.

The file embeds its images (one PNG per direction, one column per frame) and a short script, and
loads nothing else. Move the slider, press play, or step with the arrow keys.
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

#: Limit on the pixels of one direction, in bytes: PNG hardly compresses noise, base64 adds a third.
MAX_BYTES = 600_000

#: At most this many samples side by side; fewer, where at least MIN_FRAMES frames would not fit.
MAX_SAMPLES, MIN_FRAMES = 10, 16


def save_html(
    path: str | Path,
    forward: Sequence[Frame],
    reverse: Sequence[Frame],
    schedule: Schedule,
    *,
    forward_names: Sequence[str] = (),
    reverse_names: Sequence[str] = (),
    title: str = "Forward and reverse process",
) -> None:
    """Write the interactive page, a file well below 2 MB, atomically.

    If there are more frames or samples than fit (:data:`MAX_BYTES`), the page has evenly spaced
    frames, with the first and the last, and the first samples.

    Parameters
    ----------
    path : the file, ``.html``
    forward : frames of real images in the forward process, whose ``x0_hat`` is the image itself; if
        empty, the page has the reverse process only
    reverse : frames of samples in the reverse process, from :func:`npdiff.generation.trajectory`.
        ``x`` and ``x0_hat`` are (N, H, W, 1 or 3), uint8 or floats in [-1, 1]
    schedule : the schedule of the times, for alpha_t, sigma_t and the log-SNR
    forward_names, reverse_names : a caption for each sample, or none
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
    """The data of one direction for the page's script."""
    if not len(frames):
        raise InputError(f"the page needs at least one {which} frame")
    shape = frames[0].x.shape
    if len(shape) != 4 or shape[-1] not in (1, 3) or 0 in shape:
        raise InputError(
            f"{which} frames must have shape (N, H, W, 1) or (N, H, W, 3), got {shape}"
        )
    for frame in frames:
        if frame.x.shape != shape or frame.x0_hat.shape != shape:
            raise InputError(
                f"{which} frames differ in shape: {shape}, then x {frame.x.shape} "
                f"with x0_hat {frame.x0_hat.shape}"
            )
    if names and len(names) != shape[0]:
        raise InputError(f"{len(names)} {which} names for {shape[0]} samples: give one each")
    samples, count = page_capacity(shape, len(frames))
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


def page_capacity(shape: Sequence[int], frames: int) -> tuple[int, int]:
    """How many samples and frames of images (N, H, W, C) fit on a page.

    >>> page_capacity((80, 32, 32, 1), 26), page_capacity((8, 32, 32, 1), 1000)
    ((10, 26), (8, 36))
    >>> page_capacity((8, 64, 64, 3), 51)
    (1, 24)
    """
    pair = 2 * math.prod(shape[1:])
    samples = min(shape[0], MAX_SAMPLES, max(1, MAX_BYTES // (pair * min(frames, MIN_FRAMES))))
    return samples, min(frames, max(2, MAX_BYTES // (pair * samples)))


def _sheet(frames: Sequence[Frame], samples: int) -> str:
    """All frames as one PNG: a column per frame, with the noisy samples above the estimates."""
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
    """Values for the page, rounded; None for infinity, which JSON does not have."""
    return [round(float(value), 6) if math.isfinite(value) else None for value in values]
