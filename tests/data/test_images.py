"""Loading images from folders and archives, and one clear line for every error."""

import numpy as np
import pytest
from PIL import Image

from npdiff import data
from npdiff.errors import InputError

RNG = np.random.default_rng(0)


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def gray(*shape):
    return RNG.integers(0, 256, size=shape).astype(np.uint8)


def test_subfolders_are_classes(tmp_path):
    cats, dogs = gray(4, 6, 5), gray(3, 6, 5)
    for i, image in enumerate(cats):
        save(tmp_path / "cat" / f"{i}.png", image)
    for i, image in enumerate(dogs):
        save(tmp_path / "dog" / "more" / f"{i}.PNG", image)
    (tmp_path / "empty").mkdir()
    (tmp_path / ".hidden").mkdir()
    got = data.load(tmp_path, "all")
    assert got.images.shape == (7, 6, 5, 1)
    assert got.classes == ("cat", "dog")
    assert {i.tobytes() for i in got.images[got.labels == 0]} == {i.tobytes() for i in cats}
    assert {i.tobytes() for i in got.images[got.labels == 1]} == {i.tobytes() for i in dogs}


def test_folder_without_subfolders_is_one_class(tmp_path):
    save(tmp_path / "faces" / "a.png", gray(4, 4, 3))
    got = data.load(tmp_path / "faces", "all")
    assert got.classes == ("faces",)
    assert got.images.shape == (1, 4, 4, 3)


def test_gray_and_color_images_become_color_by_default(tmp_path):
    gray_image, colored = gray(4, 4), gray(4, 4, 3)
    save(tmp_path / "a.png", gray_image)
    save(tmp_path / "b.png", colored)
    got = data.load(tmp_path, "all")
    assert np.array_equal(got.images[0], np.repeat(gray_image[..., None], 3, axis=-1))
    assert np.array_equal(got.images[1], colored)
    assert data.load(tmp_path, "all", channels=1).images.shape == (2, 4, 4, 1)


def test_size_crops_the_centered_square(tmp_path):
    wide = np.zeros((8, 24), dtype=np.uint8)
    wide[:, 8:16] = 200
    save(tmp_path / "a.png", wide)
    save(tmp_path / "b.png", np.full((40, 20, 3), 90, dtype=np.uint8))
    got = data.load(tmp_path, "all", size=8)
    assert got.images.shape == (2, 8, 8, 3)
    assert np.array_equal(got.images[0], np.full((8, 8, 3), 200))
    assert np.array_equal(got.images[1], np.full((8, 8, 3), 90))


def test_transparency_16_bits_and_palettes(tmp_path):
    clear = np.zeros((4, 4, 4), dtype=np.uint8)
    clear[:2] = (10, 20, 30, 255)
    save(tmp_path / "a.png", clear)
    deep = (np.arange(16, dtype=np.uint16) * 4096).reshape(4, 4)
    save(tmp_path / "b.png", deep)
    Image.fromarray(np.full((4, 4, 3), (255, 0, 0), np.uint8)).quantize(4).save(tmp_path / "c.png")
    got = data.load(tmp_path, "all").images
    assert got[0, 0, 0].tolist() == [10, 20, 30]
    assert got[0, 3, 3].tolist() == [255, 255, 255]
    assert np.array_equal(got[1, ..., 0], deep >> 8)
    assert got[2, 0, 0].tolist() == [255, 0, 0]


def test_errors_of_a_folder_name_the_problem(tmp_path):
    with pytest.raises(InputError, match="no data at"):
        data.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match="no images in"):
        data.load(tmp_path)
    save(tmp_path / "x" / "a.png", gray(4, 4))
    save(tmp_path / "x" / "b.png", gray(4, 5))
    with pytest.raises(InputError, match=r"b\.png is 5 x 4 pixels.*give a size"):
        data.load(tmp_path)
    with pytest.raises(InputError, match="size of at least 1"):
        data.load(tmp_path, size=0)
    with pytest.raises(InputError, match=r"1 channel \(gray\) or 3"):
        data.load(tmp_path, channels=4)
    save(tmp_path / "loose.png", gray(4, 4))
    with pytest.raises(InputError, match=r"contains both images.*loose\.png"):
        data.load(tmp_path, size=4)


@pytest.mark.parametrize("content", [b"", b"not an image", None])
def test_error_names_the_corrupt_image(tmp_path, content):
    save(tmp_path / "good.png", gray(16, 16))
    broken = tmp_path / "broken.png"
    broken.write_bytes(
        content if content is not None else (tmp_path / "good.png").read_bytes()[:90]
    )
    with pytest.raises(InputError, match=r"cannot read the image .*broken\.png"):
        data.load(tmp_path, "all")


def test_32_bit_image_is_refused(tmp_path):
    save(tmp_path / "a.tif", np.ones((4, 4), dtype=np.float32))
    with pytest.raises(InputError, match=r"a\.tif has 32 bits"):
        data.load(tmp_path, "all")


def test_size_is_refused_for_digits():
    with pytest.raises(InputError, match="are for folders of images, not for digits"):
        data.load("digits", size=16)


def test_npz_with_all_arrays_and_with_images_alone(tmp_path):
    images, labels = gray(20, 4, 5), np.arange(20) % 2
    np.savez(tmp_path / "a.npz", images=images, labels=labels, classes=np.array(["no", "yes"]))
    got = data.load(tmp_path / "a.npz", "all")
    assert got.classes == ("no", "yes")
    assert np.array_equal(got.images[got.labels == 1], images[labels == 1][..., None])
    np.savez_compressed(tmp_path / "b.npz", images=gray(20, 4, 4, 3))
    got = data.load(str(tmp_path / "b.npz"))
    assert got.images.shape == (18, 4, 4, 3)
    assert got.classes == ("0",)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x": gray(4, 4, 4)}, r"contains \['x'\]: expected an array named 'images'"),
        ({"images": np.zeros((4, 4, 4))}, "float64, expected uint8"),
        ({"images": gray(4, 4)}, r"shape \(4, 4\), expected \(N, H, W\)"),
        ({"images": gray(4, 4, 4, 2)}, r"shape \(4, 4, 4, 2\)"),
        ({"images": gray(0, 4, 4)}, "at least one image"),
        ({"images": gray(4, 4, 4), "labels": np.arange(3)}, r"integers of shape \(4,\)"),
        ({"images": gray(4, 4, 4), "labels": np.ones(4)}, "float64 of shape"),
        ({"images": gray(4, 4, 4), "labels": np.arange(4) - 1}, "from -1 to 2"),
        ({"images": gray(4, 4, 4), "labels": np.array([0, 1, 2, 4])}, "from 0 to 4"),
        (
            {"images": gray(4, 4, 4), "labels": np.arange(4), "classes": np.array(["a", "b"])},
            "must be at least 4 strings",
        ),
        ({"images": gray(4, 4, 4), "classes": np.array([7])}, "strings, got int64"),
        ({"images": np.array([{}, None])}, "plain arrays"),
    ],
)
def test_errors_of_an_npz_name_the_problem(tmp_path, arrays, message):
    np.savez(tmp_path / "a.npz", **arrays)
    with pytest.raises(InputError, match=message):
        data.load(tmp_path / "a.npz", "all")


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "text", "array"])
def test_error_names_the_damaged_npz(tmp_path, damage):
    path = tmp_path / "a.npz"
    np.savez_compressed(path, images=gray(50, 8, 8))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    if damage == "array":
        with path.open("wb") as file:
            np.save(file, gray(4, 4, 4))
    else:
        options = {"cut": path.read_bytes()[:-200], "flipped": content, "empty": b"", "text": b"hi"}
        path.write_bytes(options[damage])
    with pytest.raises(InputError, match=r"cannot read .*a\.npz"):
        data.load(path, "all")
