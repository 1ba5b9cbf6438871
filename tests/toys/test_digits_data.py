"""The digits toy on other images: pictures in folders, arrays, tables, colours, odd sizes, with and without labels."""

import numpy as np
import pytest
from PIL import Image

from refdiff import checkpoint, rng
from toys.digits import __main__ as toy
from toys.digits.spec import Spec

COLOUR = rng.integers(0, 30 * 270, 256).astype(np.uint8).reshape(30, 10, 9, 3)
FAST = ["--base", "8", "--steps", "2", "--workers", "1"]


def folder(tmp_path):
    """Three classes of colour pictures of 9 x 10 pixels."""
    for i, x in enumerate(COLOUR):
        (tmp_path / "pets" / "abc"[i % 3]).mkdir(parents=True, exist_ok=True)
        Image.fromarray(x).save(tmp_path / "pets" / "abc"[i % 3] / f"{i}.png")
    return tmp_path / "pets"


def array(tmp_path):
    """Grey pictures without labels."""
    np.save(tmp_path / "x.npy", COLOUR[..., 0])
    return tmp_path / "x.npy"


@pytest.mark.parametrize(("make", "rows", "size"), [(folder, 3, (10, 9, 3)), (array, 10, (10, 9, 1))], ids=["folder", "array"])
def test_own_images(tmp_path, make, rows, size, capfd):
    """Train, resume by the printed command, sample and evaluate; the picture has the size, colours and classes of the data."""
    data, run, out = make(tmp_path), tmp_path / "run.npz", tmp_path / "grid.png"
    assert toy.main(["train", "--data", str(data), "--out", str(run), *FAST]) == 0
    assert f"27 images to train on and 3 to test on, from {data}" in capfd.readouterr().out
    assert toy.main(["train", "--resume", str(run), "--data", str(data), "--steps", "2"]) == 0
    _, config, extra = checkpoint.load_state(run)
    assert (tuple(extra["size"]), extra["classes"], extra["ink"], config.steps) == (size, rows % 10, False, 4)
    assert toy.main(["sample", "--run", str(run), "--steps", "2", "--columns", "2", "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.size == (2 * 2 * (9 + 4), 2 * rows * (10 + 4)) and (np.ptp(np.asarray(picture)[..., :3], axis=-1) > 9).any() == (
            size[2] == 3
        )
    assert toy.main(["eval", "--run", str(run), "--data", str(data), "--elbo", "3", "--draws", "1"]) == 0
    assert "negative ELBO" in capfd.readouterr().out


def test_drawings_on_black_are_measured_for_speckle(tmp_path, capfd):
    """Drawings, whose pixels are mostly black, are shown as negatives, and eval says how many samples have ink in the frame."""
    x = np.zeros((20, 12, 12), np.uint8)
    x[::2, 4:8, 4:8] = 255
    np.savez(tmp_path / "x.npz", images=x, labels=np.arange(20) % 2)
    run, judge, data = (str(tmp_path / name) for name in ("run.npz", "judge.npz", "x.npz"))
    for model, out in ("unet", run), ("clean-classifier", judge):
        assert toy.main(["train", "--data", data, "--model", model, "--out", out, *FAST]) == 0
    assert checkpoint.load_state(run)[2]["ink"] is True
    assert (
        toy.main(["eval", "--run", run, "--data", data, "--judge", judge, "--samples", "4", "--steps", "2", "--elbo", "2", "--draws", "1"])
        == 0
    )
    out = capfd.readouterr().out
    assert "speckled, with ink in the outer frame, held-out" in out and "speckled, with ink in the outer frame, samples" in out


def test_labels_that_a_run_lacks(tmp_path, capfd):
    """Guidance, a classifier and a judge need labels, and images of the same size; each is refused by name."""
    plain, run, judge = array(tmp_path), str(tmp_path / "run.npz"), str(tmp_path / "judge.npz")
    for model in "classifier", "clean-classifier":
        assert toy.main(["train", "--data", str(plain), "--model", model, "--out", judge, *FAST]) == 2
        assert f"argument --model: '{model}' for images without labels; allowed: unet" in capfd.readouterr().err
    assert toy.main(["train", "--data", str(plain), "--out", run, *FAST]) == 0
    assert toy.main(["train", "--data", str(folder(tmp_path)), "--model", "clean-classifier", "--out", judge, *FAST]) == 0
    capfd.readouterr()
    assert toy.main(["sample", "--run", run, "--guidance", "2"]) == 2
    assert "argument --guidance: 2.0 for a run without labels; allowed: no --guidance" in capfd.readouterr().err
    assert toy.main(["eval", "--run", run, "--data", str(plain), "--judge", judge]) == 2
    assert "argument --judge: images of 10 x 9 x 3 with 3 labels; allowed: 10 x 9 x 1 with 0 labels" in capfd.readouterr().err
    assert toy.main(["eval", "--run", run, "--data", str(folder(tmp_path))]) == 2
    assert "argument --data: images of 10 x 9 x 3 with 3 labels; allowed: 10 x 9 x 1" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--size", "8"], "argument --size: 8; allowed: with --data"),
        (["--fashion", "--data", "x"], "not allowed with argument"),
        (["--fashion", "--no-download"], "argument --fashion; allowed: a folder or a file with images (no Fashion-MNIST"),
        (["--data", "nowhere"], "argument --data: 'nowhere'; allowed: a folder or a file with images (nowhere does not exist"),
    ],
)
def test_wrong_data(tmp_path, monkeypatch, options, message, capfd):
    """Options that do not fit together, or name no data, are wrong usage."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert toy.main(["train", *options]) == 2
    assert message in capfd.readouterr().err


def test_padding_is_cropped():
    """Images are padded by their last pixels to multiples of four, and cropped to what they were."""
    spec = Spec("unet", "eps", "linear", 8, 1, "", size=(10, 9, 3), classes=0)
    x = spec.to_model(COLOUR)
    assert x.shape == (30, 12, 12, 3)
    np.testing.assert_array_equal(x[:, 11, 11], x[:, 9, 8])
    np.testing.assert_array_equal(spec.crop(x), spec.to_model(COLOUR)[:, :10, :9])


def test_runs_of_digits_alone_are_read():
    """The specification of a run that was written before sizes were has those of MNIST."""
    assert (Spec("unet", "eps", "linear", 8, 1, "").size, Spec("unet", "eps", "linear", 8, 1, "").classes) == ((28, 28, 1), 10)
