"""Editing given images: inpainting, SDEdit, inversion, interpolation.

:func:`inpaint`, :func:`image_to_image`, :func:`invert`, :func:`reconstruct` and :func:`interpolate`
edit images with a checkpoint. The algorithms below them work on any denoiser: :func:`repaint`,
:func:`sdedit`, :func:`encode`, :func:`decode`, :func:`interpolate_encodings`. For Gaussian data
(:mod:`npdiff.exact`) their results have closed forms, against which they are verified.
"""

from npdiff.editing._sdedit import sdedit, start_index
from npdiff.editing.images import image_to_image, inpaint
from npdiff.editing.inpainting import (
    denoising_steps,
    renoise,
    repaint,
    replace_known,
    resampling_path,
)
from npdiff.editing.interpolation import decode, encode, interpolate_encodings, slerp
from npdiff.editing.inversion import interpolate, invert, reconstruct

__all__ = [
    "decode",
    "denoising_steps",
    "encode",
    "image_to_image",
    "inpaint",
    "interpolate",
    "interpolate_encodings",
    "invert",
    "reconstruct",
    "renoise",
    "repaint",
    "replace_known",
    "resampling_path",
    "sdedit",
    "slerp",
    "start_index",
]
