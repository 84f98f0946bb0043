import math
import sys
import threading
from contextlib import nullcontext

import numpy as np
import pytest

from npdiff import tree
from npdiff.acceleration import IdleThreads, definitions_only, idle_threads
from npdiff.backend import module
from npdiff.data import Dataset
from npdiff.errors import InputError, TrainingError
from npdiff.runs import Run, checkpoint, load_model
from npdiff.training import train
from npdiff.training.loop import resolve_config


def outcome(path):
    """The files of a run, without the measured times."""
    named, header = checkpoint.load(path / "state.safetensors", "state")
    untimed = [
        {name: record[name] for name in ("step", "loss", "grad_norm", "learning_rate")}
        for record in Run.open(path).metrics()
    ]
    return header.step, untimed, {name: leaf.tobytes() for name, leaf in named.items()}


@pytest.fixture
def complete_run(tmp_path, config, dataset):
    """A complete run."""
    records = list(train(config, tmp_path / "whole", dataset=dataset))
    return tmp_path / "whole", records


def test_each_step_yields_its_line_of_the_metrics(complete_run, config):
    path, records = complete_run
    assert [record.step for record in records] == list(range(1, 13))
    assert Run.open(path).metrics() == [record._asdict() for record in records]
    assert all(record.images_per_second > 0 for record in records)
    assert [record.seconds for record in records] == sorted(record.seconds for record in records)


def test_a_finished_run_contains_its_averaged_model(complete_run, config, dataset):
    path, _ = complete_run
    final, last = load_model(path / "model.safetensors"), load_model(path)
    assert final.step == last.step == 12
    assert final.config == last.config == resolve_config(config.replace(data=dataset), dataset)
    for a, b in zip(tree.leaves(final.model), tree.leaves(last.model), strict=True):
        assert a.tobytes() == b.tobytes()


def test_the_loss_decreases_on_a_learnable_task(tmp_path, config, dataset):
    model = {**config.model, "dropout": 0.0}
    config = config.replace(steps=100, batch=40, shard=40, learning_rate=1e-2, model=model)
    losses = [record.loss for record in train(config, tmp_path / "run", dataset=dataset)]
    assert np.mean(losses[-20:]) < 0.5 * np.mean(losses[:5])


@pytest.mark.parametrize("threads", ["2", "8"])
def test_the_run_is_bit_identical_for_any_number_of_threads(
    tmp_path, complete_run, config, dataset, threads, monkeypatch
):
    monkeypatch.setenv("NPDIFF_THREADS", threads)
    list(train(config, tmp_path / "threads", dataset=dataset))
    assert outcome(tmp_path / "threads") == outcome(complete_run[0])


@pytest.mark.parametrize("stop", [1, 5, 11])
def test_an_interrupted_run_resumes_bit_for_bit(tmp_path, complete_run, config, dataset, stop):
    path = tmp_path / "parts"
    for record in train(config, path, dataset=dataset):
        if record.step == stop:
            break
    assert outcome(path)[0] == stop
    rest = list(train(None, path, resume=True, dataset=dataset))
    assert [record.step for record in rest] == list(range(stop + 1, 13))
    assert outcome(path) == outcome(complete_run[0])


def test_ctrl_c_in_the_middle_of_a_step_saves_the_step_before(
    tmp_path, complete_run, config, dataset, monkeypatch
):
    from npdiff.training import loop

    def interrupted(state, gradient, norm, step, config, flat):
        if step == 8:
            raise KeyboardInterrupt
        return apply_gradient(state, gradient, norm, step, config, flat)

    apply_gradient = loop.apply_gradient
    monkeypatch.setattr(loop, "apply_gradient", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(train(config, tmp_path / "run", dataset=dataset))
    assert outcome(tmp_path / "run")[0] == 7
    monkeypatch.undo()
    list(train(config, tmp_path / "run", resume=True, dataset=dataset))
    assert outcome(tmp_path / "run") == outcome(complete_run[0])


@pytest.mark.parametrize("threads", ["1", "2"])
def test_ctrl_c_in_the_middle_of_an_update_saves_the_step_before(
    tmp_path, complete_run, config, dataset, monkeypatch, threads
):
    """The matrices are already updated, the vectors are not, and the gradient is overwritten."""
    from npdiff.kernels import adamw

    def interrupted(*args, **kwargs):
        def parallel_for(f, items):
            f(items[0])
            raise KeyboardInterrupt

        calls.append(1)
        threads = IdleThreads(2, parallel_for)
        with idle_threads(threads) if len(calls) == 8 else nullcontext():
            update(*args, **kwargs)

    update, calls = adamw.adamw, []
    monkeypatch.setenv("NPDIFF_THREADS", threads)
    monkeypatch.setattr(adamw, "adamw", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(train(config, tmp_path / "run", dataset=dataset))
    assert len(calls) == 8
    assert outcome(tmp_path / "run")[0] == 7
    monkeypatch.undo()
    list(train(config, tmp_path / "run", resume=True, dataset=dataset))
    assert outcome(tmp_path / "run") == outcome(complete_run[0])


@pytest.mark.parametrize("written", [False, True])
def test_ctrl_c_around_the_metrics_leaves_each_step_one_line(
    tmp_path, complete_run, config, dataset, monkeypatch, written
):
    def interrupted(self, record):
        if record["step"] != 8 or written:
            log(self, record)
        if record["step"] == 8:
            raise KeyboardInterrupt

    log = Run.log
    monkeypatch.setattr(Run, "log", interrupted)
    with pytest.raises(KeyboardInterrupt):
        list(train(config, tmp_path / "run", dataset=dataset))
    monkeypatch.undo()
    list(train(config, tmp_path / "run", resume=True, dataset=dataset))
    assert outcome(tmp_path / "run") == outcome(complete_run[0])


def test_resuming_a_finished_run_is_an_input_error(complete_run, dataset):
    with pytest.raises(InputError, match="has finished: 12 of 12 steps"):
        train(None, complete_run[0], resume=True, dataset=dataset)


def test_with_a_constant_learning_rate_a_finished_run_can_be_extended(tmp_path, config, dataset):
    long = config.replace(decay="constant")
    short = long.replace(steps=7)
    list(train(long, tmp_path / "long", dataset=dataset))
    list(train(short, tmp_path / "short", dataset=dataset))
    assert load_model(tmp_path / "short" / "model.safetensors").step == 7
    list(train(long, tmp_path / "short", resume=True, dataset=dataset))
    assert outcome(tmp_path / "short") == outcome(tmp_path / "long")
    assert load_model(tmp_path / "short" / "model.safetensors").step == 12


def test_a_run_cannot_be_shortened_below_its_step(tmp_path, config, dataset):
    config = config.replace(decay="constant")
    for record in train(config, tmp_path / "run", dataset=dataset):
        if record.step == 6:
            break
    with pytest.raises(InputError, match="has finished: 6 of 5 steps"):
        train(config.replace(steps=5), tmp_path / "run", resume=True, dataset=dataset)
    assert Run.open(tmp_path / "run").config.steps == 12


def test_resuming_in_an_empty_place_starts_a_run(tmp_path, complete_run, config, dataset):
    list(train(config, tmp_path / "new", resume=True, dataset=dataset))
    assert outcome(tmp_path / "new") == outcome(complete_run[0])


def test_resuming_nothing_without_a_configuration_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="there is no run to resume"):
        train(None, tmp_path / "none", resume=True)


def test_an_existing_run_is_refused_unless_resumed(complete_run, config, dataset):
    before = outcome(complete_run[0])
    with pytest.raises(InputError, match="exists and is not empty: if it holds a run, resume it"):
        train(config, complete_run[0], dataset=dataset)
    assert outcome(complete_run[0]) == before


def test_resuming_with_another_configuration_is_refused(complete_run, config, dataset):
    with pytest.raises(InputError, match="seed of the run"):
        train(config.replace(seed=9), complete_run[0], resume=True, dataset=dataset)


@pytest.mark.parametrize("where", ["loss", "gradient"])
@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_checkpoint(
    tmp_path, config, dataset, monkeypatch, where, value
):
    from npdiff.training import loop

    def broken(model, dataset, step, config, workers, flat):
        loss, norm, gradient = real(model, dataset, step, config, workers, flat)
        if step == 9:
            return (value, norm, gradient) if where == "loss" else (loss, value, gradient)
        return loss, norm, gradient

    real = loop.loss_and_gradient
    monkeypatch.setattr(loop, "loss_and_gradient", broken)
    path = tmp_path / "run"
    records = []
    with pytest.raises(TrainingError) as error:
        records.extend(train(config, path, dataset=dataset))
    message = str(error.value)
    assert "stopped at step 9" in message
    assert "state of step 5 is kept" in message
    assert "lower learning_rate (it is 0.002)" in message
    assert "\n" not in message
    step, untimed, _ = outcome(path)
    assert step == 5
    assert [record["step"] for record in untimed] == list(range(1, 9))
    state = checkpoint.load(path / "state.safetensors", "state")[0]
    assert all(np.isfinite(leaf).all() for leaf in state.values())


def test_a_diverging_learning_rate_stops_training(tmp_path, config, dataset):
    config = config.replace(learning_rate=1e30, warmup=0, checkpoint_every=100)
    with np.errstate(all="ignore"), pytest.raises(TrainingError, match="no state was saved yet"):
        list(train(config, tmp_path / "run", dataset=dataset))
    assert not (tmp_path / "run" / "state.safetensors").exists()


def test_inconsistent_configurations_are_refused_before_a_file_is_written(
    tmp_path, config, dataset
):
    odd = Dataset(dataset.images[:, :7], dataset.labels, dataset.classes)
    gray = {**config.model, "channels": 3}
    cases = [
        (config, odd, "7"),
        (config.replace(model=gray), dataset, "model.channels is 3, but the data have 1"),
        (
            config.replace(model={**config.model, "classes": 5}),
            dataset,
            "model.classes is 5, but the data have 2",
        ),
        (config.replace(shape=(9, 9, 1)), dataset, r"shape is \(9, 9, 1\), but the data have"),
        (config.replace(classes=("a", "b")), dataset, "classes is .*, but the data have"),
        (config.replace(data="no such data"), None, "no data at no such data"),
        # not after hours, when the first samples are to be drawn
        (
            config.replace(schedule="zero-snr", prediction="eps"),
            dataset,
            "'eps' cannot recover x_0 at the end of schedule 'zero-snr'",
        ),
    ]
    for wrong, data, complaint in cases:
        with pytest.raises(InputError, match=complaint):
            train(wrong, tmp_path / "run", dataset=data)
        assert not (tmp_path / "run").exists()


def test_nothing_to_train_on_and_no_thread_to_train_with_are_input_errors(
    tmp_path, config, dataset, monkeypatch
):
    empty = Dataset(dataset.images[:0], dataset.labels[:0], dataset.classes)
    with pytest.raises(InputError, match="no images to train on"):
        train(config, tmp_path / "run", dataset=empty)
    monkeypatch.setenv("NPDIFF_THREADS", "0")
    with pytest.raises(InputError, match="NPDIFF_THREADS must be an integer from 1 up, got '0'"):
        train(config, tmp_path / "run", dataset=dataset)
    assert not (tmp_path / "run").exists()


def test_one_image_trains_for_any_batch_size(tmp_path, config, dataset, monkeypatch):
    monkeypatch.setenv("NPDIFF_THREADS", "8")
    one = Dataset(dataset.images[:1], np.zeros(1, np.int64), ("it",))
    for batch in (1, 3):
        path = tmp_path / str(batch)
        records = list(train(config.replace(batch=batch), path, dataset=one))
        assert len(records) == 12
        assert all(math.isfinite(record.loss) for record in records)


def test_two_trainings_in_one_process_are_independent(tmp_path, config, dataset):
    """Each equals the same training alone bit for bit; they share the threads of BLAS."""
    threadpoolctl = pytest.importorskip("threadpoolctl")
    wide = {**config.model, "width": 16, "patch": 1}
    configs = [config.replace(seed=seed, steps=5 + seed, model=wide) for seed in (1, 2)]
    errors, start = [], threading.Barrier(2)

    def run(i, path):
        try:
            start.wait(10)
            list(train(configs[i], path, dataset=dataset))
        except BaseException as error:
            errors.append(error)

    def blas():
        return [pool["num_threads"] for pool in threadpoolctl.threadpool_info()]

    with threadpoolctl.threadpool_limits(2, user_api="blas"):
        before, interval = blas(), sys.getswitchinterval()
        for i in (0, 1):
            list(train(configs[i], tmp_path / f"alone {i}", dataset=dataset))
        threads = [
            threading.Thread(target=run, args=(i, tmp_path / f"together {i}")) for i in (0, 1)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert blas() == before
        assert sys.getswitchinterval() == interval
    assert errors == []
    for i in (0, 1):
        assert outcome(tmp_path / f"together {i}") == outcome(tmp_path / f"alone {i}")


def test_training_and_resuming_without_kernels(tmp_path, config, dataset):
    with definitions_only():
        list(train(config, tmp_path / "whole", dataset=dataset))
        for record in train(config, tmp_path / "parts", dataset=dataset):
            if record.step == 7:
                break
        list(train(None, tmp_path / "parts", resume=True, dataset=dataset))
    assert outcome(tmp_path / "parts") == outcome(tmp_path / "whole")
    list(train(config, tmp_path / "kernels", dataset=dataset))
    _, slow, _ = outcome(tmp_path / "whole")
    _, fast, _ = outcome(tmp_path / "kernels")
    assert [r["loss"] for r in fast] == pytest.approx([r["loss"] for r in slow], rel=1e-3)


def test_a_missing_gpu_is_an_input_error(tmp_path, config, dataset):
    try:
        module("cupy")
    except InputError:
        with pytest.raises(InputError, match=r"backend 'cupy' .* numpy"):
            train(config.replace(backend="cupy"), tmp_path / "run", dataset=dataset)
        assert not (tmp_path / "run").exists()
    else:
        pytest.skip("there is a GPU")


def test_data_of_one_class_or_none_train_without_labels(tmp_path, config, dataset):
    single = Dataset(dataset.images, np.zeros(40, np.int64), ("all",))
    list(train(config.replace(steps=3, warmup=0), tmp_path / "run", dataset=single))
    checkpoint = load_model(tmp_path / "run")
    assert checkpoint.config.model["classes"] is None
    assert checkpoint.model.label is None


def test_images_of_a_folder_are_reloaded_at_the_size_of_the_run(tmp_path, config, dataset):
    from npdiff.report import save_png

    for i in range(20):
        (tmp_path / "images" / str(i % 2)).mkdir(parents=True, exist_ok=True)
        save_png(dataset.images[i], tmp_path / "images" / str(i % 2) / f"{i}.png")
    config = config.replace(data=str(tmp_path / "images"), shape=(8, 8, 1), split="all")
    for _ in train(config, tmp_path / "run"):
        break
    assert load_model(tmp_path / "run").config.classes == ("0", "1")
    assert len(list(train(None, tmp_path / "run", resume=True))) == 11


def test_an_initialized_unet_is_trained_and_loaded(tmp_path, config, dataset):
    from npdiff.runs.checkpoint import new_model

    own = new_model(resolve_config(config, dataset).replace(seed=77))
    list(train(config, tmp_path / "run", dataset=dataset, network=own))
    checkpoint = load_model(tmp_path / "run", network=own)
    assert not np.array_equal(checkpoint.model.stem.w, own.stem.w)
