"""A step captured once as a CUDA graph and then launched whole: one launch in place of hundreds."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from npdiff.acceleration import frozen_weights
from npdiff.backend import Array, namespace
from npdiff.errors import InputError


class Captured:
    """A function of arrays that stay where they are, replayed as a graph.

    The first calls run as always, while kernels are compiled and memory is found; the next one is
    recorded, and from then on a call is one launch. Every call, of either kind, is one step: a
    function that moves its own state on may be captured.

    What is recorded are addresses and launches. So the function takes no arguments, reads what
    changes from ``inputs``, waits for nothing and brings nothing from the host; the memory it asks
    for is from a pool of its own that nobody else is given. What it returns is overwritten by the
    next call. Weights are prepared (:func:`npdiff.acceleration.prepacked`) anew in every call.

    Where nothing can be captured, as on the host, every call runs as always; where a GPU refuses,
    there is a warning as well.

    Parameters
    ----------
    f : the step
    inputs : the arrays it reads, by name
    warm_ups : calls before the one that is recorded, at least 1
    cuda : CuPy's module ``cuda``, or what takes its place
    """

    def __init__(
        self, f: Callable[[], Any], inputs: dict[str, Array], *, warm_ups: int = 2, cuda: Any = None
    ) -> None:
        if warm_ups < 1:
            raise InputError(f"a step runs at least once before it is recorded, got {warm_ups}")
        self._f, self._inputs, self._before = f, inputs, warm_ups
        modules = (getattr(namespace(a), "cuda", None) for a in inputs.values())
        self._cuda = cuda = cuda or next(filter(None, modules), None)
        self._graph: Any = None
        self._result: Any = None
        if cuda is not None:
            self._stream, self._pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()

    @property
    def captured(self) -> bool:
        """Whether calls are launches of a graph by now."""
        return self._graph is not None

    def __call__(self, **values: Any) -> Any:
        """Do a step, with new values in the named inputs.

        Raises
        ------
        InputError
            If a value has not the shape of its input, or there is no such input.
        """
        for name, value in values.items():
            self._put(name, value)
        if self._cuda is None:
            return self._run()
        caller = self._cuda.get_current_stream()
        self._stream.wait_event(caller.record())
        with ExitStack() as stack:
            stack.enter_context(self._stream)
            stack.enter_context(self._cuda.using_allocator(self._pool.malloc))
            if self._graph is None and self._before == 0:
                self._capture()
            if self._graph is None:
                self._result = self._run()
                self._before -= self._before > 0
            else:
                self._graph.launch(self._stream)
        caller.wait_event(self._stream.record())
        return self._result

    def _put(self, name: str, value: Any) -> None:
        place = self._inputs.get(name)
        if place is None:
            raise InputError(f"no input {name!r}: this step has {', '.join(self._inputs)}")
        shape = value.shape if hasattr(value, "shape") else np.shape(value)
        if tuple(shape) != tuple(place.shape):
            raise InputError(
                f"input {name!r} was captured with shape {tuple(place.shape)}, got {tuple(shape)}: "
                "a graph is for one shape, make another"
            )
        place[...] = namespace(place).asarray(value, dtype=place.dtype)

    def _run(self) -> Any:
        with frozen_weights():
            return self._f()

    def _capture(self) -> None:
        """Record the step without doing it; on failure say so and never try again."""
        self._before = -1
        try:
            self._stream.begin_capture()
            try:
                result = self._run()
            except BaseException:
                self._abandon()
                raise
            self._graph, self._result = self._stream.end_capture(), result
        except Exception as error:
            self._graph = None
            warnings.warn(
                f"this step could not be captured as a CUDA graph and runs launch by launch: "
                f"{type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=4,
            )

    def _abandon(self) -> None:
        """End a recording that went wrong, whatever it says to that."""
        try:
            self._stream.end_capture()
        except Exception:
            return
