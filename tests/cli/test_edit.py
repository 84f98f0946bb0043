"""``npdiff edit``: the images in its figures, and its errors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest


def tiles(path: str, columns: int) -> np.ndarray:
    """The images of a figure drawn with --scale 1: (rows, columns, 8, 8)."""
    from PIL import Image

    sheet = np.asarray(Image.open(path))[2:, 2:]
    rows = sheet.shape[0] // 10
    assert sheet.shape == (10 * rows, 10 * columns)
    return sheet.reshape(rows, 10, columns, 10).swapaxes(1, 2)[:, :, :8, :8]


@pytest.fixture
def edit(npdiff: Any, tiny_run: Path) -> Any:
    def call(name: str, *words: object, which: tuple[object, ...] = ("--index", "0,3")) -> Any:
        return npdiff("edit", name, tiny_run, *which, "--scale", "1", "--steps", "4", *words)

    return call


def test_inpaint_keeps_known_pixels_and_depends_on_the_seed(edit: Any) -> None:
    words = ("--box", "0", "2", "4", "8", "--count", "3", "--jump", "2", "--resamplings", "2")
    result = edit("inpaint", *words, "--out", "new/a.png")
    assert result.code == 0
    assert "new/a.png: the image, its known pixels, 3 results, in 2 rows" in result.out
    found = tiles("new/a.png", 5)
    unknown = np.zeros((8, 8), dtype=bool)
    unknown[:4, 2:] = True
    assert (found[:, 1, unknown] == 128).all()
    for column in range(1, 5):
        np.testing.assert_array_equal(found[:, column, ~unknown], found[:, 0, ~unknown])
    assert (found[:, 2:, unknown] != found[:, :1, unknown]).any(axis=-1).all()
    assert (found[:, 2, unknown] != found[:, 3, unknown]).any()
    # the same seed gives the same pixels, another seed gives others
    edit("inpaint", *words, "--out", "b.png")
    edit("inpaint", *words, "--seed", "1", "--out", "c.png")
    assert Path("b.png").read_bytes() == Path("new/a.png").read_bytes()
    assert (tiles("c.png", 5)[:, 2, unknown] != found[:, 2, unknown]).any()


def test_inpaint_reads_image_files_and_a_mask_file(edit: Any) -> None:
    from PIL import Image

    hole = np.zeros((8, 8), dtype=np.uint8)
    hole[2:5, 3:6] = 255
    Image.fromarray(hole).save("hole.png")
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 256, (8, 8), dtype=np.uint8)).save("mine.png")
    Image.fromarray(rng.integers(0, 256, (24, 16, 3), dtype=np.uint8)).save("large.png")
    own = ("--image", "mine.png", "large.png")
    assert edit("inpaint", "--mask", "hole.png", "--count", "1", which=own).code == 0
    found = tiles("inpaint.png", 3)
    np.testing.assert_array_equal(found[0, 0], np.asarray(Image.open("mine.png")))
    assert (found[:, 1][:, hole > 0] == 128).all()
    np.testing.assert_array_equal(found[:, 2][:, hole == 0], found[:, 0][:, hole == 0])


def test_sdedit_changes_more_with_more_strength(edit: Any) -> None:
    result = edit("sdedit", "--strength", "0.9,0.25", "--label", "low", "--sampler", "heun")
    assert result.code == 0
    assert "sdedit.png: the image, then strength 0.25, 0.9, in 2 rows" in result.out
    found = tiles("sdedit.png", 3).astype(float)
    changed = np.abs(found[:, 1:] - found[:, :1]).mean(axis=(0, 2, 3))
    assert 0 < changed[0] < changed[1]


def test_corrections_make_the_inversion_more_exact(edit: Any) -> None:
    errors = []
    for corrections in ("0", "30"):
        result = edit("invert", "--corrections", corrections, "--label", "none")
        assert result.code == 0
        errors.append(float(result.out.split("square error ")[1].split()[0]))
        found = tiles("invert.png", 3).astype(float)
        pixel_error = np.sqrt(((found[:, 2] - found[:, 0]) ** 2).mean())
        assert pixel_error < errors[-1] + 0.5
    assert errors[1] < 0.5 * errors[0]


def test_interpolate_ends_near_its_two_images(edit: Any) -> None:
    result = edit("interpolate", "--count", "5", "--corrections", "30")
    assert result.code == 0
    found = tiles("interpolate.png", 5).astype(float)
    assert found.shape[0] == 1
    edit("sdedit", "--strength", "0.1")
    ends = tiles("sdedit.png", 2)[:, 0]
    for column, end, other in ((0, *ends), (4, *ends[::-1])):
        distances = [np.abs(found[0, column] - image).mean() for image in (end, other)]
        assert distances[0] < 0.7 * distances[1]
    assert edit("interpolate", "--label", "own", "--count", "2").code == 0


@pytest.mark.parametrize(
    ("words", "match"),
    [
        (("inpaint", "--index", "6", "--box", "0", "0", "4", "4"), "images 0 to 5"),
        (("inpaint", "--index", "x", "--box", "0", "0", "4", "4"), "--index x"),
        (("inpaint", "--index", "0"), "--box --mask is required"),
        (("inpaint", "--index", "0", "--box", "0", "0", "4", "9"), "RIGHT <= 8"),
        (("inpaint", "--index", "0", "--box", "4", "0", "4", "8"), "TOP < BOTTOM"),
        (("inpaint", "--index", "0", "--box", "0", "0", "8", "8"), "npdiff sample"),
        (("inpaint", "--index", "0", "--mask", "none.png"), "none.png: No such file"),
        (("inpaint", "--index", "0", "--mask", "black.png"), "no pixel is white"),
        (("inpaint", "--box", "0", "0", "4", "4"), "--index --image is required"),
        (("inpaint", "--image", "gone.png", "--box", "0", "0", "4", "4"), "gone.png"),
        (("sdedit", "--index", "0", "--strength", "0"), "strength must be above 0"),
        (("sdedit", "--index", "0", "--strength", "much"), "--strength much"),
        (("sdedit", "--index", "0", "--label", "high"), "--label high"),
        (("sdedit", "--index", "0", "--label", "all"), "--label all"),
        (("sdedit", "--index", "0,1,2", "--label", "0,1"), "2 labels for 3 images"),
        (("sdedit", "--index", "0", "--sampler", "magic"), "unknown sampler 'magic'"),
        (("invert", "--index", "0", "--steps", "2000"), "2000 sampling steps do not fit"),
        (("interpolate", "--index", "0"), "takes two images"),
        (("invert", "--index", "0", "--out", "a.gif"), "should end in .png"),
        (("paint", "--index", "0"), "invalid choice"),
        ((), "COMMAND"),
    ],
)
def test_invalid_arguments_are_refused(
    npdiff: Any, tiny_run: Path, words: tuple, match: str
) -> None:
    from PIL import Image

    Image.fromarray(np.zeros((8, 8), dtype=np.uint8)).save("black.png")
    result = npdiff("edit", *words[:1], *([tiny_run] if words else []), *words[1:])
    assert result.failed_with(match), result.err


def test_help_of_every_edit(npdiff: Any) -> None:
    assert "inpaint" in npdiff("edit", "--help").out
    for name in ("inpaint", "sdedit", "invert", "interpolate"):
        result = npdiff("edit", name, "--help")
        assert result.code == 0
        assert "--index" in result.out


def test_debug_works_before_and_after_the_name_of_the_edit(npdiff: Any) -> None:
    gone = ("invert", "--image", "gone.png")
    assert "Traceback" not in npdiff("edit", *gone).err
    for words in (("--debug", *gone), (*gone, "--debug")):
        assert "Traceback" in npdiff("edit", *words).err
