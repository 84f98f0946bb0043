"""A benchmark session: the order of turns, which turns count, and the measurements."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from npdiff.bench import contenders, machine, measure
from npdiff.bench.contenders import Contender, ContenderError, Spec, Turn
from npdiff.bench.measure import MAX_FOREIGN_CPUS, TRIES, Plan, compare
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network
from npdiff.bench.worker import Gemm, timed


def quiet(what: str) -> None:
    """Ignore progress."""


Script = dict[str, Iterator[Any]]


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[[Script], list[str]]:
    """Contenders that return the turns of a script; yields the order of their turns."""

    def use(script: Script) -> list[str]:
        order: list[str] = []

        class ScriptedContender:
            def __init__(self, spec: Spec) -> None:
                self.name = spec.contender
                if self.name not in script:
                    raise ContenderError("it did not start")

            def __enter__(self) -> "ScriptedContender":
                return self

            def __exit__(self, *_: object) -> None:
                order.append(f"{self.name} ends")

            def turn(self, task: str, least: float) -> Turn:
                order.append(self.name)
                turn = next(script[self.name])
                if isinstance(turn, Exception):
                    raise turn
                return turn

            def request(self, do: str, **options: Any) -> float:
                return 2.0**20

        monkeypatch.setattr(measure, "Contender", ScriptedContender)
        return order

    return use


def plan(*names: str, **options: Any) -> Plan:
    options = {"tasks": ["train"], "rounds": 3, "memory": False, **options}
    return Plan([BENCHMARK_NETWORKS["tiny"]], [4], contenders=names, threads=2, **options)


def test_contenders_alternate_and_the_first_turn_does_not_count(
    scripted: Callable[[Script], list[str]], tiny: Network
) -> None:
    def turns(*seconds: float) -> Iterator[Turn]:
        return (Turn(s, 0.0) for s in (99.0, *seconds))

    order = scripted({"npdiff": turns(1.0, 3.0, 2.0), "torch": turns(4.0, 4.0, 5.0)})
    ours, theirs = compare(plan("npdiff", "torch"), tiny, 4, 1e9, quiet)
    assert order == [*["npdiff", "torch"] * 4, "torch ends", "npdiff ends"]
    assert (ours.seconds, ours.fastest, ours.slowest) == (2.0, 1.0, 3.0)
    assert (ours.ratio, theirs.ratio) == (1.0, 0.5)
    assert ours.images_per_second == 2.0
    # 3 forward passes of 4 images at 2 092 544 operations, in 2 s, of 1e9 a second.
    assert ours.fraction == pytest.approx(3 * 4 * 2_092_544 / 2.0 / 1e9)
    assert (ours.turns, ours.again, ours.disturbed) == (3, 0, 0)


def test_a_disturbed_turn_is_repeated(
    scripted: Callable[[Script], list[str]], tiny: Network
) -> None:
    busy = 2 * MAX_FOREIGN_CPUS
    turns = [Turn(9.0, 0.0), Turn(50.0, busy), Turn(1.0, 0.0), Turn(2.0, 0.0), Turn(3.0, 0.0)]
    scripted({"npdiff": iter(turns)})
    (row,) = compare(plan("npdiff"), tiny, 4, 1e9, quiet)
    assert (row.seconds, row.slowest, row.again, row.disturbed) == (2.0, 3.0, 1, 0)


def test_if_all_turns_are_disturbed_the_least_disturbed_counts_and_is_marked(
    scripted: Callable[[Script], list[str]], tiny: Network
) -> None:
    turns = [Turn(9.0, 0.0), *(Turn(float(k), 1.0 + (k - 3) ** 2) for k in range(TRIES))]
    scripted({"npdiff": iter(turns)})
    (row,) = compare(plan("npdiff", rounds=1), tiny, 4, 1e9, quiet)
    assert (row.seconds, row.again, row.disturbed) == (3.0, TRIES - 1, 1)


def test_turns_count_if_the_load_of_the_machine_is_unknown(
    scripted: Callable[[Script], list[str]], tiny: Network
) -> None:
    scripted({"npdiff": iter([Turn(1.0, float("nan"))] * 4)})
    (row,) = compare(plan("npdiff"), tiny, 4, 1e9, quiet)
    assert (row.turns, row.again, row.disturbed) == (3, 0, 0)


def test_a_contender_that_fails_does_not_stop_the_others(
    scripted: Callable[[Script], list[str]], tiny: Network
) -> None:
    fails = iter([Turn(1.0, 0.0), Turn(1.0, 0.0), ContenderError("out of memory")])
    scripted({"npdiff": iter([Turn(1.0, 0.0)] * 4), "torch": fails})
    rows = compare(plan("npdiff", "torch", "torch-compile", memory=True), tiny, 4, 1e9, quiet)
    assert [row.error for row in rows] == [None, "out of memory", "it did not start"]
    assert [row.seconds for row in rows] == [1.0, None, None]
    assert [row.memory for row in rows] == [2.0**20, None, None]


def test_the_plan_counts_all_progress_reports(
    scripted: Callable[[Script], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    ticks: list[str] = []
    planned = plan("npdiff", "torch", tasks=["train", "infer"], memory=True)
    scripted({"npdiff": iter([Turn(1.0, 0.0)] * 8)})  # and torch does not start
    monkeypatch.setattr(measure, "peak", lambda plan: {"square": 1e9})
    compare(planned, BENCHMARK_NETWORKS["tiny"], 4, 1e9, ticks.append)
    assert len(ticks) + 1 == planned.ticks()  # the matrix product is not in the list


def test_other_programs_may_use_cpus_that_the_contender_does_not_need(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 2)
    assert machine.taken_by_others(0.5, 1.0, threads=2) == pytest.approx(0.5)
    monkeypatch.setattr(machine.os, "cpu_count", lambda: 8)
    assert machine.taken_by_others(3.0, 1.0, threads=4) <= 0
    assert machine.taken_by_others(5.0, 1.0, threads=4) == pytest.approx(1.0)


def test_short_tasks_are_repeated() -> None:
    calls: list[int] = []
    wall, cpu, times = timed(lambda: calls.append(0), 0.01)
    assert len(calls) == times > 1
    assert wall >= 0.01
    assert cpu >= 0
    assert timed(lambda: None, 0.0)[2] == 1


def test_matrix_products_report_their_number_of_operations(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from npdiff.bench import worker

    monkeypatch.setattr(worker, "SQUARE", 32)
    monkeypatch.setattr(worker, "BLOCKS", 3)
    products = Gemm(2, "numpy")
    assert products.operations == {"square": 2 * 32**3, "blocks": 2 * 512 * 576 * 64 * 3 * 2}
    products.run("square")
    products.run("blocks")


def test_a_contender_process_serves_requests_and_reports_errors(tiny: Network) -> None:
    spec = Spec("npdiff", tiny, 2, 1)
    assert Spec.from_json(spec.to_json()) == spec
    with Contender(spec) as contender:
        turn = contender.turn("infer", 0.0)
        assert turn.seconds > 0
        assert contender.request("memory", task="infer") >= 0
        with pytest.raises(ContenderError, match=r"AttributeError.*dance"):
            contender.turn("dance", 0.0)
        with pytest.raises(ContenderError, match="ended without a reply"):
            contender.turn("infer", 0.0)


def test_a_contender_that_cannot_start_raises_its_error(tiny: Network) -> None:
    with pytest.raises(ContenderError, match=r"CuPy|cupy|GPU"):
        Contender(Spec("npdiff", tiny, 2, 1, backend="cupy"))


def test_pytorch_contenders_need_pytorch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contenders, "find_spec", lambda name: None)
    assert contenders.default_contenders() == ["npdiff"]
    monkeypatch.setattr(contenders, "find_spec", lambda name: name)
    assert contenders.default_contenders() == list(contenders.DEFAULT_CONTENDERS)
