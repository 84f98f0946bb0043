import errno
import json
import os

import numpy as np
import pytest

from npdiff.errors import InputError
from npdiff.runs import Run, load_model
from npdiff.runs.checkpoint import new_model


@pytest.fixture
def run(tmp_path, config):
    run = Run.create(tmp_path / "run", config.replace(steps=100, decay="constant"))
    run.begin(0)
    yield run
    run.close()


def test_a_new_directory_holds_its_configuration(run):
    assert Run.open(run.path).config == run.config


def test_an_existing_directory_is_refused_with_the_remedy(run, config):
    with pytest.raises(InputError, match="exists and is not empty: if it holds a run, resume it"):
        Run.create(run.path, config)


def test_an_empty_directory_or_one_with_a_stale_draft_is_accepted(tmp_path, config):
    (tmp_path / ".config.json.12345678.npdiff-tmp").write_text("{")
    run = Run.create(tmp_path, config)
    run.begin(0)
    run.close()
    assert sorted(os.listdir(tmp_path)) == ["config.json", "metrics.jsonl"]


def test_a_file_at_the_path_of_the_directory_is_an_input_error(tmp_path, config):
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"cannot create .*file"):
        Run.create(tmp_path / "file", config)


def test_opening_something_other_than_a_run_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="there is no run directory"):
        Run.open(tmp_path / "none")
    with pytest.raises(InputError, match=r"has no config\.json"):
        Run.open(tmp_path)
    (tmp_path / "config.json").write_text('{"steps": 1.5}')
    with pytest.raises(InputError, match="steps must be an integer"):
        Run.open(tmp_path)


def test_a_run_without_a_checkpoint_has_no_model_yet(run):
    with pytest.raises(InputError, match="has no checkpoint yet"):
        Run.load(run.path)
    like = (np.zeros(2),)
    assert run.restore(like) == (like, 0, 0.0)


def test_the_state_is_restored(run):
    state = (np.arange(4.0), np.float32(3.0))
    run.save(state, 17, 2.5)
    (a, b), step, seconds = run.restore((np.zeros(4), np.zeros((), np.float32)))
    assert (a.tolist(), b.item(), step, seconds) == ([0.0, 1.0, 2.0, 3.0], 3.0, 17, 2.5)


def test_a_damaged_state_is_an_input_error_and_is_not_overwritten(run):
    run.save((np.arange(4.0),), 17, 2.5)
    whole = run.state_path.read_bytes()
    run.state_path.write_bytes(whole[:-5])
    with pytest.raises(InputError, match="damaged"):
        run.restore((np.zeros(4),))
    assert run.state_path.read_bytes() == whole[:-5]


def test_metrics_after_the_checkpoint_are_dropped_on_resuming(run):
    for step in range(1, 8):
        run.log({"step": step, "loss": 1 / step})
    run.close()
    run.begin(5)
    run.log({"step": 6, "loss": 0.5})
    assert [record["step"] for record in run.metrics()] == [1, 2, 3, 4, 5, 6]
    assert run.metrics()[4] == {"step": 5, "loss": 0.2}


def test_a_torn_last_line_is_ignored_and_removed_on_resuming(run):
    run.log({"step": 1})
    run.log({"step": 2})
    run.close()
    path = run.path / "metrics.jsonl"
    path.write_bytes(path.read_bytes()[:-4])
    assert run.metrics() == [{"step": 1}]
    run.begin(1)
    run.log({"step": 2})
    assert run.metrics() == [{"step": 1}, {"step": 2}]


@pytest.mark.parametrize("line", ['{"step": ', "[]", "7", '{"loss": 1}', '{"step": "x"}', ""])
def test_other_damage_to_the_metrics_is_reported_with_its_line(run, line):
    (run.path / "metrics.jsonl").write_text('{"step": 1}\n' + line + '\n{"step": 3}\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl is damaged in line 2"):
        run.metrics()


def test_a_full_disk_is_reported(run):
    class Full:
        def write(self, line):
            return len(line) - 1

        def close(self):
            pass

    run._metrics.close()
    run._metrics = Full()
    with pytest.raises(InputError, match=os.strerror(errno.ENOSPC)):
        run.log({"step": 1})


def test_resuming_may_change_fields_that_do_not_affect_a_step(run):
    wanted = run.config.replace(steps=500, sample_every=7, checkpoint_every=9)
    run.change(wanted)
    run.begin(0)
    assert json.loads((run.path / "config.json").read_text())["steps"] == 500
    assert Run.open(run.path).config == wanted


def test_resuming_may_not_change_other_fields(run):
    before = (run.path / "config.json").read_bytes()
    with pytest.raises(InputError, match=r"learning_rate of the run in .* is 0.002, not 0.1"):
        run.change(run.config.replace(learning_rate=0.1))
    with pytest.raises(InputError, match="shard of the run"):
        run.change(run.config.replace(shard=5))
    assert (run.path / "config.json").read_bytes() == before


def test_the_steps_of_a_run_with_a_decaying_rate_are_fixed(tmp_path, config):
    for decay in ("cosine", "linear"):
        run = Run.create(tmp_path / decay, config.replace(decay=decay))
        with pytest.raises(InputError, match="planned for 12 steps and its learning rate decays"):
            run.change(run.config.replace(steps=13))


def test_loading_a_directory_returns_the_averaged_weights(tmp_path, config):
    config = config.replace(model={**config.model, "channels": 1, "classes": 2})
    model = new_model(config)
    average = model.replace(head=model.head.replace(b=np.full(4, 0.5, np.float32)))
    run = Run.create(tmp_path, config)
    run.begin(0)

    from npdiff.training.step import State

    run.save(State.initial(model).replace(average=average), 3, 1.0)
    run.close()
    for checkpoint in (Run.load(tmp_path), load_model(tmp_path)):
        assert checkpoint.model.head.b.tolist() == [0.5] * 4
        assert (checkpoint.step, checkpoint.config) == (3, config)
