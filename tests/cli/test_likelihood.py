"""``npdiff likelihood``: bits per dimension of a model on test images."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEW = ("--samples", "6", "--steps", "5")


def json_of(npdiff: Any, *words: object) -> dict[str, Any]:
    result = npdiff("likelihood", *words, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_terms_sum_to_the_bound(npdiff: Any, tiny_run: Path) -> None:
    facts = json_of(npdiff, tiny_run, *FEW, "--method", "both")
    assert (facts["samples"], facts["dimensions"], facts["trained_steps"]) == (6, 64, 12)
    found = facts["bound"]
    kinds = [term["kind"] for term in found["terms"]]
    assert kinds == ["prior", "step", "step", "step", "step", "decoder"]
    assert sum(term["count"] for term in found["terms"]) == 6
    total = sum(term["bits_per_dim"] for term in found["terms"])
    assert found["bits_per_dim"] == pytest.approx(total, rel=1e-9)
    steps = found["terms"][1:]
    assert steps[0]["from"] == 1000.0
    assert steps[-1]["to"] == 0.0
    assert all(a["to"] == b["from"] for a, b in pairwise(steps))
    assert 0.0 < found["standard_error"] < 0.5 * found["bits_per_dim"]
    assert 0.0 < facts["ode"]["bits_per_dim"] < 16.0  # uniform bytes would need 8


def test_steps_of_a_long_process_are_summed_in_groups(npdiff: Any, tiny_run: Path) -> None:
    words = (tiny_run, "--samples", 2, "--steps", 30, "--variance", "small")
    found = json_of(npdiff, *words)["bound"]
    assert len(found["terms"]) == 10
    assert sum(term["count"] for term in found["terms"]) == 31
    output = npdiff("likelihood", *words).out
    assert f"sum{found['bits_per_dim']:>33.5f}" in output
    for term in found["terms"]:
        assert f"{term['bits_per_dim']:.5f}" in output


def test_bits_depend_only_on_the_seed_and_the_samples(npdiff: Any, tiny_run: Path) -> None:
    def bits(count: int, *words: object) -> float:
        words = ("--samples", count, "--steps", 3, "--variance", "large", *words)
        return json_of(npdiff, tiny_run, *words)["bound"]["bits_per_dim"]

    assert bits(2) == bits(2)
    assert bits(2) != bits(2, "--seed", 1)
    assert bits(4) != bits(2)


def test_the_optimal_variance_needs_fewer_bits_than_the_small_one(
    npdiff: Any, tiny_run: Path
) -> None:
    """For a barely trained model, most of the bits depend on the choice of the variance."""
    bits = {
        name: json_of(npdiff, tiny_run, *FEW, "--variance", name)["bound"]["bits_per_dim"]
        for name in ("small", "optimal")
    }
    assert bits["optimal"] < 0.5 * bits["small"]


def test_one_step_from_pure_noise_with_the_categorical_decoder_needs_8_bits(
    npdiff: Any, tiny_run: Path
) -> None:
    facts = json_of(
        npdiff, tiny_run, "--samples", 2, "--steps", 1, "--decoder", "categorical",
        "--spacing", "trailing",
    )  # fmt: skip
    kinds = [term["kind"] for term in facts["bound"]["terms"]]
    assert kinds == ["prior", "decoder"]
    # given pure noise, all 256 bytes are equally likely
    np.testing.assert_allclose(facts["bound"]["terms"][1]["bits_per_dim"], 8.0, atol=0.05)


def test_the_table_names_samples_steps_and_terms(npdiff: Any, tiny_run: Path) -> None:
    output = npdiff("likelihood", tiny_run, *FEW, "--method", "both").out
    for words in ("6 test images", "5 steps (log-snr)", "L_T, the prior", "L_0, the decoder"):
        assert words in output
    assert "probability-flow ODE, 5 steps, 1 probe:" in output


def test_invalid_arguments_are_refused(npdiff: Any, tiny_run: Path) -> None:
    call = ("likelihood", tiny_run)
    assert npdiff(*call, "--samples", "7").failed_with("7", "6 test images")
    assert npdiff(*call, "--samples", "1").failed_with("--samples", "from 2 up")
    assert npdiff(*call, *FEW, "--spacing", "leading", "--steps", "3").failed_with("1000", "to 0")
    assert npdiff(*call, "--variance", "huge").failed_with("huge", "optimal")
    assert npdiff(*call, "--method", "guess").failed_with("guess", "ode")
    assert npdiff("likelihood", "nowhere").failed_with("nowhere")
