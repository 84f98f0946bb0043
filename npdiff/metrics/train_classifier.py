"""Train the classifier of digits: ``python -m npdiff.metrics.train_classifier [path]``.

It takes about a minute and a half on one core. The training data are the 9,000 digits of the
training split, each shifted by up to two pixels; the 1,000 of the test split measure the accuracy.
"""

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from npdiff import ops
from npdiff.data import batch_indices, load, to_float
from npdiff.errors import InputError
from npdiff.metrics.classifier import WEIGHTS, DigitClassifier, save
from npdiff.random import Key
from npdiff.training.optimizer import Moments, adamw, learning_rate

STEPS, BATCH, PEAK, WARMUP, DECAY = 3000, 64, 3e-3, 100, 0.05
MAX_SHIFT = 2


class ClassifierStep(NamedTuple):
    """A training step: its index, the loss in nats, the classifier after it."""

    step: int
    loss: float
    classifier: DigitClassifier


def random_shift(images: np.ndarray, key: Key, max_shift: int = MAX_SHIFT) -> np.ndarray:
    """Images (N, H, W, C) shifted by up to ``max_shift`` pixels along each axis; zeros move in.

    >>> image = np.arange(1, 10, dtype=np.uint8).reshape(1, 3, 3, 1)
    >>> moved = random_shift(image, Key(0, [1]), max_shift=1)
    >>> moved[0, :, :, 0].tolist() != image[0, :, :, 0].tolist()
    True
    """
    N, H, W, _ = images.shape
    padded = np.pad(images, ((0, 0), (max_shift, max_shift), (max_shift, max_shift), (0, 0)))
    down, right = (key.fold(axis).integers(2 * max_shift + 1) for axis in ("down", "right"))
    rows = down[:, None] + np.arange(H)
    columns = right[:, None] + np.arange(W)
    return padded[np.arange(N)[:, None, None], rows[:, :, None], columns[:, None, :]]


def train(
    images: np.ndarray, labels: np.ndarray, *, seed: int = 0, steps: int = STEPS, batch: int = BATCH
) -> Iterator[ClassifierStep]:
    """Train a classifier on uint8 images (N, 32, 32, 1); yields after every step."""
    classifier = DigitClassifier.init(seed)
    moments = Moments.zero(classifier)
    for step in range(1, steps + 1):
        index = batch_indices(seed, step - 1, batch, len(labels))
        key = Key(seed, np.arange(batch), step, "shift")
        logits, classifier_pullback = classifier(to_float(random_shift(images[index], key)))
        loss, loss_pullback = ops.cross_entropy(logits, labels=labels[index])
        (dlogits,) = loss_pullback(1.0)
        gradient, _ = classifier_pullback(dlogits)
        rate = learning_rate(step, peak=PEAK, steps=steps, warmup=WARMUP, decay="cosine")
        classifier, moments = adamw(
            classifier, gradient, moments, step=step, learning_rate=rate, weight_decay=DECAY
        )
        yield ClassifierStep(step, float(loss), classifier)


def main(arguments: list[str]) -> None:
    """Train the classifier, save its weights, print its accuracy."""
    if len(arguments) > 1:
        raise InputError("usage: python -m npdiff.metrics.train_classifier [weights.safetensors]")
    path = Path(arguments[0] if arguments else Path(__file__).parent / WEIGHTS)
    digits, test = load("digits"), load("digits", "test")
    started = time.monotonic()
    for trained in train(digits.images, digits.labels):
        if trained.step % 100 == 0:
            seconds = time.monotonic() - started
            report = f"step {trained.step}/{STEPS}  loss {trained.loss:.4f}  {seconds:.0f} s"
            print(report, flush=True)
    classifier = trained.classifier
    save(classifier, path)
    accuracy = np.mean(classifier.predict(test.images) == test.labels)
    print(f"{path}: {accuracy:.2%} of the test digits right, {path.stat().st_size:,} bytes")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (InputError, OSError) as error:
        sys.exit(f"error: {error}")
