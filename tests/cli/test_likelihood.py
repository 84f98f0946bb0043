"""``npdiff likelihood``: bits per dimension of a model on images it has not seen."""

import json
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest

FEW = ("--samples", "6", "--steps", "5")


def measured(npdiff: Any, *words: object) -> dict[str, Any]:
    result = npdiff("likelihood", *words, "--json")
    assert result.code == 0, result.err
    return json.loads(result.out)


def test_the_terms_add_up(npdiff: Any, tiny_run: Path) -> None:
    facts = measured(npdiff, tiny_run, *FEW, "--method", "both")
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


def test_long_tables_are_summed_in_groups(npdiff: Any, tiny_run: Path) -> None:
    words = (tiny_run, "--samples", 2, "--steps", 30, "--variance", "small")
    found = measured(npdiff, *words)["bound"]
    assert len(found["terms"]) == 10
    assert sum(term["count"] for term in found["terms"]) == 31
    told = npdiff("likelihood", *words).out
    assert f"sum{found['bits_per_dim']:>33.5f}" in told
    for term in found["terms"]:
        assert f"{term['bits_per_dim']:.5f}" in told


def test_a_measurement_is_a_function_of_its_seed(npdiff: Any, tiny_run: Path) -> None:
    def bits(count: int, *words: object) -> float:
        words = ("--samples", count, "--steps", 3, "--variance", "large", *words)
        return measured(npdiff, tiny_run, *words)["bound"]["bits_per_dim"]

    assert bits(2) == bits(2)
    assert bits(2) != bits(2, "--seed", 1)
    assert bits(4) != bits(2)


def test_the_best_variance_needs_the_fewest_bits(npdiff: Any, tiny_run: Path) -> None:
    """With a model that knows nothing the choice of the variance is most of it."""
    bits = {
        name: measured(npdiff, tiny_run, *FEW, "--variance", name)["bound"]["bits_per_dim"]
        for name in ("small", "optimal")
    }
    assert bits["optimal"] < 0.5 * bits["small"]


def test_one_step_and_another_decoder(npdiff: Any, tiny_run: Path) -> None:
    facts = measured(
        npdiff, tiny_run, "--samples", 2, "--steps", 1, "--decoder", "categorical",
        "--spacing", "trailing",
    )  # fmt: skip
    kinds = [term["kind"] for term in facts["bound"]["terms"]]
    assert kinds == ["prior", "decoder"]
    # from pure noise all 256 bytes are alike
    np.testing.assert_allclose(facts["bound"]["terms"][1]["bits_per_dim"], 8.0, atol=0.05)


def test_the_table_names_what_was_measured(npdiff: Any, tiny_run: Path) -> None:
    told = npdiff("likelihood", tiny_run, *FEW, "--method", "both").out
    for words in ("6 test images", "5 steps (log-snr)", "L_T, the prior", "L_0, the decoder"):
        assert words in told
    assert "probability-flow ODE, 5 steps, 1 probe:" in told


def test_what_it_refuses(npdiff: Any, tiny_run: Path) -> None:
    call = ("likelihood", tiny_run)
    assert npdiff(*call, "--samples", "7").failed_with("7", "6 test images")
    assert npdiff(*call, "--samples", "1").failed_with("--samples", "from 2 up")
    assert npdiff(*call, *FEW, "--spacing", "leading", "--steps", "3").failed_with("1000", "to 0")
    assert npdiff(*call, "--variance", "huge").failed_with("huge", "optimal")
    assert npdiff(*call, "--method", "guess").failed_with("guess", "ode")
    assert npdiff("likelihood", "nowhere").failed_with("nowhere")
