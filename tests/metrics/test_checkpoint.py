"""``npdiff.metrics.evaluate_checkpoint``: samples and scores of a model of digits."""

from pathlib import Path

import numpy as np
import pytest

import npdiff
from npdiff.errors import InputError
from npdiff.metrics import evaluate, evaluate_checkpoint


def test_it_evaluates_the_samples_that_generate_makes() -> None:
    checkpoint, calls = npdiff.load(), []
    options = {"guidance": 2.0, "steps": 2}
    found = evaluate_checkpoint(
        checkpoint, count=12, seed=3, progress=lambda *units: calls.append(units), **options
    )
    assert calls == [(1, 2), (2, 2)]
    labels = npdiff.data.load("digits", "test").labels[:12]
    images = npdiff.generate(checkpoint, labels, seed=3, **options)
    expected = evaluate(images, labels)
    np.testing.assert_allclose(found.generated, expected.generated, rtol=1e-4, atol=1e-4)
    assert found.floor == expected.floor


def test_models_of_other_data_and_too_many_samples_are_refused(run_dir: Path) -> None:
    with pytest.raises(InputError, match=r"was trained on .*lines\.npz"):
        evaluate_checkpoint(npdiff.load(run_dir), progress=False)
    with pytest.raises(InputError, match="there are 1000"):
        evaluate_checkpoint(npdiff.load(), count=1001, progress=False)
