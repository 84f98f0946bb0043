"""One sitting: contenders take turns, and what they took becomes rows of a table."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from npdiff.bench.contenders import GEMM, Contender, ContenderError, Spec, Turn
from npdiff.bench.flops import forward_flops
from npdiff.bench.machine import describe_machine
from npdiff.bench.networks import NETWORKS, Network, workload
from npdiff.bench.tasks import STEPS

TASKS = ("train", "infer", "sample")
#: Processors that others may take in a turn that counts, and how often a turn is tried.
FOREIGN, TRIES = 0.1, 6


@dataclass(frozen=True)
class Measurement:
    """What one contender took for one task.

    Attributes
    ----------
    network, batch, task, contender : what was timed
    seconds, fastest, slowest : the median of the turns, and their spread
    images_per_second : batch / seconds
    fraction : of the peak of the matrix product, were every convolution a direct one
    memory : the most bytes beyond the idle process, or None
    ratio : npdiff's median over this one; None where npdiff took no part
    turns, again, disturbed : that count; that were done again; that count though others were busy
    error : why there are no figures, or None
    """

    network: str
    batch: int
    task: str
    contender: str
    seconds: float | None = None
    fastest: float | None = None
    slowest: float | None = None
    images_per_second: float | None = None
    fraction: float | None = None
    memory: float | None = None
    ratio: float | None = None
    turns: int = 0
    again: int = 0
    disturbed: int = 0
    error: str | None = None


@dataclass
class Turns:
    """The turns of a contender at a task."""

    turns: list[Turn] = field(default_factory=list)
    again: int = 0
    memory: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """What a sitting measures.

    Attributes
    ----------
    networks, batches, tasks, contenders : every combination
    threads, backend : of every contender
    rounds : turns that count
    memory : whether peak memory is measured, in processes of their own
    least : seconds that a turn lasts at least
    """

    networks: Sequence[Network]
    batches: Sequence[int]
    tasks: Sequence[str]
    contenders: Sequence[str]
    threads: int
    backend: str = "numpy"
    rounds: int = 5
    memory: bool = True
    least: float = 0.2

    def ticks(self) -> int:
        """How often :func:`run_session` reports."""
        each = len(self.networks) * len(self.batches) * len(self.tasks) * len(self.contenders)
        return 1 + each * (self.rounds + 1) + each * self.memory


def run_session(plan: Plan, tick: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything; facts ready for JSON.

    Parameters
    ----------
    plan : what
    tick : told after every turn what comes next

    Returns
    -------
    machine, gemm (operations a second), agreement by network, rows (the
    fields of :class:`Measurement`)
    """
    machine = describe_machine(plan.threads, plan.backend)
    tick("matrix product")
    peaks = peak(plan)
    facts: dict[str, Any] = {
        "machine": machine,
        "gemm": {**peaks, "peak": max(peaks.values())},
        "agreement": {},
        "rows": [],
    }
    for network in plan.networks:
        judged = next((c for c in plan.contenders if c.startswith("torch")), None)
        if judged and not network.attention:
            with Contender(Spec(judged, network, 1, plan.threads)) as contender:
                facts["agreement"][network.name] = contender.ask("agreement")
        for batch in plan.batches:
            rows = compare(plan, network, batch, facts["gemm"]["peak"], tick)
            facts["rows"] += [asdict(row) for row in rows]
    return facts


def peak(plan: Plan) -> dict[str, float]:
    """Operations a second that a matrix product reaches at best, by its kind."""
    with Contender(Spec(GEMM, NETWORKS["tiny"], 1, plan.threads, plan.backend)) as contender:
        operations = contender.ask("operations")
        best = {}
        for kind, count in operations.items():
            contender.turn(kind, plan.least)  # the first time is for the caches
            took = [_undisturbed(contender, kind, plan.least)[0] for _ in range(plan.rounds)]
            best[kind] = count / min(turn.seconds for turn in took)
    return best


def compare(
    plan: Plan, network: Network, batch: int, gemm: float, tick: Callable[[str], None]
) -> list[Measurement]:
    """The rows of one network and one batch."""
    taken = {(name, task): Turns() for name in plan.contenders for task in plan.tasks}
    specs = {
        name: Spec(name, network, batch, plan.threads, plan.backend) for name in plan.contenders
    }
    _time(plan, specs, taken, tick)
    if plan.memory:
        for (name, task), found in taken.items():
            tick(f"{network.name} {batch}: memory of {name}, {task}")
            if found.error is None:
                try:
                    with Contender(specs[name]) as contender:
                        found.memory = contender.ask("memory", task=task)
                except ContenderError as failure:
                    found.error = str(failure)
    work = workload(network, 1)
    forward = forward_flops(network, work.model)
    evaluations = STEPS * (2 if network.classes else 1)
    cost = {"train": 3 * forward, "infer": forward, "sample": evaluations * forward}
    return list(_rows(plan, network.name, batch, taken, cost, gemm))


def _time(
    plan: Plan,
    specs: dict[str, Spec],
    taken: dict[tuple[str, str], Turns],
    tick: Callable[[str], None],
) -> None:
    with ExitStack() as stack:
        running: dict[str, Contender] = {}
        for name, spec in specs.items():
            try:
                running[name] = stack.enter_context(Contender(spec))
            except ContenderError as failure:
                _give_up(plan, taken, name, failure)
        for task in plan.tasks:
            for count in range(-1, plan.rounds):  # the first time is for the caches
                for name, spec in specs.items():
                    tick(f"{spec.network.name} {spec.batch}: {task}, {name}")
                    if name not in running:
                        continue
                    found = taken[name, task]
                    try:
                        if count < 0:
                            running[name].turn(task, 0.0)
                            continue
                        turn, again = _undisturbed(running[name], task, plan.least)
                    except ContenderError as failure:
                        _give_up(plan, taken, name, failure)
                        running.pop(name)
                        continue
                    found.turns.append(turn)
                    found.again += again


def _undisturbed(contender: Contender, task: str, least: float) -> tuple[Turn, int]:
    """A turn in which nobody else was busy, or the best of some; and how many were discarded."""
    tried = []
    for again in range(TRIES):
        turn = contender.turn(task, least)
        if not turn.others > FOREIGN:
            return turn, again
        tried.append(turn)
    return min(tried, key=lambda turn: turn.others), TRIES - 1


def _give_up(
    plan: Plan, taken: dict[tuple[str, str], Turns], name: str, failure: ContenderError
) -> None:
    """A contender that failed has no figures for what it had not finished."""
    for task in plan.tasks:
        if len(taken[name, task].turns) < plan.rounds:
            taken[name, task] = Turns(error=str(failure))


def _rows(
    plan: Plan,
    network: str,
    batch: int,
    taken: dict[tuple[str, str], Turns],
    cost: dict[str, int],
    gemm: float,
) -> Iterator[Measurement]:
    for task in plan.tasks:
        medians = {
            name: statistics.median(turn.seconds for turn in taken[name, task].turns)
            for name in plan.contenders
            if taken[name, task].turns
        }
        for name in plan.contenders:
            found = taken[name, task]
            if name not in medians:
                yield Measurement(network, batch, task, name, error=found.error)
                continue
            median = medians[name]
            took = [turn.seconds for turn in found.turns]
            yield Measurement(
                network,
                batch,
                task,
                name,
                seconds=median,
                fastest=min(took),
                slowest=max(took),
                images_per_second=batch / median,
                fraction=cost[task] * batch / median / gemm,
                memory=found.memory,
                ratio=medians["npdiff"] / median if "npdiff" in medians else None,
                turns=len(took),
                again=found.again,
                disturbed=sum(turn.others > FOREIGN for turn in found.turns),
                error=found.error,
            )
