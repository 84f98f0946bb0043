"""Editing images with a checkpoint: arrays in and out, known pixels, round trips, errors."""

from pathlib import Path

import numpy as np
import pytest

import npdiff
from npdiff import data, editing
from npdiff.errors import InputError
from npdiff.runs import Checkpoint

QUIET = {"progress": False, "threads": 1}


@pytest.fixture(scope="module")
def checkpoint(run_dir: Path) -> Checkpoint:
    return npdiff.load(run_dir)


@pytest.fixture(scope="module")
def images(checkpoint: Checkpoint) -> np.ndarray:
    return data.load(checkpoint.config.data, "test").images[:3]


def test_inpaint_keeps_known_pixels_and_depends_on_the_seed(checkpoint, images) -> None:
    mask = np.zeros((8, 8), dtype=bool)
    mask[:4, 2:] = True
    options = {"mask": mask, "steps": 4, "jump": 2, "resamplings": 2, **QUIET}
    found = editing.inpaint(checkpoint, images, [0, 1, 2], **options)
    assert found.shape == images.shape
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found[:, ~mask], data.to_float(images)[:, ~mask])
    floats = editing.inpaint(checkpoint, data.to_float(images), [0, 1, 2], **options)
    np.testing.assert_array_equal(floats, found)
    masks = np.repeat(mask[None], 3, axis=0)
    again = editing.inpaint(checkpoint, images, [0, 1, 2], **{**options, "mask": masks})
    np.testing.assert_array_equal(again, found)
    other = editing.inpaint(checkpoint, images, [0, 1, 2], seed=1, **options)
    assert (other[:, mask] != found[:, mask]).any()


def test_image_to_image_changes_more_with_more_strength(checkpoint, images) -> None:
    x_0, changes = data.to_float(images), []
    for strength in (0.25, 0.9):
        found = editing.image_to_image(checkpoint, images, strength=strength, steps=8, **QUIET)
        changes.append(np.abs(found - x_0).mean())
    assert 0 < changes[0] < changes[1]


def test_a_config_and_its_fields_give_the_same_images(checkpoint, images) -> None:
    config = npdiff.SamplingConfig(sampler="heun", steps=3)
    found = editing.image_to_image(checkpoint, images, config=config, guidance=2.0, **QUIET)
    fields = {"sampler": "heun", "steps": 3, "guidance": 2.0}
    expected = editing.image_to_image(checkpoint, images, **fields, **QUIET)
    np.testing.assert_array_equal(found, expected)


def test_reconstruct_inverts_invert_better_with_corrections(checkpoint, images) -> None:
    errors = []
    for corrections in (0, 30):
        noise = editing.invert(checkpoint, images, steps=4, corrections=corrections, **QUIET)
        back = editing.reconstruct(checkpoint, noise, steps=4, **QUIET)
        errors.append(np.abs(back - data.to_float(images)).mean())
    assert errors[1] < 0.5 * errors[0]


def test_interpolate_is_near_its_ends(checkpoint, images) -> None:
    options = {"steps": 4, "corrections": 30, **QUIET}
    found = editing.interpolate(checkpoint, images[0], images[1], weights=3, **options)
    assert found.shape == (3, 8, 8, 1)
    x_0 = data.to_float(images)
    for near, far, image in ((0, 1, found[0]), (1, 0, found[-1])):
        assert np.abs(image - x_0[near]).mean() < 0.7 * np.abs(image - x_0[far]).mean()
    middle = editing.interpolate(checkpoint, images[0], images[1], weights=[0.5], **options)
    np.testing.assert_allclose(middle[0], found[1], atol=1e-5)
    labeled = editing.interpolate(checkpoint, images[0], images[1], [0, 1], weights=2, **options)
    assert labeled.shape == (2, 8, 8, 1)


def test_progress_counts_every_step(checkpoint, images) -> None:
    calls: list[tuple[int, int]] = []

    def callback(done: int, total: int) -> None:
        calls.append((done, total))

    editing.image_to_image(checkpoint, images, strength=0.5, steps=6, progress=callback)
    assert calls == [(1, 3), (2, 3), (3, 3)]
    calls.clear()
    editing.invert(checkpoint, images, steps=2, corrections=1, progress=callback)
    assert calls == [(n, 4) for n in range(1, 5)]
    calls.clear()
    mask = np.ones((8, 8, 1), dtype=bool)
    options = {"jump": 1, "resamplings": 2, "steps": 3, "progress": callback}
    editing.inpaint(checkpoint, images, mask=mask, **options)
    total = editing.denoising_steps(3, 1, 2)
    assert calls == [(n, total) for n in range(1, total + 1)]


def test_invalid_arguments_are_refused(checkpoint, images) -> None:
    with pytest.raises(InputError, match=r"must have shape \('N', 8, 8, 1\)"):
        editing.invert(checkpoint, images[0], **QUIET)
    with pytest.raises(InputError, match=r"uint8 or floats in .* got int64"):
        editing.invert(checkpoint, images.astype(int), **QUIET)
    with pytest.raises(InputError, match="got values from 0 to 255"):
        editing.invert(checkpoint, images.astype(float), **QUIET)
    with pytest.raises(InputError, match="got values from nan"):
        editing.image_to_image(checkpoint, np.full((1, 8, 8, 1), np.nan), **QUIET)
    with pytest.raises(InputError, match="encodings must have shape"):
        editing.reconstruct(checkpoint, images[0], **QUIET)
    with pytest.raises(InputError, match="mask must be boolean"):
        editing.inpaint(checkpoint, images, mask=np.ones((8, 8)), **QUIET)
    with pytest.raises(InputError, match="strength must be"):
        editing.image_to_image(checkpoint, images, strength=0.0, **QUIET)
    with pytest.raises(InputError, match="2 labels"):
        editing.invert(checkpoint, images, [0, 1], **QUIET)
    with pytest.raises(InputError, match="a and b must have one shape"):
        editing.interpolate(checkpoint, images[0], images, **QUIET)
    with pytest.raises(InputError, match="weights must be"):
        editing.interpolate(checkpoint, images[0], images[1], weights=0, **QUIET)
