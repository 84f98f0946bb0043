"""CUDA graphs: a step is captured once, and then one launch replaces hundreds."""

import warnings
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import numpy as np

from npdiff.acceleration import frozen_weights
from npdiff.backend import Array, namespace
from npdiff.errors import InputError


class GraphedFunction:
    """A function of arrays at fixed addresses, recorded once and then replayed as a CUDA graph.

    The first calls run normally, while kernels are compiled and memory is allocated. The next one
    is recorded, and from then on a call is one launch. Every call, normal or replayed, is one step,
    so a function that updates its own state may be captured.

    A graph records addresses and launches. So the function takes no arguments, reads changing
    values from ``inputs``, does not synchronize and copies nothing from the host; its memory comes
    from a separate pool. Its result is overwritten by the next call. Weights are converted
    (:func:`npdiff.acceleration.prepacked`) again in every call.

    Without a GPU every call runs normally; also if a GPU refuses the capture, with a warning.

    Parameters
    ----------
    f : the step
    inputs : the arrays that it reads, by name
    warm_ups : normal calls before the recorded one, at least 1
    cuda : CuPy's module ``cuda``, or a substitute
    """

    def __init__(
        self, f: Callable[[], Any], inputs: dict[str, Array], *, warm_ups: int = 2, cuda: Any = None
    ) -> None:
        if warm_ups < 1:
            raise InputError(f"warm_ups must be 1 or more, got {warm_ups}")
        self._f, self._inputs, self._before = f, inputs, warm_ups
        modules = (getattr(namespace(a), "cuda", None) for a in inputs.values())
        self._cuda = cuda = cuda or next(filter(None, modules), None)
        self._graph: Any = None
        self._result: Any = None
        if cuda is not None:
            self._stream, self._pool = cuda.Stream(non_blocking=True), cuda.MemoryPool()

    @property
    def captured(self) -> bool:
        """Whether the step has been recorded, so that a call launches the graph."""
        return self._graph is not None

    def __call__(self, **values: Any) -> Any:
        """Run one step, with new values in the named inputs.

        Raises
        ------
        InputError
            If there is no such input, or the value has another shape.
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
        target = self._inputs.get(name)
        if target is None:
            raise InputError(f"no input {name!r}: this step has {', '.join(self._inputs)}")
        shape = value.shape if hasattr(value, "shape") else np.shape(value)
        if tuple(shape) != tuple(target.shape):
            raise InputError(
                f"input {name!r} has shape {tuple(target.shape)}, got {tuple(shape)}: a graph has "
                "fixed shapes, make another one for other shapes"
            )
        target[...] = namespace(target).asarray(value, dtype=target.dtype)

    def _run(self) -> Any:
        with frozen_weights():
            return self._f()

    def _capture(self) -> None:
        """Record the step without running it; on failure warn, and do not try again."""
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
        """End a failed recording and ignore the error that ending it raises."""
        try:
            self._stream.end_capture()
        except Exception:
            return
