"""``npdiff.report.write``: the files of a finished run, from Python."""

from pathlib import Path

import numpy as np
import pytest

import npdiff
from npdiff import report
from npdiff.errors import InputError
from npdiff.report import figures


def test_write_makes_all_figures_of_a_run_and_repeats_them(
    run_dir: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    calls: list[tuple[int, int]] = []
    written = report.write(run_dir, progress=lambda done, total: calls.append((done, total)))
    assert [figure.path.name for figure in written] == list(figures.NAMES)
    assert all(figure.path.is_file() and figure.description for figure in written)
    assert report.is_complete(run_dir)
    assert calls == [(n, figures.STEPS) for n in range(1, figures.STEPS + 1)]
    contents = [figure.path.read_bytes() for figure in written]
    written[0].path.unlink()
    assert not report.is_complete(run_dir)
    assert [
        figure.path.read_bytes() for figure in report.write(run_dir, progress=False)
    ] == contents
    assert capfd.readouterr() == ("", "")


def test_write_needs_a_finished_run(tmp_path: Path) -> None:
    with pytest.raises(InputError):
        report.write(tmp_path)


def test_strips_of_the_forward_and_the_reverse_process(run_dir: Path) -> None:
    checkpoint = npdiff.load(run_dir)
    images = npdiff.data.load(checkpoint.config.data).images[:2]
    frames = report.forward_frames(checkpoint.config, images, 5)
    assert [frame.t for frame in frames] == [0.0, 250.0, 500.0, 750.0, 1000.0]
    np.testing.assert_array_equal(report.to_uint8(frames[0].x), images)
    assert report.forward_strip(checkpoint.config).dtype == np.uint8
    strip = report.reverse_strip(frames[::-1])
    assert strip.shape[0] > 2 * 3 * 8
    assert strip.shape[1] > 5 * 3 * 8


def test_evenly_spaced_indices_have_both_ends() -> None:
    assert figures.evenly_spaced(3) == [0, 1, 2]
    assert figures.evenly_spaced(100, 4) == [0, 33, 66, 99]
