"""An experimenter's parts: what is accepted as an object or by name, and the errors that help."""

import json
from itertools import pairwise

import numpy as np
import pytest

import npdiff
from npdiff.cli.main import main
from npdiff.data import DATASETS, Dataset
from npdiff.errors import InputError
from npdiff.nn import NETWORKS, Conv
from npdiff.samplers import Step
from npdiff.schedules import VariancePreserving
from npdiff.tree import Module

IMAGES = np.random.default_rng(0).integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
DATA = Dataset(IMAGES, np.arange(40) % 2, ("a", "b"))
TINY = {
    "model": {"width": 8, "multipliers": (1,), "blocks": 1, "attention": (), "heads": 1},
    "steps": 2, "batch": 8, "shard": 4, "sample_every": 0,
}  # fmt: skip


class Angle(VariancePreserving):
    """A schedule with constant angular speed."""

    t_min, t_max = 0.01, 1.5

    def log_alpha(self, t):
        return np.log(np.cos(self.time(t)))

    def log_alpha_dot(self, t):
        return -np.tan(self.time(t))

    def timestep(self, t):
        return 1000.0 / 1.5 * self.time(t)


class Convolution(Module):
    """One convolution."""

    conv: Conv

    @classmethod
    def init(cls, seed, channels=1, scale=1.0):
        """One convolution of a given scale."""
        return cls(Conv.init(np.random.default_rng(seed), channels, channels, scale=scale))

    def __call__(self, x, timestep, *, labels=None, key=None):
        y, conv_pullback = self.conv(x)

        def convolution_pullback(dy):
            conv, dx = conv_pullback(dy)
            return self.replace(conv=conv), dx, None

        return y, convolution_pullback


def in_float64(denoise, schedule, x, timesteps):
    """DDIM with NumPy scalars, which turn float32 arrays into float64."""
    for t, s in pairwise(timesteps):
        x0_hat, eps_hat = denoise(x, t)
        x = np.float64(schedule.alpha(s)) * x0_hat + np.float64(schedule.sigma(s)) * eps_hat
        yield Step(s, x, x0_hat)


def arrays_only(denoise, schedule, x, timesteps):
    for step in in_float64(denoise, schedule, x, timesteps):
        yield step.x


def last_only(denoise, schedule, x, timesteps):
    return list(in_float64(denoise, schedule, x, timesteps))[-1].x


def too_short(denoise, schedule, x, timesteps):
    yield from in_float64(denoise, schedule, x, timesteps[:-1])


def without_timesteps(denoise, schedule, x):
    yield Step(0.0, x, x)


def squares(schedule, steps, power=2.0):
    return schedule.t_max * np.linspace(1.0, 0.0, steps + 1) ** power


def half(x, timestep, *, labels=None, key=None):
    """A network without parameters."""
    return 0.5 * x, lambda dy: (None, 0.5 * dy, None)


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    config = npdiff.Config(schedule=Angle(), **TINY)
    return npdiff.fit(config, tmp_path_factory.mktemp("run"), dataset=DATA, progress=False)


@pytest.fixture
def own_names():
    """Registered names, which are removed afterwards."""
    NETWORKS.register("own-network", Convolution.init)
    DATASETS.register("own-data", lambda: DATA)
    yield
    NETWORKS.remove("own-network")
    DATASETS.remove("own-data")


def test_the_sampler_functions_states_are_cast_to_the_dtype_of_the_model(checkpoint):
    found = npdiff.generate(checkpoint, [0, 1], sampler=in_float64, steps=3, progress=False)
    named = npdiff.generate(checkpoint, [0, 1], sampler="ddim", steps=3, progress=False)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, named, atol=1e-5)


@pytest.mark.parametrize(
    ("sampler", "words"),
    [
        (arrays_only, r"'arrays_only' must yield npdiff.samplers.Step.*array of shape \(1, 8, 8"),
        (last_only, "'last_only' must be a generator function"),
        (too_short, "'too_short' ended at t = 0.5, expected a step to t = 0"),
        (without_timesteps, r"'without_timesteps' must accept the call sampler\(denoise"),
    ],
)
def test_a_function_that_is_not_a_sampler_is_an_input_error(checkpoint, sampler, words):
    with pytest.raises(InputError, match=words):
        npdiff.generate(checkpoint, [0], sampler=sampler, steps=3, progress=False)


@pytest.mark.parametrize(
    ("spacing", "words"),
    [
        (lambda schedule, steps: None, "must be an array of times, got None"),
        (lambda schedule, steps: np.arange(2.0), "must be strictly descending"),
        (lambda schedule: None, r"must accept the call spacing\(schedule, steps\)"),
    ],
)
def test_a_function_that_is_not_a_spacing_is_an_input_error(checkpoint, spacing, words):
    options = {"steps": 3, "spacing": spacing, "progress": False}
    for run in (
        lambda: npdiff.generate(checkpoint, [0], **options),
        lambda: npdiff.editing.invert(checkpoint, IMAGES[:1], **options),
        lambda: npdiff.likelihood.evaluate(checkpoint, IMAGES[:1], variance="small", **options),
    ):
        with pytest.raises(InputError, match=words):
            run()


def test_own_spacings_in_inversion_and_likelihood(checkpoint):
    options = {"steps": 3, "progress": False}
    for spacing in (squares, {"name": "log-snr", "rho": 2.0}):
        noise = npdiff.editing.invert(checkpoint, IMAGES[:2], spacing=spacing, **options)
        back = npdiff.editing.reconstruct(checkpoint, noise, spacing=spacing, **options)
        assert back.shape == (2, 8, 8, 1)
        bits = npdiff.likelihood.evaluate(checkpoint, IMAGES[:4], spacing=spacing, **options)
        assert np.isfinite(bits.mean)  # its optimal variance is estimated on the own data set
        json.dumps(bits.as_dict())
    assert "spacing=log-snr(rho=2.0)" in repr(bits)


def test_progress_is_reported_to_a_function(checkpoint, tmp_path):
    calls = []

    def progress(done, total):
        calls.append((done, total))

    npdiff.generate(checkpoint, [0], steps=3, progress=progress)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    calls.clear()
    npdiff.fit(npdiff.Config(**TINY), tmp_path / "run", dataset=DATA, progress=progress)
    assert calls == [(1, 2), (2, 2)]


def test_a_run_with_objects_is_opened_and_drawn_with_them(checkpoint, tmp_path):
    config, path = npdiff.Config(schedule=Angle(), **TINY), tmp_path / "run"
    npdiff.fit(config, path, dataset=DATA, progress=False)
    with pytest.raises(InputError, match="its schedule is an object"):
        npdiff.report.write(path, dataset=DATA, progress=False)
    with pytest.raises(InputError, match=r"data set is an object .* pass it again, dataset="):
        npdiff.report.write(path, schedule=Angle(), progress=False)
    assert len(npdiff.report.write(path, dataset=DATA, schedule=Angle(), progress=False)) == 5
    opened = npdiff.load(path, schedule=Angle(), dataset=DATA)
    assert opened.config.data is DATA


def test_a_function_without_parameters_can_be_sampled_but_not_trained(tmp_path):
    checkpoint = npdiff.Checkpoint(half, npdiff.Config(shape=(8, 8, 1)))
    assert repr(checkpoint).startswith("Checkpoint(half of 0 parameters")
    assert npdiff.generate(checkpoint, steps=2, progress=False).dtype == np.float32
    bits = npdiff.likelihood.evaluate(checkpoint, IMAGES[:1], method="ode", steps=2, progress=False)
    assert np.isfinite(bits.mean)
    with pytest.raises(InputError, match=r"half has no parameters to train: .*npdiff.tree.Module"):
        npdiff.train(npdiff.Config(**TINY), tmp_path / "run", dataset=DATA, network=half)


class WrongGradient(Convolution):
    def __call__(self, x, timestep, *, labels=None, key=None):
        return x, lambda dy: (dy,)


@pytest.mark.parametrize(
    ("network", "words"),
    [
        (Convolution, "network must be an object that is called .* got the class Convolution"),
        (lambda x, timestep: (x, None), r"must accept the call network\(x, timestep, labels="),
        (lambda x, timestep, labels, key: x, r"must return \(y, pullback\), got an array"),
        (WrongGradient.init(0), "WrongGradient must return .* shape .* for conv.w, got none"),
        ("own-netwrok", "unknown network 'own-netwrok'"),
    ],
)
def test_a_network_that_cannot_be_trained_is_an_input_error(tmp_path, network, words):
    with pytest.raises(InputError, match=words):
        npdiff.train(npdiff.Config(**TINY), tmp_path / "run", dataset=DATA, network=network)
    assert not (tmp_path / "run").exists()


def test_a_registered_network_is_trained_and_opened_by_name(tmp_path, own_names):
    value = {"name": "own-network", "scale": 0.5}
    config, path = npdiff.Config(network=value, **TINY), tmp_path / "run"
    checkpoint = npdiff.fit(config, path, dataset="own-data", progress=False)
    assert isinstance(checkpoint.model, Convolution)
    assert json.loads((path / "config.json").read_text())["network"] == value
    opened = npdiff.load(path)
    np.testing.assert_array_equal(opened.model.conv.w, checkpoint.model.conv.w)
    with pytest.raises(InputError, match="leave out network="):
        npdiff.load(path, network=checkpoint.model)
    by_argument = npdiff.fit(
        npdiff.Config(**TINY), tmp_path / "again", dataset="own-data", network=value, progress=False
    )
    np.testing.assert_array_equal(by_argument.model.conv.w, checkpoint.model.conv.w)
    with pytest.raises(InputError, match="network 'own-network' has no option 'scael'"):
        npdiff.Config(network={"name": "own-network", "scael": 1.0})


def test_a_registered_network_on_the_command_line(tmp_path, own_names, capsys):
    words = [
        *("train", "--out", str(tmp_path / "run"), "--data", "own-data", "--steps", "2"),
        *("--batch", "8", "--set", "sample_every=0", "--set", 'network={"name": "own-network"}'),
    ]
    assert main(words) == 0
    assert main(["info", str(tmp_path / "run")]) == 0
    assert "network    own-network()" in capsys.readouterr().out
    NETWORKS.remove("own-network")
    assert main(["sample", str(tmp_path / "run")]) == 2
    assert "--import my_module" in capsys.readouterr().err
    NETWORKS.register("own-network", Convolution.init)


@pytest.mark.parametrize(
    ("part", "words"),
    [
        ({"schedule": Angle}, r"got the class Angle: pass an object, Angle\(...\)"),
        ({"data": lambda: DATA}, "pass its result"),
        ({"data": IMAGES}, r"got an array of shape \(40, 8, 8, 1\) and dtype uint8$"),
        ({"schedule": half}, "got the function half"),
        ({"network": Convolution.init(0)}, r"pass an object as train\(network=...\)"),
    ],
)
def test_objects_of_the_wrong_kind_are_described_in_the_error(part, words):
    with pytest.raises(InputError, match=words):
        npdiff.Config(**part)


def test_a_schedule_that_lacks_methods_is_an_input_error():
    class Incomplete:
        t_min, t_max, steps = 0.0, 1.0, None

    with pytest.raises(InputError, match=r"which lacks time, timestep, .*log_sigma"):
        npdiff.Config(schedule=Incomplete())


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (Dataset(IMAGES / 255.0, DATA.labels, DATA.classes), "uint8 of shape .*got float64"),
        (Dataset(IMAGES, DATA.labels[:3], DATA.classes), "must be 40 integers"),
        (Dataset(IMAGES, DATA.labels + 1, DATA.classes), "from 0 to 1, indices .*got 1 to 2"),
    ],
)
def test_a_data_set_that_cannot_be_trained_on_is_an_input_error(tmp_path, data, words):
    with pytest.raises(InputError, match=words):
        npdiff.train(npdiff.Config(**TINY), tmp_path / "run", dataset=data)


def test_lists_of_labels_and_classes_are_accepted(tmp_path):
    data = Dataset(IMAGES, DATA.labels.tolist(), list(DATA.classes))
    assert (
        npdiff.fit(npdiff.Config(**TINY), tmp_path / "run", dataset=data, progress=False).step == 2
    )


def test_a_weighting_of_the_wrong_shape_is_found_before_training(tmp_path):
    config = npdiff.Config(weighting=lambda log_snr: np.ones(3), **TINY)
    with pytest.raises(InputError, match="one weight for each log-SNR"):
        npdiff.train(config, tmp_path / "run", dataset=DATA)


def test_registries_describe_each_prediction_type_and_weighting():
    text = repr(npdiff.parameterization.PARAMETERIZATIONS)
    assert "The data x_0: a = 1, b = 0." in text
    assert "The raw network F of EDM" in text
    assert "The sigmoid of bias - log-SNR" in repr(npdiff.objective.WEIGHTINGS)
    assert "One convolution" not in repr(NETWORKS)


def test_the_command_line_points_to_broken_json(capsys):
    assert main(["train", "--set", 'schedule={"name": linear}']) == 2
    assert "the value is not JSON" in capsys.readouterr().err


def test_dir_lists_only_the_names_of_npdiff():
    assert dir(npdiff) == sorted([*npdiff.__all__, "__version__"])
