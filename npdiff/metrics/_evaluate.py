"""How good generated digits are: every metric at once, beside what real digits reach."""

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from npdiff.backend import Array, to_host
from npdiff.data import load
from npdiff.errors import InputError
from npdiff.metrics.classifier import DigitClassifier
from npdiff.metrics.features import checked
from npdiff.metrics.frechet import frechet_distance
from npdiff.metrics.kernel import kernel_distance
from npdiff.metrics.manifold import precision_recall


def evaluate(images: Array, labels: Array | None = None) -> dict[str, dict[str, Any]]:
    """Generated digits measured by the shipped classifier, against the 9,000 training digits.

    Parameters
    ----------
    images : (N, 32, 32, 1), bytes or numbers in [-1, 1], at least 4
    labels : (N,) integers 0 to 9, the digits that were asked for; None if none were

    Returns
    -------
    dict
        ``"generated"`` and ``"floor"``, each a dict of

        - ``samples``: how many images were measured. The floor is made of real digits that neither
          the classifier nor (if it was trained on the training split) the model has seen: the
          first N of the test split, at most all 1,000. What is measured depends on the number of
          samples, so compare the two where it is the same.
        - ``accuracy``: the fraction the classifier takes for the digit asked for, or None
        - ``frechet``: :eq:`frechet-distance` of the features, each in units of its standard
          deviation over the training digits and from its mean there
        - ``kid`` and ``kid_error``: :eq:`kernel-distance` of these and its standard error
        - ``precision`` and ``recall``: :eq:`precision-recall` against as many training digits as
          there are images

        Distances are of this classifier's features, not Inception's: they compare models of these
        digits with each other and with the floor, not with numbers from elsewhere. The floor is not
        zero: it has the error of N samples, and the classifier knows the training digits.

    Raises
    ------
    InputError
        If the images or labels have the wrong shape or range, or are too few.
    """
    generated = describe(images)
    count = len(generated.predicted)
    return {
        "generated": compare(generated, _checked_labels(labels, count), _real()),
        "floor": _floor(min(count, 1000)),
    }


class Described(NamedTuple):
    """What the classifier says of images: features (N, F) and digits (N,)."""

    features: np.ndarray
    predicted: np.ndarray


def describe(images: Array) -> Described:
    """Images as the shipped classifier sees them."""
    classifier = DigitClassifier.shipped()
    return Described(classifier.features(images), classifier.predict(images))


def compare(images: Described, labels: np.ndarray | None, real: Described) -> dict[str, Any]:
    """The metrics of some images against real ones, as :func:`evaluate` returns them."""
    x, y = checked(4, images=images.features, real=real.features)
    mean, std = y.mean(axis=0), y.std(axis=0)
    x, y = (x - mean) / std, (y - mean) / std
    count = min(len(x), len(y))
    kid = kernel_distance(x, y)
    manifold = precision_recall(y[:count], x[:count])
    return {
        "samples": len(x),
        "accuracy": None if labels is None else float(np.mean(images.predicted == labels)),
        "frechet": frechet_distance(x, y),
        "kid": kid.value,
        "kid_error": kid.standard_error,
        "precision": manifold.precision,
        "recall": manifold.recall,
    }


def _checked_labels(labels: Array | None, count: int) -> np.ndarray | None:
    if labels is None:
        return None
    labels = np.asarray(to_host(labels))
    if labels.shape != (count,) or labels.dtype.kind not in "iu":
        raise InputError(
            f"expected {count} integer labels, one for each image, "
            f"got {labels.dtype} of shape {labels.shape}"
        )
    if labels.min() < 0 or labels.max() > 9:
        raise InputError(
            f"labels are digits 0 to 9, got some from {labels.min()} to {labels.max()}"
        )
    return labels


@lru_cache(maxsize=1)
def _real() -> Described:
    return describe(load("digits").images)


@lru_cache(maxsize=8)
def _floor(count: int) -> dict[str, Any]:
    test = load("digits", "test")
    return compare(describe(test.images[:count]), test.labels[:count], _real())
