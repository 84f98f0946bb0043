"""Training to the end, with parts, networks and data sets that are not in a registry."""

import json

import numpy as np
import pytest

from npdiff import tree
from npdiff.data import DATASETS, Dataset
from npdiff.errors import InputError
from npdiff.generation import generate, load
from npdiff.objective import LogitNormal
from npdiff.options import describe
from npdiff.parameterization import PARAMETERIZATIONS, Parameterization
from npdiff.runs import Config, Run, load_model
from npdiff.schedules import SCHEDULES, Cosine
from npdiff.training import _fit, fit, train


class Scaling(tree.Module):
    """A network of one parameter per channel: y = w x."""

    w: np.ndarray

    def __call__(self, x, timestep, *, labels=None, key=None):
        def scaling_pullback(dy):
            return self.replace(w=(dy * x).sum(axis=(0, 1, 2))), dy * self.w, None

        return x * self.w, scaling_pullback


def scaling(channels=1):
    return Scaling(np.zeros(channels, np.float32))


def flat(log_snr):
    """A weighting."""
    return np.full_like(log_snr, 2.0)


class Tilted(Cosine):
    """A schedule that is not in the registry."""

    def __init__(self, s=0.02):
        super().__init__(s=s)

    def __repr__(self):
        return f"Tilted(s={self.s})"


def twice_eps(schedule, t):
    """The coefficients of an output of 2 eps."""
    t = schedule.time(t)
    return np.zeros_like(t), 2.0 * np.ones_like(t)


@pytest.fixture
def progress_lines(monkeypatch):
    """The totals and the updates of the progress bars."""
    calls = []
    from npdiff.runtime.progress import progress_bar

    def recording(total, unit, description, initial=0, **options):
        calls.append((total, unit, description))
        return progress_bar(total, unit, description, initial, **options)

    monkeypatch.setattr(_fit, "progress_bar", recording)
    return calls


def test_fit_returns_the_averaged_network(tmp_path, config, dataset, progress_lines):
    records = []
    checkpoint = fit(config, tmp_path / "run", dataset=dataset, callback=records.append)
    assert progress_lines == [(12, "step", "training")]
    assert [record.step for record in records] == list(range(1, 13))
    expected = load_model(tmp_path / "run" / "model.safetensors")
    assert checkpoint.step == 12
    for a, b in zip(tree.leaves(checkpoint.model), tree.leaves(expected.model), strict=True):
        assert a.tobytes() == b.tobytes()
    assert generate(checkpoint, [0, 1], steps=2).shape == (2, 8, 8, 1)
    assert repr(checkpoint).startswith("Checkpoint(UNet of 12,428 parameters, trained 12 steps on")
    assert repr(Run.open(tmp_path / "run")).endswith("step 12 of 12)")


def test_a_finished_run_is_returned_and_a_different_one_refused(tmp_path, config, dataset):
    fit(config, tmp_path / "run", dataset=dataset)
    before = (tmp_path / "run" / "state.safetensors").read_bytes()
    assert fit(None, tmp_path / "run", resume=True).step == 12
    assert fit(config, tmp_path / "run", resume=True, dataset=dataset).step == 12
    assert (tmp_path / "run" / "state.safetensors").read_bytes() == before
    with pytest.raises(InputError, match="batch of the run"):
        fit(config.replace(batch=9), tmp_path / "run", resume=True, dataset=dataset)


@pytest.mark.parametrize("stop", [1, 5])
def test_ctrl_c_leaves_a_run_that_resumes_bit_for_bit(tmp_path, config, dataset, stop):
    def interrupt(progress):
        if progress.step == stop:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt, match=rf"stopped after step {stop}, which is saved"):
        fit(config, tmp_path / "run", dataset=dataset, callback=interrupt)
    found = fit(None, tmp_path / "run", resume=True, dataset=dataset)
    expected = fit(config, tmp_path / "whole", dataset=dataset)
    for a, b in zip(tree.leaves(found.model), tree.leaves(expected.model), strict=True):
        assert a.tobytes() == b.tobytes()


def test_few_steps_have_a_short_warm_up(tmp_path, config, dataset):
    few = config.replace(warmup=None, steps=9, sample_every=0)
    fit(few, tmp_path / "run", dataset=dataset)
    assert Run.open(tmp_path / "run").config.warmup == 2


def test_own_schedule_prediction_weighting_and_time_sampler(tmp_path, config, dataset):
    """Train, generate, open and resume with objects."""
    parts = {
        "schedule": Tilted(),
        "prediction": Parameterization("twice", twice_eps),
        "weighting": flat,
        "time_sampler": LogitNormal(mean=0.5),
    }
    config = config.replace(**parts)
    path = tmp_path / "run"
    for progress in train(config, path, dataset=dataset):
        if progress.step == 5:
            break
    written = json.loads((path / "config.json").read_text())
    assert written["schedule"]["type"] == f"{__name__}.Tilted"
    assert written["weighting"] == {"object": "flat", "type": f"{__name__}.flat"}
    assert written["prediction"]["type"] == "npdiff.parameterization.Parameterization"
    with pytest.raises(
        InputError, match=r"schedule is an object that a file cannot hold, .*Tilted"
    ):
        load(path)
    with pytest.raises(InputError, match=r"prediction is an object .* pass the object"):
        load(path, schedule=parts["schedule"])
    with pytest.raises(
        InputError, match=r"schedule is Tilted\(s=0.02\) \(.*Tilted\), got .*Cosine"
    ):
        load(path, schedule=Cosine(), prediction=parts["prediction"])
    with pytest.raises(InputError, match=r"schedule is Tilted\(s=0.02\) .*, got Tilted\(s=0.3\)"):
        load(path, schedule=Tilted(0.3), prediction=parts["prediction"])
    checkpoint = load(path, schedule=parts["schedule"], prediction=parts["prediction"])
    assert checkpoint.schedule is parts["schedule"]
    assert generate(checkpoint, [0], steps=3).dtype == np.float32
    with pytest.raises(InputError, match="an object that a file cannot hold"):
        fit(None, path, resume=True, dataset=dataset)
    found = fit(config, path, resume=True, dataset=dataset)
    expected = fit(config, tmp_path / "whole", dataset=dataset)
    for a, b in zip(tree.leaves(found.model), tree.leaves(expected.model), strict=True):
        assert a.tobytes() == b.tobytes()


def test_a_registered_name_needs_no_object(tmp_path, config, dataset):
    SCHEDULES.register("tilted", Tilted)
    try:
        own = {"name": "tilted", "s": 0.03}
        fit(config.replace(schedule=own), tmp_path / "run", dataset=dataset)
        checkpoint = load(tmp_path / "run")
        assert checkpoint.config.schedule == own
        assert generate(checkpoint, [0], steps=2).shape == (1, 8, 8, 1)
    finally:
        SCHEDULES.remove("tilted")
    with pytest.raises(InputError, match=r"unknown schedule 'tilted'.*register it before"):
        load(tmp_path / "run")
    given = load(tmp_path / "run", schedule=Tilted(0.03))
    assert type(given.schedule) is Tilted


def test_an_own_network_is_trained_recorded_opened_and_resumed(tmp_path, config, dataset):
    path = tmp_path / "run"
    for progress in train(config, path, dataset=dataset, network=scaling()):
        if progress.step == 4:
            break
    assert Run.open(path).config.network == {
        "object": "Scaling of 1 parameters", "type": f"{__name__}.Scaling",
    }  # fmt: skip
    with pytest.raises(InputError, match=r"has its own network \(.*Scaling.*pass network="):
        load(path)
    with pytest.raises(InputError, match=r"has its own network .*pass network="):
        train(None, path, resume=True, dataset=dataset)
    with pytest.raises(InputError, match=r"a network of class .*Scaling, got .*tuple"):
        load(path, network=(np.zeros(1),))
    checkpoint = fit(None, path, resume=True, dataset=dataset, network=scaling())
    assert type(checkpoint.model) is Scaling
    assert checkpoint.model.w.item() != 0.0
    assert load(path, network=scaling()).model.w.item() == checkpoint.model.w.item()
    assert generate(checkpoint, [0, 1], steps=3, guidance=2.0).shape == (2, 8, 8, 1)
    whole = fit(config, tmp_path / "whole", dataset=dataset, network=scaling())
    assert whole.model.w.item() == checkpoint.model.w.item()


def test_an_own_data_set_is_passed_again_or_registered(tmp_path, config, dataset):
    path = tmp_path / "run"
    for _ in train(config.replace(data=dataset), path):
        break
    assert json.loads((path / "config.json").read_text())["data"] == describe(dataset)
    with pytest.raises(InputError, match=r"data set is an object .* Dataset\(40 images"):
        train(None, path, resume=True)
    assert fit(None, path, resume=True, dataset=dataset).step == 12

    @DATASETS.register("halves")
    def halves(count=40):
        return Dataset(dataset.images[:count], dataset.labels[:count], dataset.classes)

    try:
        named = config.replace(data={"name": "halves", "count": 30}, split="all")
        assert fit(named, tmp_path / "named").config.data == {"name": "halves", "count": 30}
        assert fit(config.replace(data="halves"), tmp_path / "all").step == 12
    finally:
        DATASETS.remove("halves")


@pytest.mark.parametrize("prediction", ["v", "eps"])
def test_the_variance_is_learned_and_sampled_with(tmp_path, config, dataset, prediction):
    config = config.replace(learn_variance=True, prediction=prediction, steps=30)
    checkpoint = fit(config, tmp_path / "run", dataset=dataset)
    assert load(tmp_path / "run").model.head.b.shape == (8,)  # 2 x 2 pixels, 2 channels
    options = {"sampler": "ddpm", "steps": 6, "seed": 1, "guidance": 1.5}
    samples = {
        variance: generate(checkpoint, [0, 1], options={"variance": variance}, **options)
        for variance in ("small", "large", "learned")
    }
    assert np.abs(samples["learned"] - samples["small"]).max() > 1e-3
    assert np.abs(samples["learned"] - samples["large"]).max() > 1e-3
    assert samples["learned"].dtype == np.float32
    assert generate(checkpoint, [0], steps=3).shape == (1, 8, 8, 1)
    with pytest.raises(InputError, match="learn_variance needs a discrete schedule, and vp"):
        train(config.replace(schedule="vp"), tmp_path / "vp", dataset=dataset)


def test_a_learned_variance_needs_a_model_that_learned_it(tmp_path, config, dataset):
    checkpoint = fit(config, tmp_path / "run", dataset=dataset)
    with pytest.raises(InputError, match=r"'learned' needs a model .* learn_variance"):
        generate(checkpoint, [0], sampler={"name": "ddpm", "variance": "learned"}, steps=3)


def test_a_configuration_in_a_file_is_trained_from_python(tmp_path, dataset):
    assert PARAMETERIZATIONS.resolve(Config().prediction) is PARAMETERIZATIONS["v"]
    text = Config(steps=5, model={"width": 8, "blocks": 1, "heads": 2, "patch": 2}).to_json()
    config = Config.from_json(text).replace(sample_every=0, batch=4)
    assert fit(config, tmp_path / "run", dataset=dataset).step == 5
