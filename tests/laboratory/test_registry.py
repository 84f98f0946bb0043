"""Every equation has a passing check, every check has an equation, and failures are reported."""

import numpy as np
import pytest

from npdiff.acceleration import kernels_allowed
from npdiff.laboratory import registry
from npdiff.laboratory.equations import equations
from npdiff.laboratory.registry import Case, Check, checks, relative, run_check


def a_check(run, *labels: str, tolerance: float = 1e-6, cases: int = 3) -> Check:
    return Check(run.__name__, labels or ("marginal",), "a method", tolerance, cases, run)


@pytest.mark.parametrize("name", checks())
def test_every_check_passes(name: str) -> None:
    outcome = run_check(checks()[name])
    assert not outcome.error, outcome.error
    assert outcome.passed(), {label: outcome.worst(label) for label in outcome.check.labels}


def test_every_equation_has_a_check() -> None:
    assert registry.labels_without_check() == []


def test_every_check_has_an_equation() -> None:
    assert registry.labels_without_equation() == []


def test_number_of_equations() -> None:
    assert len(equations()) >= 250


@pytest.mark.parametrize("check", checks().values(), ids=checks())
def test_a_check_describes_its_comparison_and_method(check: Check) -> None:
    assert check.about
    assert check.method
    assert 0.0 <= check.tolerance < 1.0
    assert check.cases >= 1


def test_random_numbers_of_a_case_depend_on_seed_check_and_index() -> None:
    def draw(check: str, index: int, seed: int) -> float:
        return float(Case(check, index, seed).rng.normal())

    drawn = {
        draw(check, index, seed) for check in ("a", "b") for index in (0, 1) for seed in (0, 1)
    }
    assert len(drawn) == 8
    assert draw("a", 1, 1) in drawn


def test_choose_cycles_through_the_options() -> None:
    assert [Case("a", index).choose("xyz") for index in range(4)] == ["x", "y", "z", "x"]


def test_arrays_are_float64_or_integers() -> None:
    case = Case("a")
    assert case.array(np.ones(2, np.float32)).dtype == np.float64
    assert case.array([1, 2]).dtype.kind == "i"


def test_a_residual_above_the_tolerance_fails() -> None:
    def off(case: Case) -> float:
        return 1e-5 if case.index == 2 else 0.0

    outcome = run_check(a_check(off))
    assert not outcome.passed()
    assert outcome.worst("marginal") == 1e-5
    assert run_check(a_check(off), cases=2).passed()


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_nan_and_infinity_fail(value: float) -> None:
    def broken(case: Case) -> float:
        return value

    assert not run_check(a_check(broken)).passed()


def test_an_exception_or_a_warning_fails() -> None:
    def divides(case: Case) -> float:
        return float(np.array(0.0) * (np.array(1.0) / np.array(0.0)))

    def raises(case: Case) -> float:
        raise RuntimeError("what went wrong")

    for run, words in ((divides, "divide by zero"), (raises, "what went wrong")):
        outcome = run_check(a_check(run))
        assert not outcome.passed()
        assert words in outcome.error


def test_an_exception_in_a_later_case_fails() -> None:
    def raises_in_the_last_case(case: Case) -> float:
        if case.index == 2:
            raise RuntimeError("in the last case")
        return 0.0

    outcome = run_check(a_check(raises_in_the_last_case))
    assert outcome.worst("marginal") == 0.0  # earlier residuals are kept
    assert not outcome.passed()
    assert not outcome.passed("marginal")


def test_a_residual_for_each_label() -> None:
    def two(case: Case) -> dict[str, float]:
        return {"marginal": 0.0, "transition": 1.0}

    outcome = run_check(a_check(two, "marginal", "transition"))
    assert outcome.passed("marginal")
    assert not outcome.passed("transition")
    assert not outcome.passed()


def test_a_label_without_a_residual_fails() -> None:
    def one(case: Case) -> dict[str, float]:
        return {"marginal": 0.0}

    assert not run_check(a_check(one, "marginal", "transition")).passed()


def test_a_check_needs_labels_and_a_unique_name() -> None:
    with pytest.raises(ValueError, match="no label"):
        registry.check(method="none", tolerance=1.0)(lambda case: 0.0)
    taken = next(iter(checks().values()))
    with pytest.raises(ValueError, match="taken"):
        registry.check("marginal", method="none", tolerance=1.0)(taken.run)


def test_relative_deviation() -> None:
    assert relative([1.0, 2.0], [1.0, 4.0]) == 0.5
    assert relative([1e-3], [0.0]) == 1e-3
    assert np.isnan(relative([np.nan], [1.0]))
    with pytest.raises(ValueError, match="shape"):
        relative([1.0], [1.0, 2.0])


@pytest.mark.parametrize(("folder", "residual"), [("ops", 1.0), ("schedules", 0.0)])
def test_checks_of_ops_run_with_kernels_and_by_definition(folder: str, residual: float) -> None:
    """An error in a definition counts although a right kernel replaces it."""

    def wrong_definition(case: Case) -> float:
        return float(not kernels_allowed())

    wrong_definition.__module__ = f"npdiff.laboratory.checks.{folder}.example"
    example = Check("wrong_definition", ("conv",), "none", 1e-9, 1, wrong_definition)
    assert run_check(example).residuals == {"conv": (residual,)}
