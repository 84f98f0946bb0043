"""A benchmark session: contenders take turns, and their times become measurements."""

import statistics
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field
from typing import Any

from npdiff.bench.contenders import GEMM, Contender, ContenderError, Spec, Turn
from npdiff.bench.flops import forward_flops
from npdiff.bench.machine import describe_machine
from npdiff.bench.networks import BENCHMARK_NETWORKS, Network, workload
from npdiff.bench.tasks import STEPS

TASKS = ("train", "infer", "sample")
#: Largest number of CPUs that other programs may use in a turn that counts.
MAX_FOREIGN_CPUS = 0.1
#: Largest number of attempts at a turn that other programs disturb.
TRIES = 6


@dataclass(frozen=True)
class Measurement:
    """The result of one contender at one task.

    Attributes
    ----------
    network, batch, task, contender : what was timed
    seconds, fastest, slowest : median, minimum and maximum over the turns
    images_per_second : batch / seconds
    fraction : speed as a fraction of the peak of matrix products, if every convolution were direct
    memory : peak memory in bytes minus that of the idle process, or None
    ratio : npdiff's median divided by this one; None without npdiff
    turns, again, disturbed : numbers of turns that count; that were repeated; that count although
        other programs were busy
    error : the reason if nothing was measured, or None
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
    """The turns of one contender at one task."""

    turns: list[Turn] = field(default_factory=list)
    again: int = 0
    memory: float | None = None
    error: str | None = None


@dataclass(frozen=True)
class Plan:
    """The plan of a session.

    Attributes
    ----------
    networks, batches, tasks, contenders : every combination of these is measured
    threads, backend : the same for every contender
    rounds : number of turns that count
    memory : whether peak memory is measured, in separate processes
    least : shortest duration of a turn in seconds
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
        """The number of progress reports of :func:`run_session`."""
        each = len(self.networks) * len(self.batches) * len(self.tasks) * len(self.contenders)
        return 1 + each * (self.rounds + 1) + each * self.memory


def run_session(plan: Plan, tick: Callable[[str], None]) -> dict[str, Any]:
    """Measure everything in the plan; the result is ready for JSON.

    Parameters
    ----------
    plan : what to measure
    tick : called before each turn with a description of it

    Returns
    -------
    machine, gemm (operations per second), agreement by network, rows (the fields of
    :class:`Measurement`)
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
        peer = next((c for c in plan.contenders if c.startswith("torch")), None)
        if peer and not network.attention:
            with Contender(Spec(peer, network, 1, plan.threads)) as contender:
                facts["agreement"][network.name] = contender.request("agreement")
        for batch in plan.batches:
            rows = compare(plan, network, batch, facts["gemm"]["peak"], tick)
            facts["rows"] += [asdict(row) for row in rows]
    return facts


def peak(plan: Plan) -> dict[str, float]:
    """The highest speed of matrix products in operations per second, by kind."""
    with Contender(
        Spec(GEMM, BENCHMARK_NETWORKS["tiny"], 1, plan.threads, plan.backend)
    ) as contender:
        operations = contender.request("operations")
        best = {}
        for kind, count in operations.items():
            contender.turn(kind, plan.least)  # fills the caches, does not count
            took = [_undisturbed(contender, kind, plan.least)[0] for _ in range(plan.rounds)]
            best[kind] = count / min(turn.seconds for turn in took)
    return best


def compare(
    plan: Plan, network: Network, batch: int, gemm: float, tick: Callable[[str], None]
) -> list[Measurement]:
    """The measurements of one network and one batch size."""
    turns = {(name, task): Turns() for name in plan.contenders for task in plan.tasks}
    specs = {
        name: Spec(name, network, batch, plan.threads, plan.backend) for name in plan.contenders
    }
    _time(plan, specs, turns, tick)
    if plan.memory:
        for (name, task), found in turns.items():
            tick(f"{network.name} {batch}: memory of {name}, {task}")
            if found.error is None:
                try:
                    with Contender(specs[name]) as contender:
                        found.memory = contender.request("memory", task=task)
                except ContenderError as failure:
                    found.error = str(failure)
    work = workload(network, 1)
    forward = forward_flops(network, work.model)
    evaluations = STEPS * (2 if network.classes else 1)
    cost = {"train": 3 * forward, "infer": forward, "sample": evaluations * forward}
    return list(_measurements(plan, network.name, batch, turns, cost, gemm))


def _time(
    plan: Plan,
    specs: dict[str, Spec],
    turns: dict[tuple[str, str], Turns],
    tick: Callable[[str], None],
) -> None:
    with ExitStack() as stack:
        running: dict[str, Contender] = {}
        for name, spec in specs.items():
            try:
                running[name] = stack.enter_context(Contender(spec))
            except ContenderError as failure:
                _fail(plan, turns, name, failure)
        for task in plan.tasks:
            for count in range(-1, plan.rounds):  # fills the caches, does not count
                for name, spec in specs.items():
                    tick(f"{spec.network.name} {spec.batch}: {task}, {name}")
                    if name not in running:
                        continue
                    found = turns[name, task]
                    try:
                        if count < 0:
                            running[name].turn(task, 0.0)
                            continue
                        turn, again = _undisturbed(running[name], task, plan.least)
                    except ContenderError as failure:
                        _fail(plan, turns, name, failure)
                        running.pop(name)
                        continue
                    found.turns.append(turn)
                    found.again += again


def _undisturbed(contender: Contender, task: str, least: float) -> tuple[Turn, int]:
    """A turn without other programs, or the least disturbed of some; and how many were repeated."""
    tried = []
    for again in range(TRIES):
        turn = contender.turn(task, least)
        if not turn.others > MAX_FOREIGN_CPUS:
            return turn, again
        tried.append(turn)
    return min(tried, key=lambda turn: turn.others), TRIES - 1


def _fail(
    plan: Plan, turns: dict[tuple[str, str], Turns], name: str, failure: ContenderError
) -> None:
    """Record the error for all tasks that the contender had not finished."""
    for task in plan.tasks:
        if len(turns[name, task].turns) < plan.rounds:
            turns[name, task] = Turns(error=str(failure))


def _measurements(
    plan: Plan,
    network: str,
    batch: int,
    turns: dict[tuple[str, str], Turns],
    cost: dict[str, int],
    gemm: float,
) -> Iterator[Measurement]:
    for task in plan.tasks:
        medians = {
            name: statistics.median(turn.seconds for turn in turns[name, task].turns)
            for name in plan.contenders
            if turns[name, task].turns
        }
        for name in plan.contenders:
            found = turns[name, task]
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
                disturbed=sum(turn.others > MAX_FOREIGN_CPUS for turn in found.turns),
                error=found.error,
            )
