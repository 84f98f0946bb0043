import dataclasses
import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from npdiff import tree
from npdiff.errors import InputError
from npdiff.nn import UNet
from npdiff.objective import WEIGHTINGS, LogitNormal
from npdiff.parameterization import PARAMETERIZATIONS
from npdiff.runs import PRESETS, Config
from npdiff.runs.config import PARTS
from npdiff.runs.model_options import MODEL_OPTIONS
from npdiff.schedules import SCHEDULES, Cosine, LinearVP


@pytest.mark.parametrize("name", PRESETS)
def test_the_json_round_trip_of_the_presets(name):
    config = PRESETS[name]
    assert Config.from_json(config.to_json()) == config


@given(
    steps=st.integers(51, 2**32 - 1),
    rate=st.floats(1e-300, 1e300),
    ema=st.floats(0, 1, exclude_max=True),
    seed=st.integers(0, 2**64 - 1),
    data=st.text(min_size=1),
    betas=st.tuples(st.floats(0, 0.99), st.floats(0, 0.99)),
    classes=st.lists(st.text()),
    multipliers=st.lists(st.integers(1, 9)),
)
def test_the_json_round_trip_of_any_value(**values):
    multipliers = values.pop("multipliers")
    rate, steps = values.pop("rate"), values.pop("steps")
    config = Config(learning_rate=rate, steps=steps, model={"multipliers": multipliers}, **values)
    again = Config.from_json(config.to_json())
    assert again == config
    assert again.model["multipliers"] == tuple(multipliers)


WRONG = {
    "data": ["", 3, None],
    "split": [1],
    "shape": [3, "888", [8, 8, 0], [8.0]],
    "classes": ["ab", [1]],
    "model": [[], "unet", None],
    "network": ["mlp", {}, {"object": "x"}],
    "schedule": ["nope", 1, None, {"name": "linear", "step": 3}, {"name": "nope"}, {"steps": 3}],
    "prediction": ["x_0", []],
    "weighting": ["heavy"],
    "time_sampler": ["noon", 0.5],
    "learn_variance": [1, "true", None],
    "label_drop": [1.0, -0.1, "0.1", math.nan],
    "steps": [0, -1, 2.5, "10", True, None, 2**32],
    "batch": [0, 1.0],
    "accumulate": [0, False],
    "shard": [0],
    "learning_rate": [0, -1e-3, math.inf, math.nan, "1e-3", True],
    "warmup": [-1, 0.5],
    "decay": ["exponential"],
    "betas": [0.9, [0.9], [0.9, 0.99, 0.999], [0.9, 1.0], ["a", "b"], [0.9, None]],
    "weight_decay": [-1, math.nan],
    "clip": [0, -1],
    "ema": [1, 1.0, -0.5],
    "seed": [-1, 2**64, 0.0],
    "backend": ["torch", "cuda"],
    "sample_every": [-1, 0.5],
    "checkpoint_every": [0, 1.5],
}


@pytest.mark.parametrize("name", [field.name for field in dataclasses.fields(Config)])
def test_a_wrong_value_is_refused_with_the_fields_name_and_what_is_allowed(name):
    allowed = {field.name: field.metadata["allowed"] for field in dataclasses.fields(Config)}
    for value in WRONG[name]:
        with pytest.raises(InputError) as error:
            Config(**{name: value})
        message = str(error.value)
        if name in (*PARTS, "network") and value != "":
            assert message.startswith(f"config: {name}: ")
            assert f"{value!r}" in message or isinstance(value, dict)
        else:
            assert message == f"config: {name} must be {allowed[name]}, got {value!r}"
        assert "\n" not in message


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ({"depth": 3}, "unknown field 'model.depth': choose among channels, width,"),
        ({"seed": 3}, "unknown field 'model.seed'"),
        ({"width": 0}, "model.width must be an integer from 1 up, got 0"),
        ({"width": 8.0}, "model.width must be an integer from 1 up, got 8.0"),
        ({"multipliers": 2}, "model.multipliers must be a list of integers from 1 up, got 2"),
        ({"multipliers": [1, "2"]}, "model.multipliers must be a list of integers"),
        ({"attention": [-1]}, "model.attention must be a list of integers from 0 up"),
        ({"classes": "ten"}, "model.classes must be an integer from 1 up, or null, got 'ten'"),
        ({"adagn": 1}, "model.adagn must be true or false, got 1"),
        ({"dropout": 1.0}, "model.dropout must be a number from 0 up to, not including, 1"),
        ({"time_variant": 2}, "model.time_variant must be a string"),
    ],
)
def test_a_wrong_model_option_is_refused_by_its_name(options, complaint):
    with pytest.raises(InputError, match="^config: " + complaint.replace("(", r"\(")):
        Config(model=options)


def test_every_type_of_model_option_has_a_check():
    kinds = {str(kind) for kind in MODEL_OPTIONS.values()}
    assert len(kinds) == 6  # int, bool, float, str, Sequence[int], int | None


def test_unknown_fields_and_json_other_than_objects_are_refused():
    with pytest.raises(InputError, match="unknown field 'learning_rat': choose among data, "):
        Config.from_json('{"learning_rat": 1}')
    with pytest.raises(InputError, match="not JSON"):
        Config.from_json("{")
    with pytest.raises(InputError, match="expected a JSON object, got list"):
        Config.from_json("[]")


def test_a_file_that_cannot_be_read_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="cannot read"):
        Config.read(tmp_path / "none.json")
    (tmp_path / "binary.json").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="cannot read"):
        Config.read(tmp_path / "binary.json")
    (tmp_path / "good.json").write_text(json.dumps({"steps": 77}))
    assert Config.read(tmp_path / "good.json").steps == 77


def test_replace_checks_again_and_leaves_the_original():
    config = Config()
    assert config.replace(steps=99).steps == 99
    assert config.differing(config.replace(steps=99, seed=4)) == ["steps", "seed"]
    with pytest.raises(InputError, match="steps must be"):
        config.replace(steps=-1)
    with pytest.raises(InputError, match="unknown field"):
        config.replace(step=1)
    assert config == Config()


def test_the_default_warm_up_is_at_most_a_quarter_of_the_steps():
    for steps, warmup in ((500, 50), (200, 50), (100, 25), (30, 7), (3, 0), (1, 0)):
        config = Config(steps=steps)
        assert (config.warmup, config.warmup_steps) == (None, warmup)
        assert Config(steps=1000).replace(steps=steps).warmup_steps == warmup
    assert Config(steps=30, warmup=20).warmup_steps == 20


def test_a_decaying_rate_needs_steps_after_the_warm_up():
    with pytest.raises(InputError, match=r"warmup must be less than steps \(50\)"):
        Config(steps=50, warmup=50, decay="cosine")
    assert Config(steps=50, warmup=50, decay="constant").warmup == 50


def double(log_snr):
    """A weighting."""
    return 2.0 + 0.0 * log_snr


def test_parts_are_names_names_with_options_or_objects():
    config = Config(schedule={"name": "linear", "steps": np.int64(4000)}, weighting=double)
    assert config.schedule == {"name": "linear", "steps": 4000}
    assert config.weighting is double
    assert config.replace(steps=7).weighting is double
    cosine, eps = Cosine(s=0.02), PARAMETERIZATIONS["eps"]
    config = Config(schedule=cosine, prediction=eps, time_sampler=LogitNormal(mean=0.5))
    assert (config.schedule, config.prediction) == (cosine, eps)
    with pytest.raises(InputError, match="config: schedule: a schedule is a name"):
        Config(schedule=Cosine)


def test_objects_are_described_in_json_and_required_when_they_are_used():
    config = Config(weighting=double, time_sampler=LogitNormal(mean=0.5), schedule=Cosine())
    written = json.loads(config.to_json())
    assert written["weighting"] == {"object": "double", "type": f"{__name__}.double"}
    assert written["time_sampler"]["object"] == "LogitNormal(mean=0.5, deviation=1.0)"
    again = Config.from_json(config.to_json())
    assert again == config
    assert again.differing(config.replace(weighting="v")) == ["weighting"]
    with pytest.raises(InputError, match="is an object that a file cannot hold, double"):
        WEIGHTINGS.resolve(again.weighting)


def test_objects_are_given_to_a_described_configuration():
    text = Config(weighting=double, schedule=Cosine()).to_json()
    cosine = Cosine()
    given = Config.from_json(text, schedule=cosine, weighting=double)
    assert (given.schedule, given.weighting) == (cosine, double)
    with pytest.raises(InputError, match=r"schedule is .*Cosine\), got .*LinearVP"):
        Config.from_json(text, schedule=LinearVP())
    with pytest.raises(InputError, match="prediction is v, not eps"):
        Config.from_json(text, prediction="eps")


def test_a_registered_name_travels_with_its_options():
    SCHEDULES.register("mine", Cosine)
    try:
        config = Config(schedule={"name": "mine", "s": 0.02})
        text = config.to_json()
        assert Config.from_json(text) == config
        assert Config.from_json(Config(schedule="mine").to_json()).schedule == "mine"
    finally:
        SCHEDULES.remove("mine")
    with pytest.raises(InputError, match=r"unknown schedule 'mine'.*register it before .*--import"):
        Config.from_json(text)


def test_the_repr_holds_what_is_not_the_default():
    assert repr(Config()) == "Config()"
    config = Config(steps=7, schedule={"name": "linear", "steps": 9}, weighting=double, data="x")
    assert repr(config) == (
        "Config(data='x', schedule={'name': 'linear', 'steps': 9}, weighting=double, steps=7)"
    )
    assert eval(repr(PRESETS["digits"])) == PRESETS["digits"]


def test_integers_are_accepted_as_floats():
    assert Config(learning_rate=1, clip=2) == Config(learning_rate=1.0, clip=2.0)


@pytest.mark.parametrize("name", PRESETS)
def test_the_presets_fit_the_network_and_stay_below_eight_megabytes(name):
    unet = UNet.init(0, channels=1, classes=10, **PRESETS[name].model)
    assert 5e5 < tree.size(unet) < 2e6


def test_a_shard_on_a_gpu_is_a_whole_batch():
    assert Config(batch=64, shard=8, backend="numpy").shard_size == 8
    assert Config(batch=64, shard=8, backend="cupy").shard_size == 64
