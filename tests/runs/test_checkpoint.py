import json
import pickle

import numpy as np
import pytest

from npdiff import tree
from npdiff.errors import InputError
from npdiff.runs import Config, checkpoint, load_model, save_model
from npdiff.runs.checkpoint import new_model


@pytest.fixture
def path(tmp_path, config):
    config = config.replace(model={**config.model, "classes": 2, "channels": 1}, shape=(8, 8, 1))
    save_model(tmp_path / "model.safetensors", new_model(config), config, step=7)
    return tmp_path / "model.safetensors"


def test_a_model_is_read_with_its_weights_configuration_and_step(path):
    loaded = load_model(path)
    assert (loaded.step, loaded.config.shape) == (7, (8, 8, 1))
    fresh = new_model(loaded.config)
    assert type(loaded.model) is type(fresh)
    pairs = zip(tree.named_leaves(loaded.model), tree.named_leaves(fresh), strict=True)
    for (name, leaf), (other, expected) in pairs:
        assert name == other
        assert leaf.dtype == np.float32
        assert (leaf == expected).all()


def test_any_safetensors_reader_can_read_the_file(path):
    numpy = pytest.importorskip("safetensors.numpy")
    arrays = numpy.load_file(path)
    assert (arrays["stem.w"] == load_model(path).model.stem.w).all()


def test_arrays_that_are_not_contiguous_are_saved_in_c_order(tmp_path, config):
    matrix = np.arange(6, dtype=np.float32).reshape(2, 3).T
    header = checkpoint.Header("model", config, 0, 0.0)
    checkpoint.save(tmp_path / "file", (matrix, np.float64(2.5)), header)
    named, _ = checkpoint.load(tmp_path / "file", "model")
    assert (named["0"] == matrix).all()
    assert (named["1"].shape, named["1"].item()) == ((), 2.5)


def test_a_missing_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"cannot read .*none.*No such file"):
        load_model(tmp_path / "none.safetensors")


def test_a_file_cut_anywhere_is_an_input_error(path, tmp_path):
    whole = path.read_bytes()
    for length in [0, 1, 7, 8, 9, 100, len(whole) // 2, len(whole) - 1]:
        (tmp_path / "cut").write_bytes(whole[:length])
        with pytest.raises(InputError, match="damaged or not a safetensors file") as error:
            load_model(tmp_path / "cut")
        assert "\n" not in str(error.value)


class Trap:
    """An object whose unpickling fails the test."""

    def __reduce__(self):
        return pytest.fail, ("a file was unpickled",)


def test_foreign_files_are_refused_and_never_unpickled(tmp_path):
    path = tmp_path / "foreign"
    objects = np.array([Trap()], dtype=object)
    path.write_bytes(pickle.dumps(Trap()))
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_model(path)
    with path.open("wb") as file:
        np.savez(file, weights=objects)
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_model(path)
    path.write_bytes(b"")
    with pytest.raises(InputError, match="damaged or not a safetensors file"):
        load_model(path)


def rewrite(path, metadata=None, arrays=None):
    numpy = pytest.importorskip("safetensors.numpy")
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        before = file.metadata()
    named = numpy.load_file(path)
    for name, value in (metadata or {}).items():
        before[name] = value
    for name, value in (arrays or {}).items():
        named[name] = value
    kept = {name: value for name, value in before.items() if value is not None}
    named = {name: value for name, value in named.items() if value is not None}
    path.write_bytes(numpy.save(named, kept or None))


@pytest.mark.parametrize(
    ("metadata", "complaint"),
    [
        ({"format": "pt"}, "was not written by npdiff"),
        ({"format": None}, "was not written by npdiff"),
        ({"version": "3"}, "format version 3, this npdiff reads version 2: use the npdiff that"),
        ({"kind": "state"}, "expected a file of kind 'model', got 'state'"),
        ({"step": "many"}, "has a damaged header"),
        ({"step": None}, "has a damaged header"),
        ({"config": "{"}, r"has a damaged header \(config: not JSON"),
        ({"config": json.dumps({"steps": -3})}, "has a damaged header .*steps must be"),
    ],
)
def test_a_header_that_does_not_fit_is_an_input_error(path, metadata, complaint):
    rewrite(path, metadata)
    with pytest.raises(InputError, match=complaint):
        load_model(path)


def test_a_safetensors_file_of_another_program_is_refused(tmp_path):
    numpy = pytest.importorskip("safetensors.numpy")
    numpy.save_file({"w": np.zeros(3)}, tmp_path / "theirs.safetensors")
    with pytest.raises(InputError, match="was not written by npdiff"):
        load_model(tmp_path / "theirs.safetensors")


@pytest.mark.parametrize(
    ("arrays", "complaint"),
    [
        ({"stem.w": None}, r"1 parameters are missing \['stem.w'\]"),
        ({"more": np.zeros(2, np.float32)}, r"1 are unknown \['more'\]"),
        ({"head.b": np.zeros(5, np.float32)}, r"head.b has shape \(5,\), expected \(4,\)"),
        ({"head.b": np.zeros(4)}, "expected weights of dtype float32, got float64"),
    ],
)
def test_weights_that_do_not_fit_the_configuration_are_refused(path, arrays, complaint):
    rewrite(path, arrays=arrays)
    with pytest.raises(InputError, match=complaint):
        load_model(path)


def test_an_own_network_receives_the_weights(tmp_path):
    mine = (np.arange(3.0), (np.eye(2),))
    save_model(tmp_path / "mine", mine, Config())
    loaded = load_model(tmp_path / "mine", network=tree.zeros_like(mine)).model
    assert (loaded[0] == mine[0]).all()
    assert (loaded[1][0] == mine[1][0]).all()
