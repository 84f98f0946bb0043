"""The examples of the gallery run, and their results agree with their text."""

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

EXAMPLES = Path(__file__).parent.parent / "examples"

Run = Callable[[str], dict[str, Any]]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that runs one example in an empty folder and returns its global variables.

    ``plt.show`` draws every figure without a screen, so errors in drawing are found.
    """
    import matplotlib.pyplot as plt

    plt.switch_backend("Agg")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(EXAMPLES))  # an example may import another example
    drawn: list[int] = []

    def show() -> None:
        for number in plt.get_fignums():
            plt.figure(number).canvas.draw()
            drawn.append(number)
        plt.close("all")

    monkeypatch.setattr(plt, "show", show)

    def call(name: str) -> dict[str, Any]:
        variables = runpy.run_path(str(EXAMPLES / f"plot_{name}.py"), run_name="__main__")
        assert drawn
        assert not plt.get_fignums(), "a figure was made and not shown"
        assert not list(tmp_path.iterdir())
        return variables

    yield call
    plt.close("all")


def test_every_example_has_a_test() -> None:
    """And every example has the form of a page of the gallery."""
    tests = Path(__file__).read_text(encoding="utf-8")
    files = sorted(EXAMPLES.glob("plot_*.py"))
    assert files
    for path in files:
        text = path.read_text(encoding="utf-8")
        assert f'run("{path.stem.removeprefix("plot_")}")' in tests
        assert text.startswith(('r"""\n', '"""\n'))
        assert "\n# %%\n" in text


def test_forward_process(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    left = run("forward_process")
    out = capsys.readouterr().out
    for steps in ("one step:  ", "two steps: "):
        assert f"in {steps}mean 1.4400, variance 0.4816" in out
    assert np.abs(left["errors"]).max() < 4.0  # the largest of 8 normal variables
    assert (left["mean"], left["std"]) == pytest.approx((0.0127, 0.99992), abs=1e-4)
    digit, noise = left["digit"], left["kept"][1000]
    assert np.corrcoef(digit.ravel(), left["kept"][50].ravel())[0, 1] > 0.9
    assert abs(np.corrcoef(digit.ravel(), noise.ravel())[0, 1]) < 0.1
    assert noise.std() == pytest.approx(1.0, abs=0.1)


def test_gradient_by_hand(run: Run, capsys: pytest.CaptureFixture[str]) -> None:
    left = run("gradient_by_hand")
    out = capsys.readouterr().out
    assert "y = [1.5]   da, db = [0.5] [0.75]" in out
    assert left["right"].passed
    assert "gated: passed" in out
    assert not left["wrong"].passed
    assert "gated_wrong: FAILED" in out
    errors = {array.name: array.error for array in left["wrong"].gradients}
    assert errors["0"] < 1e-9
    assert errors["1"] > 0.1
    assert min(left["errors"]["right"]) < 1e-10
    assert min(left["errors"]["wrong"]) > 0.1


def test_two_dimensions(run: Run) -> None:
    left = run("two_dimensions")
    assert np.mean(left["losses"][-200:]) < 0.85 * np.mean(left["losses"][:50])
    ddim, ancestral = "DDIM, 50 steps", "ancestral, 200 steps"
    for name, least in (("data", 0.98), (ddim, 0.88), (ancestral, 0.88)):
        assert left["within"][name] > least
        assert left["fractions"][name].min() > 0.09
        assert left["fractions"][name].max() < 0.16
    assert 0.0 < left["excess"] < 0.02
    # The posterior mean has the smallest possible error: a network is better only by chance.
    ratio = np.array(left["learned_error"]) / np.array(left["least_error"])
    assert ratio.min() > 0.99


def test_samplers_on_exact_data(run: Run) -> None:
    left = run("samplers_on_exact_data")
    expected = {"DDIM": 1.0, "Euler": 1.0, "Heun": 2.0}
    assert left["order"] == pytest.approx(expected, abs=0.08)
    plus, minus = left["samples"]["plus"], left["samples"]["minus"]
    assert (plus.mean(), plus.std()) == pytest.approx((2.0, 0.5), abs=0.03)
    assert minus.mean() == pytest.approx(2.0, abs=0.03)
    assert minus.std() < 1e-3


def test_guidance(run: Run) -> None:
    left = run("guidance")
    certainty, deviation = left["certainty"], left["deviation"]
    assert certainty["w = 0"] == pytest.approx(1 / 3, abs=0.04)
    assert certainty["w = 1"] == pytest.approx(certainty["the class itself"], abs=0.02)
    assert certainty["w = 3"] > 0.99
    assert deviation["w = 1"] == pytest.approx(deviation["the class itself"], abs=0.03)
    assert deviation["w = 0"] > deviation["w = 1"] > deviation["w = 3"] + 0.1


def test_verify_your_own_sampler(run: Run) -> None:
    left = run("verify_your_own_sampler")
    standard, samples, reports = (
        list(left[name].values()) for name in ("standard", "samples", "reports")
    )
    assert standard[0] < 0.5
    assert abs(standard[1] - 1.0) < abs(standard[2] - 1.0) < 0.05  # the wrong sampler scores better
    assert samples[0].std() < 0.1
    assert samples[1].mean() < 1.0
    assert (samples[2].mean(), samples[2].std()) == pytest.approx((2.0, 0.5), abs=0.04)
    assert [report.passed for report in reports] == [False, False, True]


def test_inpainting(run: Run) -> None:
    left = run("inpainting")
    error = left["error"]
    assert error[0] > 0.15 * (left["truth"] + 0.3)
    assert error[2:-1] / error[3:] == pytest.approx([2.0, 2.0], abs=0.35)
    correct = left["correct"]
    assert correct[1] < 0.8
    assert correct[16] > 0.98
    rows, mask = left["rows"], left["mask"]
    assert (rows[:, 2:][:, :, mask] == rows[:, :1][:, :, mask]).all()
    assert (rows[:, 2:][:, :, ~mask] != rows[:, :1][:, :, ~mask]).any(axis=-1).all()


def test_one_page(run: Run) -> None:
    left = run("one_page")
    assert np.mean(left["losses"][-100:]) < 0.3
    distance, data = left["distance"], left["data"]
    of_new_data = distance(left["new_data"], data)
    assert distance(left["noise"], data) > 3.0 * of_new_data
    for x in left["samples"].values():
        assert distance(x, data) < 1.25 * of_new_data


def test_one_page_with_npdiff(run: Run) -> None:
    left = run("one_page_with_npdiff")
    assert list(left["differences"]) == list(left["of_page"]) == list(left["of_npdiff"])
    assert max(left["differences"].values()) < 1e-10
