"""Images from folders and files of every layout, and what is refused."""

import re
import struct
from itertools import product

import numpy as np
import pytest
from PIL import Image

from refdiff import fashion, images, rng
from refdiff.data import mnist
from refdiff.data.readers import NPZ

from ..digits import idx

GREY = rng.integers(0, 24 * 30, 256).astype(np.uint8).reshape(24, 5, 6)
COLOUR = rng.integers(1, 24 * 90, 256).astype(np.uint8).reshape(24, 5, 6, 3)
LABELS = np.arange(24) % 2


def save(path, x, **options):
    """Write an array as a picture."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(x).save(path, **options)
    return path


def write_folder(folder, x, classes=("cat", "dog")):
    """Pictures in a folder for each class, or in the folder itself."""
    for i, each in enumerate(x):
        save(folder / (classes[i % len(classes)] if classes else "") / f"{i:03}.png", each)
    return folder


def assert_split(found, x, labels):
    """All images are in one of the two parts with their labels: every tenth image of each class is a test image."""
    chosen = np.zeros(len(x), bool)
    for label in np.unique(labels):
        chosen[np.flatnonzero(labels == label)[9::10]] = True
    np.testing.assert_array_equal(found.train, x[~chosen])
    np.testing.assert_array_equal(found.test, x[chosen])
    return chosen


@pytest.mark.parametrize("x", [GREY, COLOUR], ids=["grey", "colour"])
@pytest.mark.parametrize("classes", [("cat", "dog"), ()])
def test_folder_of_pictures(tmp_path, x, classes):
    """PNG pictures are read as they are; the folders are the classes, in the order of their names."""
    found = images.load(write_folder(tmp_path / "pets", x, classes))
    labels = LABELS if classes else np.zeros(24)
    order = np.argsort(labels, kind="stable")
    chosen = assert_split(found, x[order], labels[order])
    if classes:
        np.testing.assert_array_equal(found.train_labels, labels[order][~chosen])
        np.testing.assert_array_equal(found.test_labels, labels[order][chosen])
    else:
        assert found.train_labels is None and found.test_labels is None
    assert found.names == classes
    assert found.source == f"22 images to train on and 2 to test on, from {tmp_path / 'pets'}."


def test_jpeg_and_size(tmp_path):
    """Photographs of several sizes are cropped to centred squares; JPEG is read with its small errors."""
    x = np.zeros((20, 40, 3), np.uint8)
    x[:, 10:30] = 200, 100, 50  # the centred square
    for i in range(3):
        save(tmp_path / f"{i}.jpg", x[: 20 - 2 * i], quality=95)
    found = images.load(tmp_path, size=8)
    assert found.train.shape == (2, 8, 8, 3) and found.test.shape == (1, 8, 8, 3)
    assert np.abs(found.train[0].astype(int) - [200, 100, 50]).max() < 60


def test_orientation_transparency_and_palettes(tmp_path):
    """A picture is turned as its camera says; what is transparent is white; grey pictures of any mode are grey."""
    turned = Image.Exif()
    turned[0x0112] = 6  # the camera was turned by 90 degrees
    save(tmp_path / "a" / "0.png", GREY[0], exif=turned)
    Image.fromarray(GREY[0]).transpose(Image.Transpose.ROTATE_270).save(tmp_path / "a" / "1.png")
    found = images.load(tmp_path / "a")
    np.testing.assert_array_equal(found.train, found.test)
    assert found.train.shape == (1, 6, 5)
    clear = np.zeros((4, 5, 4), np.uint8)
    clear[0] = 7, 7, 7, 255
    save(tmp_path / "b" / "0.png", clear)
    Image.fromarray(np.where(np.arange(4)[:, None] == 0, 7, 255).repeat(5, 1).astype(np.uint8)).convert("P").save(tmp_path / "b" / "1.gif")
    found = images.load(tmp_path / "b")
    np.testing.assert_array_equal(found.train, found.test)
    np.testing.assert_array_equal(found.train[0, :, 0], [7, 255, 255, 255])


@pytest.mark.parametrize("x", [GREY, GREY[..., None], COLOUR], ids=["grey", "one channel", "colour"])
def test_npy(tmp_path, x):
    """One array, without labels."""
    np.save(tmp_path / "x.npy", x)
    assert_split(images.load(tmp_path / "x.npy"), x[..., 0] if x.shape[-1] == 1 else x, np.zeros(24))


@pytest.mark.parametrize("names", NPZ)
def test_npz(tmp_path, names):
    """The names of arrays that are in use, with labels (N,) or (N, 1), and with a test part."""
    given = [COLOUR, LABELS[:, None], COLOUR[:7], LABELS[:7]][: len(names)]
    np.savez(tmp_path / "x.npz", **dict(zip(names, given, strict=True)))
    found = images.load(str(tmp_path / "x.npz"))
    if len(names) == 4:
        for ours, theirs in zip(found[:4], (COLOUR, LABELS, COLOUR[:7], LABELS[:7]), strict=True):
            np.testing.assert_array_equal(ours, theirs)
    else:
        chosen = assert_split(found, COLOUR, LABELS if len(names) == 2 else np.zeros(24))
        if len(names) == 2:
            np.testing.assert_array_equal(found.test_labels, LABELS[chosen])
    assert found.names == (("0", "1") if len(names) > 1 else ())


@pytest.mark.parametrize("header", [True, False])
@pytest.mark.parametrize("start", [b"", b"\xef\xbb\xbf"])
def test_csv(tmp_path, header, start):
    """A square image in each row, with a column of labels or without."""
    x = GREY[:, :5, :5]
    rows = np.concatenate([LABELS[:, None], x.reshape(24, 25)], axis=1)[:, not header :]
    text = "label," + ",".join(f"pixel{i}" for i in range(25)) + "\n" if header else ""
    (tmp_path / "x.csv").write_bytes(start + (text + "\n".join(",".join(map(str, row)) for row in rows)).encode())
    found = images.load(tmp_path / "x.csv")
    chosen = assert_split(found, x, LABELS if header else np.zeros(24))
    assert found.names == (("0", "1") if header else ())
    assert found.test_labels is None if not header else np.array_equal(found.test_labels, LABELS[chosen])


@pytest.mark.parametrize("whole", [True, False])
def test_idx(tmp_path, whole):
    """The four files of MNIST with images of any size and any number of classes, or a single file of images."""
    arrays = (GREY, 3 * LABELS.astype(np.uint8), GREY[:4], LABELS[:4].astype(np.uint8))
    for name, x in zip(mnist.FILES, arrays, strict=True):
        (tmp_path / name).write_bytes(idx(x))
    found = images.load(tmp_path if whole else tmp_path / "train-images-idx3-ubyte")
    if whole:
        for ours, theirs in zip(found[:4], arrays, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        assert found.names == ("0", "1", "2", "3")
    else:
        assert_split(found, GREY, np.zeros(24))


def test_split_of_few():
    """With fewer than ten images of every class, the last is the only test image."""
    for n, labels in product((2, 9), (None, np.arange(9) % 2)):
        train, _, test, _ = images.split("x", GREY[:n], None if labels is None else labels[:n])
        assert len(train) == n - 1 and np.array_equal(test, GREY[n - 1 : n])


def bad_folder(tmp_path):
    (tmp_path / "notes.txt").write_text("no picture")
    return tmp_path


def mixed_folder(tmp_path):
    write_folder(tmp_path, GREY[:2])
    return write_folder(tmp_path, GREY[:2], ())


def empty_class(tmp_path):
    (write_folder(tmp_path, GREY[:2]) / "bird").mkdir()
    return tmp_path


def other_size(tmp_path):
    save(write_folder(tmp_path, GREY[:2], ()) / "last.png", GREY[0][:4])
    return tmp_path


def damaged(tmp_path):
    save(tmp_path / "a.png", GREY[0])
    (tmp_path / "b.png").write_bytes((tmp_path / "a.png").read_bytes()[:40])
    return tmp_path


def deep(tmp_path):
    Image.fromarray(GREY[0].astype(np.uint16) * 257).save(tmp_path / "deep.png")
    return tmp_path


def array(x, end="npy", /, **names):
    def write(tmp_path):
        path = tmp_path / f"x.{end}"
        if end == "npz":
            np.savez(path, **names)
        elif end == "npy":
            np.save(path, x)
        else:
            path.write_bytes(x)
        return path

    return write


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda tmp_path: tmp_path / "nothing", "nothing does not exist; allowed: a folder or a file"),
        (bad_folder, "has 0 pictures and 0 folders; allowed: pictures (.bmp"),
        (mixed_folder, "has 2 pictures and 2 folders; allowed: pictures"),
        (empty_class, "has no pictures in bird; allowed:"),
        (other_size, "last.png has 6 x 4 pixels; allowed: 6 x 5, as 000.png"),
        (damaged, "b.png is no picture that Pillow reads"),
        (deep, "deep.png has the mode I;16; allowed: pictures of 8 bits"),
        (array(GREY / 255), "x.npy has dtype float64; allowed: uint8, levels 0 to 255; np.rint(255 * x)"),
        (array(GREY[0]), "x.npy has shape (5, 6); allowed: (N, H, W), or"),
        (array(GREY[:0]), "x.npy has shape (0, 5, 6); allowed:"),
        (array(np.moveaxis(COLOUR, -1, 1)), "x.npy has shape (24, 3, 5, 6), channels first; allowed: (N, H, W, C), which np.moveaxis"),
        (array(GREY[:1]), "x.npy has 1 image; allowed: 2 or more"),
        (array(np.array([{}])), "x.npy is no file of NumPy's"),
        (lambda tmp_path: array(b"PK\x03\x04", "bin")(tmp_path).rename(tmp_path / "x.npz"), "x.npz is no file of NumPy's"),
        (array(0, "npz", pixels=GREY), "x.npz has the arrays pixels; allowed: x_train, y_train, x_test, y_test;"),
        (array(0, "npz", x=GREY, y=LABELS + 0.5), "x.npz has labels of dtype float64, shape (24,); allowed: integers, (24,)"),
        (array(0, "npz", x=GREY, y=LABELS[:3]), "x.npz has labels of dtype int64, shape (3,); allowed: integers, (24,)"),
        (array(0, "npz", x=GREY, y=LABELS - 1), "x.npz has labels from -1 to 0; allowed: 0 to 999"),
        (array(0, "npz", x=GREY, y=LABELS * 1000), "x.npz has labels from 0 to 1000; allowed: 0 to 999"),
        (array(0, "npz", x_train=GREY, y_train=LABELS, x_test=GREY[:, 1:], y_test=LABELS), "x.npz: x_test has shape (24, 4, 6); allowed:"),
        (array(b"1,2,3\n", "csv"), "x.csv has 3 numbers in a row; allowed: a square number"),
        (array(b"1,2,3,256\n1,2,3,4", "csv"), "x.csv has 4 numbers in a row; allowed:"),
        (array(b"1,2,3,4\n1,2,3", "csv"), "x.csv is not a table of whole numbers"),
        (array(b"1,2,3,0.5\n", "csv"), "x.csv is not a table of whole numbers"),
        (array(struct.pack(">I", 0x803), "bin"), "x.bin ends after 4 bytes; allowed:"),
    ],
)
def test_what_is_refused(tmp_path, make, message):
    """A file that cannot be used is named, with what was found and what is allowed."""
    with pytest.raises((ValueError, FileNotFoundError), match=re.escape(message)):
        images.load(make(tmp_path))


def test_size_is_for_pictures(tmp_path):
    """Arrays are not resized."""
    np.save(tmp_path / "x.npy", GREY)
    with pytest.raises(ValueError, match=r"size = 8 for .*x\.npy; allowed: None, unless"):
        images.load(tmp_path / "x.npy", size=8)


def test_conversion_of_any_size():
    """All levels of grey and colour images survive the round trip."""
    for x in (GREY, COLOUR):
        np.testing.assert_array_equal(images.to_pixels(images.to_model(x)), x)


def test_fashion(tmp_path, monkeypatch):
    """Fashion-MNIST is read from its cache; without the files the error says what is missing, and each failed download."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    folder = tmp_path / "refdiff" / "fashion-mnist"
    with pytest.raises(FileNotFoundError, match=r"fashion-mnist does not hold the four IDX files; allowed: a download"):
        fashion.load(download=False)
    monkeypatch.setattr(fashion, "MIRRORS", ("file:///nowhere/",))
    with pytest.raises(FileNotFoundError, match=r"the download failed \(file:///nowhere/train-images"):
        fashion.load()
    x = np.zeros((20, 28, 28), np.uint8)
    for name, each in zip(mnist.FILES, (x, LABELS[:20].astype(np.uint8), x, LABELS[:20].astype(np.uint8)), strict=True):
        (folder / name).write_bytes(idx(each))
    found = fashion.load(download=False)
    assert found.source == f"20 clothes to train on and 20 to test on, from the cache {folder}." and found.names[9] == "ankle boot"
    assert list(fashion.FILES) == list(mnist.FILES) and {len(digest) for digest in fashion.FILES.values()} == {64}
    assert fashion.SIZES.keys() == fashion.FILES.keys() and len(fashion.NAMES) == 10
