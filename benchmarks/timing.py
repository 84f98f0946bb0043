"""Times of short tasks in one process: they take turns, and the fastest turn counts."""

import time
from collections.abc import Callable, Mapping

#: Shortest duration of a turn in seconds: short tasks are repeated within it, with warm caches.
TURN = 2e-3

Clock = Callable[[], float]


def run(task: Callable[[], object], times: int, clock: Clock) -> float:
    """Mean seconds of a run."""
    start = clock()
    for _ in range(times):
        task()
    return (clock() - start) / times


def fastest(
    tasks: Mapping[str, Callable[[], object]],
    seconds: float = 1.0,
    *,
    clock: Clock = time.thread_time,
    least: int = 5,
) -> dict[str, float]:
    """Seconds of a run of each task in its fastest turn.

    Other programs can only make a run slower, so the fastest turn is the best estimate.

    Parameters
    ----------
    tasks : functions by name
    seconds : shortest duration of all turns together
    clock : by default the CPU time of the calling thread, without waiting times; for tasks of
        several threads use ``time.perf_counter``
    least : smallest number of turns of each task
    """
    first = {name: min(run(task, 1, clock) for _ in range(2)) for name, task in tasks.items()}
    times = {name: max(1, round(TURN / took)) for name, took in first.items()}
    found = dict(first)
    end, turns = time.perf_counter() + seconds, 0
    while time.perf_counter() < end or turns < least:
        for name, task in tasks.items():
            found[name] = min(found[name], run(task, times[name], clock))
        turns += 1
    return found
