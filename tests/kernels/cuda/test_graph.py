"""A captured step equals the step: warm-ups, recording, launches, and failures."""

from contextlib import contextmanager

import numpy as np
import pytest

from npdiff.acceleration import prepacked
from npdiff.errors import InputError
from npdiff.kernels.cuda import adamw, noise
from npdiff.kernels.cuda import device as device_module
from npdiff.kernels.cuda.graph import GraphedFunction
from npdiff.kernels.vectors import Vectors
from npdiff.verify import strict


class Recorder:
    """CuPy's module ``cuda`` and a device: while a stream records, launches wait for the graph."""

    def __init__(self, emulator, refuses=""):
        self.emulator, self.refuses = emulator, refuses
        self.recorded, self.events, self.allocator = None, [], "everybody's"

    # The device.
    def launch(self, *args):
        if self.recorded is None:
            self.emulator.launch(*args)
        else:
            self.recorded.append(args)

    # The module.
    def Stream(self, non_blocking):  # noqa: N802
        assert non_blocking  # the default stream may not be waited for while one records
        return Stream(self, "own")

    def MemoryPool(self):  # noqa: N802
        class Pool:
            malloc = "the graph's"

        return Pool

    def get_current_stream(self):
        return Stream(self, "caller's")

    @contextmanager
    def using_allocator(self, allocator):
        before, self.allocator = self.allocator, allocator
        yield
        self.allocator = before


class Stream:
    def __init__(self, cuda, name):
        self.cuda, self.name = cuda, name

    def __enter__(self):
        return self

    def __exit__(self, *_):
        return None

    def record(self):
        self.cuda.events.append(f"{self.name} done")
        return self.name

    def wait_event(self, event):
        self.cuda.events.append(f"{self.name} waits for {event}")

    def begin_capture(self):
        if self.cuda.refuses == "begin":
            raise RuntimeError("no capture here")
        self.cuda.recorded = []

    def end_capture(self):
        launches, self.cuda.recorded = self.cuda.recorded, None
        if self.cuda.refuses == "end":
            raise RuntimeError("the capture was invalidated")
        return Graph(self.cuda, launches)


class Graph:
    def __init__(self, cuda, launches):
        self.cuda, self.launches = cuda, launches

    def launch(self, stream):
        assert stream.name == "own"
        self.cuda.events.append("launch")
        for args in self.launches:
            self.cuda.emulator.launch(*args)


SIZE, STEPS = 50, 6


def run(cuda, emulator, monkeypatch, f_fails=None):
    """Captured steps of AdamW with keyed noise; the result of each, and the last state."""
    xp, calls = strict.xp, []
    monkeypatch.setitem(device_module.DEVICES, "npdiff", lambda: cuda or emulator)
    state = Vectors(*(xp.asarray(np.linspace(0.5, 1.5, SIZE)) for _ in range(4)))
    gradient, one = xp.zeros((1, SIZE), dtype=np.float64), xp.ones((), dtype=np.float64)
    samples = xp.zeros(1, dtype=np.uint64)
    inputs = {
        "step": xp.zeros((), dtype=np.uint32),
        "scalars": xp.zeros(4, dtype=np.float64),
    }

    def f():
        calls.append(None if cuda is None else cuda.allocator)
        noise.fill_normal(gradient, samples, inputs["step"], seed=1, stream="g")
        if f_fails and cuda.recorded is not None:
            raise f_fails
        adamw.launch(
            device_module.device_of(gradient), state, gradient.reshape(-1), state,
            inputs["scalars"], one, decayed=20, betas=(0.9, 0.99), eps=1e-8, weight_decay=0.1,
        )  # fmt: skip
        return state.model

    step, returned = GraphedFunction(f, inputs, cuda=cuda), []
    for n in range(1, STEPS + 1):
        scalars = adamw.step_scalars(n, learning_rate=0.1 / n, betas=(0.9, 0.99), average_decay=0.5)
        returned.append(step(step=np.uint32(n), scalars=scalars).get())
    return step, returned, [a.get() for a in state], calls


@pytest.fixture
def expected(emulator, monkeypatch):
    return run(None, emulator, monkeypatch)[1:3]


def test_launches_of_a_graph_equal_the_steps(emulator, monkeypatch, expected):
    """Recording does not run the step, and a launch reads the scalars of its step."""
    cuda = Recorder(emulator)
    step, returned, state, calls = run(cuda, emulator, monkeypatch)
    assert step.captured
    np.testing.assert_array_equal(returned, expected[0])
    np.testing.assert_array_equal(state, expected[1])
    assert calls == ["the graph's"] * 3  # two warm-ups, one recording
    assert cuda.events.count("launch") == STEPS - 2
    one_call = ["caller's done", "own waits for caller's", "own done", "caller's waits for own"]
    assert cuda.events[:4] == one_call
    assert cuda.events[-5:] == [*one_call[:2], "launch", *one_call[2:]]
    assert cuda.allocator == "everybody's"


@pytest.mark.parametrize("refuses", ["begin", "end", "f", "f and end"])
def test_if_a_gpu_refuses_the_capture_steps_run_normally(emulator, monkeypatch, expected, refuses):
    cuda = Recorder(emulator, refuses.removeprefix("f and "))
    fails = RuntimeError("not while recording") if refuses.startswith("f") else None
    with pytest.warns(RuntimeWarning, match="could not be captured as a CUDA graph") as warned:
        step, returned, state, _ = run(cuda, emulator, monkeypatch, fails)
    assert len(warned) == 1  # and is not tried again
    assert not step.captured
    np.testing.assert_array_equal(returned, expected[0])
    np.testing.assert_array_equal(state, expected[1])
    assert "launch" not in cuda.events


def test_an_interrupt_ends_the_recording_and_is_raised(emulator, monkeypatch):
    cuda = Recorder(emulator)
    with pytest.raises(KeyboardInterrupt):
        run(cuda, emulator, monkeypatch, KeyboardInterrupt())
    assert cuda.recorded is None


def test_on_the_host_every_call_runs_normally():
    x = np.zeros(2)
    step = GraphedFunction(lambda: x + 1.0, {"x": x})
    for k in range(5):
        assert (step(x=np.full(2, k)) == k + 1).all()
    assert not step.captured


def test_weights_are_converted_in_every_call():
    """Weights converted before the recording would be outdated, or freed, when the graph runs."""
    w, made = np.ones(1), []

    def f():
        for _ in range(2):
            prepacked("here", w, made.append)

    step = GraphedFunction(f, {"w": w})
    step()
    step()
    assert len(made) == 2


def test_inputs_of_the_wrong_shape_or_name_are_refused():
    step = GraphedFunction(lambda: None, {"x": np.zeros(2), "t": np.zeros(())})
    with pytest.raises(InputError, match=r"shape \(2,\), got \(3,\)"):
        step(x=np.zeros(3))
    with pytest.raises(InputError, match="no input 'y': this step has x, t"):
        step(y=1.0)
    with pytest.raises(InputError, match="warm_ups must be 1 or more, got 0"):
        GraphedFunction(lambda: None, {"x": np.zeros(2)}, warm_ups=0)
