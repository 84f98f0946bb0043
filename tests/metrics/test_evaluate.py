"""All metrics at once: real digits score like the floor, and each failing shows where it should."""

import numpy as np
import pytest

from npdiff import data
from npdiff.errors import InputError
from npdiff.metrics._evaluate import compare, describe, evaluate


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


def test_the_floor_is_that_many_test_digits(digits):
    got = evaluate(*digits)
    assert got["generated"] == got["floor"]
    assert got["floor"]["samples"] == 300
    assert set(got["floor"]) == {
        *("samples", "accuracy", "frechet", "kid", "kid_error", "precision", "recall")
    }


def test_real_digits_score_well(floor):
    assert floor["accuracy"] >= 0.98
    assert abs(floor["kid"]) < 6 * floor["kid_error"]
    assert floor["precision"] > 0.7
    assert floor["recall"] > 0.7


def test_noise_is_bad_in_every_way(real, floor, digits):
    noise = np.random.default_rng(0).uniform(-1, 1, size=digits[0].shape)
    got = compare(describe(noise), digits[1], real)
    assert got["accuracy"] < 0.3
    assert got["frechet"] > 100 * floor["frechet"]
    assert got["kid"] > floor["kid"] + 20 * got["kid_error"]
    assert got["precision"] < 0.1
    assert got["recall"] < 0.1


def test_blur_and_remaining_noise_show_though_the_digits_are_legible(real, floor, digits):
    x = data.to_float(digits[0])
    blurred = (x + sum(np.roll(x, by, axis) for by in (-1, 1) for axis in (1, 2))) / 5
    noisy = x + 0.2 * np.random.default_rng(0).standard_normal(x.shape).astype(np.float32)
    for images in (blurred, noisy):
        got = compare(describe(images), digits[1], real)
        assert got["accuracy"] > 0.97
        assert got["frechet"] > 1.2 * floor["frechet"]
        assert got["kid"] > 1.4 * floor["kid"]
        assert got["precision"] < floor["precision"] - 0.05


def test_missing_digits_show_in_recall(real, floor):
    train = data.load("digits")
    few = train.images[2000:][train.labels[2000:] < 5][:300]
    got = compare(describe(few), None, real)
    assert got["accuracy"] is None
    assert got["precision"] > 0.7
    assert got["recall"] < floor["recall"] - 0.15
    assert got["frechet"] > 1.5 * floor["frechet"]


def test_other_digits_than_asked_for_show_in_the_accuracy(real, digits):
    got = compare(describe(digits[0]), (digits[1] + 1) % 10, real)
    assert got["accuracy"] < 0.02


@pytest.mark.parametrize(
    ("labels", "said"),
    [
        (np.zeros(3, dtype=int), "expected 5 integer labels"),
        (np.zeros(5), "float64 of shape"),
        (np.array([0, 1, 2, 3, 10]), "from 0 to 10"),
    ],
)
def test_bad_labels_are_refused(digits, labels, said):
    with pytest.raises(InputError, match=said):
        evaluate(digits[0][:5], labels)


def test_too_few_images_are_refused(digits):
    with pytest.raises(InputError, match="images: 3 samples are too few"):
        evaluate(digits[0][:3])
