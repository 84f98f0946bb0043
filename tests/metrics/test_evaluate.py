"""Metrics of digits: real digits score like the floor, each defect lowers the right metric."""

import numpy as np
import pytest

from npdiff import data
from npdiff.errors import InputError
from npdiff.metrics._evaluate import TABLE, compare, describe, evaluate


@pytest.fixture(scope="module")
def real():
    return describe(data.load("digits").images[:2000])


@pytest.fixture(scope="module")
def digits():
    test = data.load("digits", "test")
    return test.images[:300], test.labels[:300]


@pytest.fixture(scope="module")
def floor(real, digits):
    return compare(describe(digits[0]), digits[1], real)


def test_the_floor_has_as_many_test_digits_as_there_are_images(digits):
    got = evaluate(*digits)
    assert got.generated == got.floor
    assert got.floor.samples == 300
    table = str(got).splitlines()
    assert table[0].split() == ["samples", "floor"]
    assert [line.split()[0] for line in table[1:]] == list(TABLE)
    assert got._repr_html_().count("<tr>") == 1 + len(TABLE)


def test_real_digits_score_well(floor):
    assert floor.accuracy >= 0.98
    assert abs(floor.kid) < 6 * floor.kid_error
    assert floor.precision > 0.7
    assert floor.recall > 0.7


def test_noise_fails_every_metric(real, floor, digits):
    noise = np.random.default_rng(0).uniform(-1, 1, size=digits[0].shape)
    got = compare(describe(noise), digits[1], real)
    assert got.accuracy < 0.3
    assert got.frechet > 100 * floor.frechet
    assert got.kid > floor.kid + 20 * got.kid_error
    assert got.precision < 0.1
    assert got.recall < 0.1


def test_blur_and_noise_worsen_the_distances_of_legible_digits(real, floor, digits):
    x = data.to_float(digits[0])
    blurred = (x + sum(np.roll(x, by, axis) for by in (-1, 1) for axis in (1, 2))) / 5
    noisy = x + 0.2 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    for images in (blurred, noisy):
        got = compare(describe(images), digits[1], real)
        assert got.accuracy > 0.97
        assert got.frechet > 1.2 * floor.frechet
        assert got.kid > 1.4 * floor.kid
        assert got.precision < floor.precision - 0.05


def test_missing_classes_lower_the_recall(real, floor):
    train = data.load("digits")
    few = train.images[2000:][train.labels[2000:] < 5][:300]
    got = compare(describe(few), None, real)
    assert got.accuracy is None
    assert got.precision > 0.7
    assert got.recall < floor.recall - 0.15
    assert got.frechet > 1.5 * floor.frechet


def test_wrong_labels_lower_the_accuracy(real, digits):
    got = compare(describe(digits[0]), (digits[1] + 1) % 10, real)
    assert got.accuracy < 0.02


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (np.zeros(3, dtype=int), "expected 5 integer labels"),
        (np.zeros(5), "float64 of shape"),
        (np.array([0, 1, 2, 3, 10]), "values from 0 to 10"),
    ],
)
def test_bad_labels_are_refused(digits, labels, message):
    with pytest.raises(InputError, match=message):
        evaluate(digits[0][:5], labels)


def test_too_few_images_are_refused(digits):
    with pytest.raises(InputError, match="images: 3 samples are too few"):
        evaluate(digits[0][:3])
