"""Messages between two processes: none is lost or duplicated, short or long, whether the receiver polls or sleeps."""

import multiprocessing
import time

import numpy as np
import pytest

from refdiff.fast import channel, processes

pytestmark = pytest.mark.skipif(not processes.FORKS, reason="no processes that share memory here")


def echo(theirs, naps):
    for nap in naps:
        message = theirs.receive()
        time.sleep(nap)
        theirs.send(message)


@pytest.mark.parametrize("capacity", [0, 200, 2**20])
@pytest.mark.parametrize("naps", [(0.0, 0.0), (0.0, 0.02), (0.02, 0.0), (0.02, 0.02)])
def test_every_message_arrives(monkeypatch, capacity, naps):
    """T1: every message is returned, by shared memory or by pipe, with delays on either side; wake-ups are not taken for messages."""
    monkeypatch.setattr(channel, "CAPACITY", capacity)
    monkeypatch.setattr(channel, "CHECK_ALIVE", 10.0)  # longer than the test lasts: a sleeping receiver must be woken
    ours, theirs = channel.pair()
    messages = [None, 1, np.arange(3.0), "x" * 150, np.arange(10000), b"", {"a": (1, 2)}]
    sleeps = [naps[i % 2] for i in range(len(messages))]
    process = multiprocessing.get_context("fork").Process(target=echo, args=(theirs, sleeps), daemon=True)
    process.start()
    begin = time.monotonic()
    for i, message in enumerate(messages):
        time.sleep(naps[(i + 1) % 2])
        ours.send(message)
        np.testing.assert_equal(ours.receive(), message)
    process.join(5)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("capacity", [0, 200])
def test_late_wake_up_is_not_a_message(monkeypatch, capacity):
    """T1: a wake-up that arrives after its message was read is neither a message nor kept for the next sleep."""
    monkeypatch.setattr(channel, "CAPACITY", capacity)
    for late in False, True:
        ours, theirs = channel.pair()
        theirs.pipe.send_bytes(b"")
        theirs.pipe.send_bytes(b"")
        if late:
            send = lambda: (time.sleep(0.4), theirs.send("it"))  # noqa: B023, E731
            multiprocessing.get_context("fork").Process(target=send, daemon=True).start()
        else:
            theirs.send("it")
        begin = time.process_time()
        assert ours.receive() == "it" and time.process_time() - begin < 0.2


@pytest.mark.parametrize("closed", [True, False])
def test_closed_connection(monkeypatch, closed):
    """T1: a receiver whose other end is closed or terminated raises EOFError."""
    monkeypatch.setattr(channel, "CHECK_ALIVE", 0.01)
    ours, theirs = channel.pair()
    if closed:
        theirs.close()
    with pytest.raises(EOFError):
        ours.receive(lambda: closed)


def test_short_messages_are_fast():
    """T1: a round trip of a short message takes a small part of a millisecond between two polling ends, and longer by pipe alone."""
    ours, theirs = channel.pair()
    count = 300
    process = multiprocessing.get_context("fork").Process(target=echo, args=(theirs, [0.0] * count), daemon=True)
    process.start()
    times = []
    for i in range(count):
        begin = time.perf_counter()
        ours.send(i)
        assert ours.receive() == i
        times.append(time.perf_counter() - begin)
    print(f"{1e6 * np.median(times):.0f} microseconds")
    assert np.median(times) < 0.1  # a machine with one core, or a busy one, is no fault
