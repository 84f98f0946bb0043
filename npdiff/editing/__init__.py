"""Editing: what a denoiser and a sampler make of an image that is there already.

Each edit is a function over ``denoise`` and the samplers, and knows nothing of networks. On
Gaussian data (:mod:`npdiff.exact`) what it has to come to is known in closed form.
"""

from npdiff.editing._sdedit import sdedit, start_of
from npdiff.editing.inpainting import evaluations, inpaint, renoised, replaced, walk
from npdiff.editing.interpolation import decode, encode, interpolate, slerp

__all__ = [
    "decode",
    "encode",
    "evaluations",
    "inpaint",
    "interpolate",
    "renoised",
    "replaced",
    "sdedit",
    "slerp",
    "start_of",
    "walk",
]
