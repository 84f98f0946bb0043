"""Checks of the convolution of an upsampled image."""

from typing import Any

import numpy as np

from npdiff.kernels import upsampled
from npdiff.laboratory.checks import _textbook as textbook
from npdiff.laboratory.registry import Case, check, relative


@check(
    "upsample-conv", method="the large image written out, inner products", tolerance=1e-12, cases=3
)
def upsampled_images(case: Case) -> float:
    """The kernel, on the host, against the convolution of the upsampled image.

    The result is linear in image and weights, so inner products verify both cotangents.
    """
    height, width = case.choose([(5, 7), (4, 8), (9, 3)])
    x, other = case.rng.standard_normal((2, 8, height, width, 16))
    w, other_w = case.rng.standard_normal((2, 3, 3, 16, 17))
    b = case.rng.standard_normal(17)
    traced = upsampled.upsample_conv(x, w, b)
    if traced is None:
        raise ValueError(f"the kernel must cover x {x.shape} and w {w.shape}, and it does not")
    y, pullback = traced

    def definition(x: np.ndarray, w: np.ndarray, b: Any) -> np.ndarray:
        return textbook.conv(x.repeat(2, axis=1).repeat(2, axis=2), w, b)

    dy = case.rng.standard_normal(y.shape)
    dx, dw, db = pullback(dy)
    zero = np.zeros(17)
    pairs = [
        (np.sum(dx * other), np.sum(dy * definition(other, w, zero))),
        (np.sum(dw * other_w), np.sum(dy * definition(x, other_w, zero))),
    ]
    scale = float(np.linalg.norm(dy)) * float(np.linalg.norm(y))
    off = max(float(abs(found - right)) for found, right in pairs) / scale
    return max(relative(y, definition(x, w, b)), off, relative(db, dy.sum(axis=(0, 1, 2))))
