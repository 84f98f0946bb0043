"""Fair times of small things in one process: they take turns, and the fastest turn counts."""

import time
from collections.abc import Callable, Mapping

#: Seconds that a turn takes at least: quick tasks run again and again in it, caches warm.
TURN = 2e-3

Clock = Callable[[], float]


def run(task: Callable[[], object], times: int, clock: Clock) -> float:
    """Seconds of one run, of several."""
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
    """Seconds of one run of each task in its fastest turn; all took turns for some seconds.

    A machine that is shared only ever makes a run slower, so the fastest is nearest to the truth.

    Parameters
    ----------
    tasks : by name
    seconds : for all turns together, at least
    clock : the time that the calling thread was on a processor, which waiting for one is no part
        of; for what several threads do ``time.perf_counter``
    least : turns of each
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
