"""Image grids, strips, files and loss curves: every pixel, exact round trips, errors."""

import io
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from npdiff import data
from npdiff.errors import InputError
from npdiff.report import pictures

RNG = np.random.default_rng(0)


def random_images(*shape):
    return RNG.integers(0, 256, size=shape).astype(np.uint8)


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_to_uint8_inverts_to_float(dtype):
    b = np.arange(256, dtype=np.uint8)
    assert np.array_equal(pictures.to_uint8(data.to_float(b, dtype)), b)


def test_to_uint8_rounds_and_clips():
    x = np.array([-np.inf, -1.0001, -1 + 0.49 / 127.5, -1 + 0.51 / 127.5, 1.2, np.inf])
    assert pictures.to_uint8(x).tolist() == [0, 0, 0, 1, 255, 255]
    with pytest.raises(InputError, match="NaN"):
        pictures.to_uint8(np.array([0.0, np.nan]))
    with pytest.raises(InputError, match="int64"):
        pictures.to_uint8(np.array([0, 255]))


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("columns", "rows"), [(1, 5), (2, 3), (3, 2), (5, 1), (9, 1), (None, 2)])
def test_a_grid_has_every_image_in_its_place(channels, columns, rows):
    images = random_images(5, 4, 6, channels)
    got = pictures.image_grid(images, columns, scale=2, gap=3, border=77)
    columns = min(columns or 3, 5)
    assert got.shape == (rows * (8 + 3) + 3, columns * (12 + 3) + 3, channels)
    left = got.copy()
    for i, image in enumerate(images):
        top, side = 3 + (i // columns) * 11, 3 + (i % columns) * 15
        block = got[top : top + 8, side : side + 12]
        assert np.array_equal(block, np.kron(image, np.ones((2, 2, 1), np.uint8)))
        left[top : top + 8, side : side + 12] = 77
    assert (left == 77).all()


def test_grids_of_floats_and_of_images_without_channels_are_equal():
    images = random_images(4, 3, 3, 1)
    got = pictures.image_grid(images)
    assert np.array_equal(pictures.image_grid(data.to_float(images)), got)
    assert np.array_equal(pictures.image_grid(images[..., 0]), got)


def test_bad_images_are_refused(tmp_path):
    with pytest.raises(InputError, match=r"got \(2, 3, 3, 2\)"):
        pictures.image_grid(random_images(2, 3, 3, 2))
    with pytest.raises(InputError, match=r"got \(0, 3, 3, 1\)"):
        pictures.image_grid(random_images(0, 3, 3, 1))
    with pytest.raises(InputError, match="columns >= 1"):
        pictures.image_grid(random_images(2, 3, 3, 1), 0)
    with pytest.raises(InputError, match="scale must be at least 1"):
        pictures.image_grid(random_images(2, 3, 3, 1), scale=0)
    with pytest.raises(InputError, match="one image of shape"):
        pictures.save_png(random_images(2, 3, 3, 1), tmp_path / "a.png")
    with pytest.raises(InputError, match="at least one frame"):
        pictures.save_gif([], tmp_path / "a.gif")
    with pytest.raises(InputError, match="one shape"):
        pictures.save_gif([random_images(3, 3), random_images(3, 4)], tmp_path / "a.gif")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("shape", [(5, 7), (5, 7, 1), (5, 7, 3)])
def test_a_png_reads_back_exactly(tmp_path, shape):
    image = random_images(*shape)
    pictures.save_png(image, tmp_path / "a.png")
    pictures.save_png(image, str(tmp_path / "a.png"))
    with Image.open(tmp_path / "a.png") as read:
        assert read.format == "PNG"
        assert np.array_equal(np.asarray(read), image.reshape(5, 7) if image.size == 35 else image)
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


def test_a_gif_reads_back_frame_by_frame(tmp_path):
    frames = random_images(4, 8, 9, 1)
    pictures.save_gif(iter(frames), tmp_path / "a.gif", milliseconds=50, hold=700)
    with Image.open(tmp_path / "a.gif") as read:
        assert read.n_frames == 4
        assert read.info["loop"] == 0
        for i, frame in enumerate(frames):
            read.seek(i)
            read.load()
            assert read.info["duration"] == (700 if i == 3 else 50)
            assert np.array_equal(np.asarray(read.convert("L")), frame[..., 0])


def test_a_color_gif_reads_back_to_its_palette(tmp_path):
    ramp = np.stack(np.meshgrid(np.arange(0, 256, 8), np.arange(0, 256, 8)), axis=-1)
    frame = np.concatenate([ramp, np.full_like(ramp[..., :1], 90)], axis=-1).astype(np.uint8)
    pictures.save_gif([frame, frame[::-1]], tmp_path / "a.gif")
    with Image.open(tmp_path / "a.gif") as read:
        read.seek(1)
        got = np.asarray(read.convert("RGB")).astype(int)
    assert np.abs(got - frame[::-1]).mean() < 12


def test_a_file_that_cannot_be_written_is_an_input_error(tmp_path):
    (tmp_path / "a.png").mkdir()
    with pytest.raises(InputError, match=r"a\.png"):
        pictures.save_png(random_images(3, 3), tmp_path / "a.png")
    assert [p.name for p in tmp_path.iterdir()] == ["a.png"]


@pytest.mark.parametrize("channels", [1, 3])
def test_a_denoising_strip_has_its_images_and_times_in_order(channels):
    x_t, x_0 = random_images(3, 16, 16, channels), random_images(3, 16, 16, channels)
    strip = pictures.denoising_strip(x_t, x_0, [1000, 500.0, 0], scale=3)
    assert strip.dtype == np.uint8
    assert strip.shape[-1] == channels
    places = []
    for row in (x_t, x_0):
        for image in row:
            found = find(strip, np.kron(image, np.ones((3, 3, 1), np.uint8)))
            places.append(found)
    tops, lefts = zip(*places, strict=True)
    assert len(set(tops[:3])) == len(set(tops[3:])) == 1
    assert tops[0] + 48 < tops[3]
    assert lefts[:3] == lefts[3:] == tuple(sorted(lefts[:3]))
    for i in range(3):  # something is written above each column
        assert (strip[: tops[0] - 20, lefts[i] : lefts[i] + 48] < 128).any()
    other = pictures.denoising_strip(x_t, x_0, [1000, 400.0, 0], scale=3)
    changed = np.argwhere((strip != other).any(axis=-1))
    assert changed[:, 0].max() < tops[0]
    assert lefts[1] <= changed[:, 1].min() <= changed[:, 1].max() < lefts[1] + 48


def find(canvas, tile):
    height, width, _ = tile.shape
    windows = np.lib.stride_tricks.sliding_window_view(canvas, (height, width), axis=(0, 1))
    hits = np.argwhere((windows == np.moveaxis(tile, -1, 0)).all(axis=(2, 3, 4)))
    assert len(hits) == 1
    return tuple(hits[0])


def test_a_noising_strip_needs_one_time_for_each_image():
    x = random_images(4, 8, 8, 1)
    one = pictures.noising_strip(x, [0, 0.1, 0.25, 1])
    assert find(one, np.kron(x[2], np.ones((3, 3, 1), np.uint8)))
    with pytest.raises(InputError, match="strip of 3 times"):
        pictures.noising_strip(x, [0, 1, 2])
    with pytest.raises(InputError, match="does not fit images of shape"):
        pictures.denoising_strip(x, x[:, :4], [0, 1, 2, 3])


CURVE = """
import sys
from npdiff.report import pictures
rows = [{"step": n, "loss": 1 / n, "other": "text"} for n in range(1, 200)]
metrics = [{"kind": "header"}, *rows, {"step": 200, "loss": float("nan")}]
pictures.save_loss_curve(metrics, sys.argv[1])
print("matplotlib.pyplot" in sys.modules)
"""


def test_a_loss_curve_is_drawn_without_pyplot(tmp_path):
    path = tmp_path / "loss.png"
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", CURVE, str(path)],
        capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert done.stdout.strip() == "False"
    with Image.open(io.BytesIO(path.read_bytes())) as image:
        pixels = np.asarray(image.convert("RGB")).astype(int)
    blue = (pixels == (0x0B, 0x4F, 0x8A)).all(axis=-1)
    columns = np.flatnonzero(blue[80:].any(axis=0))  # below the legend
    middle = [80 + np.flatnonzero(blue[80:, c]).mean() for c in columns]
    assert len(columns) > 300
    assert middle[-1] - middle[0] > 100  # it falls
    with pytest.raises(InputError, match="no finite loss to plot"):
        pictures.save_loss_curve([{"step": 1}], path)
    pictures.save_loss_curve([{"step": 1, "loss": 0.0}], path)
