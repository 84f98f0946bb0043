"""The time of a training step by layer and by function.

Within :func:`record_profile` every module and every function of :mod:`npdiff.ops` and
:mod:`npdiff.kernels` is timed, and so is the pullback that it returns. Outside of it nothing is
wrapped, at no cost.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache, wraps
from typing import Any

from npdiff import acceleration, ops, tree
from npdiff.bench.networks import Workload
from npdiff.bench.tasks import Npdiff
from npdiff.pullback import Traced
from npdiff.tree import Module


@dataclass
class TimeSpent:
    """The time of a layer or a function, summed over threads, in seconds.

    Attributes
    ----------
    calls : number of calls in the forward pass
    forward, backward : time including the functions that it called
    own_forward, own_backward : time excluding called functions that have a separate entry
    """

    calls: int = 0
    forward: float = 0.0
    backward: float = 0.0
    own_forward: float = 0.0
    own_backward: float = 0.0

    def add(self, phase: str, took: float, own: float) -> None:
        """Add a call."""
        if phase == "forward":
            self.calls += 1
            self.forward += took
            self.own_forward += own
        else:
            self.backward += took
            self.own_backward += own

    @property
    def total(self) -> float:
        """Forward and backward, including called functions."""
        return self.forward + self.backward

    @property
    def own(self) -> float:
        """Forward and backward, excluding called functions."""
        return self.own_forward + self.own_backward


class Recorder:
    """Times nested calls by name, with a separate stack for each thread."""

    def __init__(self) -> None:
        self.spent: dict[str, TimeSpent] = defaultdict(TimeSpent)
        self._lock = threading.Lock()
        self._per_thread = threading.local()

    def depth(self) -> int:
        """The number of timed calls that enclose the current point of this thread."""
        return len(self._stack())

    def _stack(self) -> list[float]:
        if not hasattr(self._per_thread, "stack"):
            self._per_thread.stack = []  # for each open call: the time of the calls within it
        stack: list[float] = self._per_thread.stack
        return stack

    def run(self, name: str, phase: str, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``f(*args, **kwargs)``, timed; a kernel that returns None is not counted."""
        stack = self._stack()
        stack.append(0.0)
        if phase == "forward":
            self.spent[name]  # entries are in the order in which calls start
        result, start = None, time.perf_counter()
        try:
            result = f(*args, **kwargs)
        finally:
            took = time.perf_counter() - start
            inner = stack.pop()
            if result is not None:
                if stack:
                    stack[-1] += took
                with self._lock:
                    self.spent[name].add(phase, took, took - inner)
        return result

    def traced(self, name: str, f: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """``f(*args, **kwargs)``, which returns a value and a pullback, both timed."""
        result = self.run(name, "forward", f, *args, **kwargs)
        if result is None:
            return None
        y, pullback = result

        def timed_pullback(*dy: Any) -> Any:
            return self.run(name, "backward", pullback, *dy)

        return y, timed_pullback


class Profile:
    """Times by layer and times by function."""

    def __init__(self) -> None:
        self.layers, self.functions = Recorder(), Recorder()
        self._paths: dict[int, tuple[str, Module]] = {}

    def path(self, layer: Module) -> str:
        """The path of a layer in the network that is running: ``down.0.res.conv1``."""
        if self.layers.depth() == 0:
            self._name(layer, "")
        path, named = self._paths.get(id(layer), ("", None))
        return path if named is layer else f"({type(layer).__name__})"

    def _name(self, node: Any, path: str) -> None:
        if isinstance(node, Module):
            self._paths[id(node)] = (path, node)
        for name, child in tree.children(node):
            self._name(child, f"{path}.{name}" if path else name)


@contextmanager
def record_profile() -> Iterator[Profile]:
    """Time every layer and every function that is called within this block, in any thread."""
    profile = Profile()
    undo: list[Callable[[], None]] = []

    def replace(owner: Any, name: str, new: Any) -> None:
        old = getattr(owner, name)
        undo.append(lambda: setattr(owner, name, old))
        setattr(owner, name, new)

    try:
        for kind in _module_classes(Module):
            if "__call__" in vars(kind):
                replace(kind, "__call__", _layer(profile, vars(kind)["__call__"]))
        for name in ops.__all__:
            replace(ops, name, _function(profile, f"ops.{name}", getattr(ops, name)))
        of = acceleration._kernels

        @cache
        def kernels(name: str) -> tuple[Callable[..., Traced | None], ...]:
            return tuple(
                _function(profile, f"{f.__module__.removeprefix('npdiff.')}.{name}", f)
                for f in of(name)
            )

        replace(acceleration, "_kernels", kernels)
        yield profile
    finally:
        for restore in reversed(undo):
            restore()


def _module_classes(base: type) -> set[type]:
    kinds: set[type] = set(base.__subclasses__())
    return kinds.union(*map(_module_classes, kinds))


def _layer(profile: Profile, call: Callable[..., Traced]) -> Callable[..., Traced]:
    @wraps(call)
    def run(self: Module, *args: Any, **kwargs: Any) -> Traced:
        return profile.layers.traced(profile.path(self), call, self, *args, **kwargs)

    return run


def _function(profile: Profile, name: str, f: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(f)
    def run(*args: Any, **kwargs: Any) -> Any:
        return profile.functions.traced(name, f, *args, **kwargs)

    return run


def step_profile(work: Workload, threads: int, steps: int = 3) -> dict[str, Any]:
    """The time of training steps by layer and function, ready for JSON.

    Returns
    -------
    seconds, gradient, update : the time of a step, and of its two parts
    layers, functions : by name, the fields of :class:`TimeSpent` for one step; and own time and
        total time as fractions of the step's time on all threads
    """
    npdiff = Npdiff(work, threads)
    npdiff.run("train")  # fills the caches
    threads = npdiff.workers.threads
    parts = {"gradient": 0.0, "update": 0.0}

    def timed(name: str) -> None:
        part = getattr(npdiff, name)

        def run(*args: Any) -> Any:
            start = time.perf_counter()
            try:
                return part(*args)
            finally:
                parts[name] += time.perf_counter() - start

        setattr(npdiff, name, run)

    timed("gradient")
    timed("update")
    with record_profile() as profile:
        start = time.perf_counter()
        for _ in range(steps):
            npdiff.run("train")
        seconds = (time.perf_counter() - start) / steps

    def per_step(recorder: Recorder) -> dict[str, dict[str, float]]:
        return {
            name: {
                "calls": spent.calls / steps,
                "forward": spent.forward / steps,
                "backward": spent.backward / steps,
                "own_forward": spent.own_forward / steps,
                "own_backward": spent.own_backward / steps,
                "fraction": spent.own / steps / (seconds * threads),
                "fraction_with_parts": spent.total / steps / (seconds * threads),
            }
            for name, spent in recorder.spent.items()
            if spent.calls
        }

    return {
        "network": work.network.name,
        "batch": work.config.batch,
        "threads": threads,
        "seconds": seconds,
        **{name: took / steps for name, took in parts.items()},
        "layers": per_step(profile.layers),
        "functions": per_step(profile.functions),
    }
