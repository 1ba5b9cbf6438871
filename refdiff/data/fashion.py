"""Fashion-MNIST: 70,000 pictures of clothes in the format of MNIST, 28 x 28 grey pixels with ten classes."""

from __future__ import annotations

from .idx import find
from .images import Images
from .mnist import cache_folder, fill, read

FILES = {  # the name of each file, and the SHA-256 of its gzipped form
    "train-images-idx3-ubyte": "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
    "train-labels-idx1-ubyte": "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
    "t10k-images-idx3-ubyte": "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
    "t10k-labels-idx1-ubyte": "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
}
MIRRORS = (
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
    "https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/",
)
SIZES = dict(zip(FILES, (26_421_880, 29_515, 4_422_102, 5_148), strict=True))  # bytes of the gzipped files; no more are read
NAMES = ("t-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")


def load(download: bool = True) -> Images:
    """The clothes, from the cache or a mirror; raises FileNotFoundError if neither has them.

    The cache is `fashion-mnist`, beside that of `mnist.load`. The files are in the format of MNIST, so `images.load` reads them from
    any folder.
    """
    cache = cache_folder("fashion-mnist")
    if not all(find(cache, name) for name in FILES):
        if not download:
            raise FileNotFoundError(f"no Fashion-MNIST: {cache} does not hold the four IDX files; allowed: a download, or the files there")
        try:
            fill(cache, MIRRORS, FILES, SIZES)
        except OSError as error:
            raise FileNotFoundError(
                f"no Fashion-MNIST: {cache} does not hold the four IDX files and the download failed ({error}); "
                "allowed: a network to download them by, or the files there"
            ) from error
    return read(cache, f"the cache {cache}", "clothes", NAMES)
