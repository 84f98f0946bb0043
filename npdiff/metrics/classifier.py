"""The classifier of digits whose features the metrics compare, built and trained with npdiff.

Its weights ship with npdiff (``digits.safetensors``); ``python -m npdiff.metrics.train_classifier``
trains it again.
"""

from collections.abc import Callable
from functools import lru_cache
from importlib import resources
from pathlib import Path

import numpy as np

from npdiff import ops, tree
from npdiff.backend import Array, to_host
from npdiff.data import to_float
from npdiff.errors import InputError
from npdiff.files import atomic, tensors
from npdiff.nn import Conv, GroupNorm, Linear
from npdiff.pullback import Cotangents, Traced, differentiable, forward_only
from npdiff.tree import Module

WEIGHTS = "digits.safetensors"
SIZE = 32  # pixels
_BATCH = 128


class ConvBlock(Module):
    """A convolution, group normalization, SiLU."""

    conv: Conv
    norm: GroupNorm

    @classmethod
    def init(
        cls, rng: np.random.Generator, channels: int, features: int, stride: int
    ) -> "ConvBlock":
        """Initial weights: a 3 x 3 kernel that divides the size by ``stride``."""
        conv = Conv.init(rng, channels, features, stride=stride, padding=1, scale=2.0)
        return cls(conv, GroupNorm.init(features))

    @differentiable
    def __call__(self, x: Array) -> Traced:
        h, conv_pullback = self.conv(x)
        h, norm_pullback = self.norm(h)
        y, silu_pullback = ops.silu(h)

        def conv_block_pullback(dy: Array) -> Cotangents:
            (dh,) = silu_pullback(dy)
            dnorm, dh = norm_pullback(dh)
            dconv, dx = conv_pullback(dh)
            return self.replace(conv=dconv, norm=dnorm), dx

        return y, conv_block_pullback


class DigitClassifier(Module):
    """A convolutional classifier of digits, with the features that the metrics compare.

    Called as a module, it maps float images (N, 32, 32, 1) in [-1, 1] to logits (N, 10) and their
    pullback. :meth:`features` and :meth:`predict` take uint8 or float images, any number of them,
    on the host.
    """

    blocks: tuple[ConvBlock, ...]
    hidden: Linear
    head: Linear

    @classmethod
    def init(
        cls, seed: int, channels: tuple[int, ...] = (32, 64, 96), hidden: int = 64
    ) -> "DigitClassifier":
        """Initial weights. The first block keeps the 16 x 16 positions, the others halve them."""
        rng = np.random.default_rng(seed)
        blocks, width, size = [], 4, SIZE // 2
        for i, C in enumerate(channels):
            stride = 1 if i == 0 else 2
            blocks.append(ConvBlock.init(rng, width, C, stride))
            width, size = C, size // stride
        inner = Linear.init(rng, size * size * width, hidden, scale=2.0)
        return cls(tuple(blocks), inner, Linear.init(rng, hidden, 10))

    @classmethod
    def shipped(cls) -> "DigitClassifier":
        """The classifier that ships with npdiff."""
        return _shipped()

    @differentiable
    def __call__(self, x: Array) -> Traced:
        h, fold_pullback = ops.space_to_depth(x)
        block_pullbacks = []
        for block in self.blocks:
            h, block_pullback = block(h)
            block_pullbacks.append(block_pullback)
        shape = h.shape
        h, hidden_pullback = self.hidden(h.reshape(shape[0], -1))
        h, silu_pullback = ops.silu(h)
        logits, head_pullback = self.head(h)

        def classifier_pullback(dlogits: Array) -> Cotangents:
            dhead, dh = head_pullback(dlogits)
            (dh,) = silu_pullback(dh)
            dhidden, dh = hidden_pullback(dh)
            dh = dh.reshape(shape)
            dblocks = []
            for block_pullback in reversed(block_pullbacks):
                dblock, dh = block_pullback(dh)
                dblocks.append(dblock)
            (dx,) = fold_pullback(dh)
            return self.replace(blocks=tuple(reversed(dblocks)), hidden=dhidden, head=dhead), dx

        return logits, classifier_pullback

    def features(self, images: Array) -> np.ndarray:
        """The features of images: (N, 256), float32.

        They are the channel means of each block and the 64 hidden values. The hidden values alone
        are trained to separate the digits and to ignore the rest; the channel means also respond to
        what a classifier learns to ignore, such as remaining noise and blur.

        Parameters
        ----------
        images : (N, 32, 32, 1), uint8 or floats in [-1, 1]

        Raises
        ------
        InputError
            If the images have another shape or are not finite.
        """

        def describe(x: np.ndarray) -> np.ndarray:
            h, _ = ops.space_to_depth(x)
            parts = []
            for block in self.blocks:
                h, _ = block(h)
                parts.append(h.mean(axis=(1, 2)))
            h, _ = self.hidden(h.reshape(len(h), -1))
            return np.concatenate([*parts, ops.silu(h)[0]], axis=1)

        return _in_batches(describe, images)

    def predict(self, images: Array) -> np.ndarray:
        """The predicted digits of images (N, 32, 32, 1), uint8 or floats in [-1, 1]: (N,) integers.

        Raises
        ------
        InputError
            If the images have another shape or are not finite.
        """
        return _in_batches(lambda x: self(x)[0].argmax(axis=-1), images)


def _in_batches(f: Callable[[np.ndarray], np.ndarray], images: Array) -> np.ndarray:
    """``f`` of the images as float32 in [-1, 1], batch by batch, without pullbacks."""
    images = _check_images(images)
    parts = []
    with forward_only():
        for first in range(0, len(images), _BATCH):
            x = images[first : first + _BATCH]
            x = to_float(x) if x.dtype == np.uint8 else np.clip(x, -1.0, 1.0)
            parts.append(f(x.astype(np.float32, copy=False)))
    return np.concatenate(parts)


def _check_images(images: Array) -> np.ndarray:
    images = np.asarray(to_host(images))
    if images.shape[1:] != (SIZE, SIZE, 1) or len(images) == 0:
        raise InputError(
            f"the classifier of digits takes images of shape (N, {SIZE}, {SIZE}, 1), "
            f"got {images.shape}"
        )
    if images.dtype != np.uint8 and images.dtype.kind != "f":
        raise InputError(f"images must be uint8 or floats in [-1, 1], got {images.dtype}")
    if images.dtype != np.uint8 and not np.isfinite(images).all():
        count = np.sum(~np.isfinite(images))
        raise InputError(f"images must be finite, got {count} entries that are NaN or infinite")
    return images


def save(classifier: DigitClassifier, path: str | Path) -> None:
    """Write the weights to a safetensors file."""
    named = {name: np.ascontiguousarray(leaf) for name, leaf in tree.named_leaves(classifier)}
    with atomic(path) as file:
        file.write(tensors(named, {"format": "npdiff", "kind": "digit classifier"}))


@lru_cache(maxsize=1)
def _shipped() -> DigitClassifier:
    from safetensors.numpy import load

    content = (resources.files("npdiff.metrics") / WEIGHTS).read_bytes()
    classifier = tree.with_leaves(DigitClassifier.init(0), load(content))
    for leaf in tree.leaves(classifier):
        leaf.flags.writeable = False
    return classifier
