"""When memory runs out, on the host or on a GPU: the error message, and the state that is kept."""

import sys

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.generation import generate, samples
from npdiff.nn import UNet
from npdiff.runs import Checkpoint, Config, Run, checkpoint
from npdiff.runtime.memory import DeviceMemoryError, HostMemoryError, explain_memory_errors
from npdiff.training import loop, preview, train


class OutOfMemoryError(MemoryError):
    """An error with the name of CuPy's."""


def numpy_error() -> MemoryError:
    """NumPy's error for a request larger than the memory of any computer."""
    with pytest.raises(MemoryError) as caught:
        np.empty((2**20, 2**30), dtype=np.float64)
    return caught.value


ERRORS = {
    "numpy": (numpy_error, HostMemoryError, "Unable to allocate 8.00 PiB"),
    "cupy": (lambda: OutOfMemoryError("9,000 bytes"), DeviceMemoryError, "the GPU .*9,000 bytes"),
}


@pytest.mark.parametrize("backend", ERRORS)
def test_the_error_names_the_task_and_a_remedy(backend):
    make, kind, words = ERRORS[backend]
    with (
        pytest.raises(kind, match=f"{words}.*try fewer at a time") as caught,
        explain_memory_errors(backend, "something else", "another thing"),
        explain_memory_errors(backend, "sampling of 64 images", "fewer at a time"),
    ):
        raise make()
    assert "during sampling of 64 images" in str(caught.value)
    assert isinstance(caught.value, InputError)
    assert isinstance(caught.value.__cause__, MemoryError)


def test_host_memory_may_run_out_when_computing_on_a_gpu():
    expected = r"^memory ran out during this: try that$"
    with (
        pytest.raises(HostMemoryError, match=expected),
        explain_memory_errors("cupy", "this", "that"),
    ):
        raise MemoryError


def test_errors_of_a_gpu_are_explained_without_the_kernels(monkeypatch):
    monkeypatch.setitem(sys.modules, "npdiff.kernels", None)
    expected = r"during this \(9,000 bytes\): try that"
    with (
        pytest.raises(DeviceMemoryError, match=expected),
        explain_memory_errors("cupy", "this", "that"),
    ):
        raise OutOfMemoryError("9,000 bytes")


@pytest.mark.parametrize("error", [KeyError, KeyboardInterrupt, InputError])
def test_other_errors_are_not_changed(error):
    with pytest.raises(error) as caught, explain_memory_errors("cupy", "this", "that"):
        raise error("something")
    assert type(caught.value) is error


@pytest.mark.parametrize("backend", ERRORS)
@pytest.mark.parametrize("where", ["loss_and_gradient", "apply_gradient"])
def test_training_resumes_from_the_last_complete_step(
    tmp_path, config, dataset, monkeypatch, backend, where
):
    """It stops at step 8, has saved step 7, and continues to the same final bits."""
    make, kind, words = ERRORS[backend]
    whole, calls = getattr(loop, where), []

    def short(*args, **kwargs):
        calls.append(1)
        if len(calls) == 8:
            raise make()
        return whole(*args, **kwargs)

    list(train(config, tmp_path / "whole", dataset=dataset))
    monkeypatch.setattr(loop, where, short)
    monkeypatch.setattr(
        loop, "explain_memory_errors", lambda _, *rest: explain_memory_errors(backend, *rest)
    )
    with pytest.raises(kind, match=words) as caught:
        list(train(config, tmp_path / "run", dataset=dataset))
    for part in (
        "batches of 10, 4 at a time",
        "model.gradient_checkpointing=true",
        "--resume",
        "run",
    ):
        assert part in str(caught.value)
    assert checkpoint.load(tmp_path / "run" / "state.safetensors", "state")[1].step == 7
    monkeypatch.undo()
    list(train(config, tmp_path / "run", resume=True, dataset=dataset))
    states = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("run", "whole")]
    assert states[0] == states[1]


@pytest.mark.parametrize(("backend", "remedy"), [("numpy", "--set shard=8"), ("cupy", "--batch")])
def test_the_remedy_for_training_depends_on_the_backend(tmp_path, config, backend, remedy):
    run = Run.create(tmp_path / "run", config.replace(backend=backend))
    with pytest.raises(HostMemoryError) as caught, loop._enough_memory(run):
        raise MemoryError
    assert remedy in str(caught.value)
    assert ("THREADS" in str(caught.value)) == (backend == "numpy")


def test_the_remedy_for_previews_during_training(tmp_path, config, dataset, monkeypatch):
    def short(*_args):
        raise numpy_error()

    monkeypatch.setattr(preview, "draw", short)
    with pytest.raises(HostMemoryError, match=r"8 preview images .* try sample_every=0"):
        list(train(config.replace(sample_every=3), tmp_path / "run", dataset=dataset))
    assert checkpoint.load(tmp_path / "run" / "state.safetensors", "state")[1].step == 3


@pytest.mark.parametrize("backend", ERRORS)
def test_the_error_when_sampling_runs_out_of_memory(monkeypatch, backend):
    make, kind, words = ERRORS[backend]
    model = {"channels": 1, "width": 8, "multipliers": (1,), "blocks": 1, "attention": ()}
    config = Config(shape=(8, 8, 1), model={**model, "classes": None})
    trained = Checkpoint(UNet.init(0, **config.model), config, 0)

    def frames(*_args, **_kwargs):
        raise make()
        yield

    monkeypatch.setattr(samples, "trajectory", frames)
    with pytest.raises(kind, match=rf"{words}.*try fewer at a time") as caught:
        generate(trained, count=5, backend=backend)
    assert "sampling of 5 images" in str(caught.value)
    assert ("fewer threads" in str(caught.value)) == (backend == "numpy")
