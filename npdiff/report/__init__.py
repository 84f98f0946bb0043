"""Figures: image grids, strips, animations, loss curves, the interactive page of a run.

:func:`write` makes all figures of a finished run. The other functions take images as uint8 or as
floats in [-1, 1], channels last. Pillow and matplotlib are imported when a function needs them.
"""

from npdiff.report.figures import (
    Figure,
    forward_frames,
    forward_strip,
    is_complete,
    reverse_strip,
    save_sampling_page,
    write,
)
from npdiff.report.pictures import (
    denoising_strip,
    image_grid,
    noising_strip,
    save_gif,
    save_loss_curve,
    save_png,
    to_uint8,
)
from npdiff.report.viewer import save_html

__all__ = [
    "Figure",
    "denoising_strip",
    "forward_frames",
    "forward_strip",
    "image_grid",
    "is_complete",
    "noising_strip",
    "reverse_strip",
    "save_gif",
    "save_html",
    "save_loss_curve",
    "save_png",
    "save_sampling_page",
    "to_uint8",
    "write",
]
