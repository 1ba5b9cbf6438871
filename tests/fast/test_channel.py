"""Messages between two processes: none is lost or doubled, short or long, whether the other end watches or sleeps."""

import multiprocessing
import time

import numpy as np
import pytest

from refdiff.fast import channel as lines
from refdiff.fast import processes as team

pytestmark = pytest.mark.skipif(not team.FORKS, reason="no processes that share memory here")


def echo(its, naps):
    for nap in naps:
        message = its.expect()
        time.sleep(nap)
        its.send(message)


@pytest.mark.parametrize("room", [0, 200, 2**20])
@pytest.mark.parametrize("naps", [(0.0, 0.0), (0.0, 0.02), (0.02, 0.0), (0.02, 0.02)])
def test_every_message_arrives(monkeypatch, room, naps):
    """T1: what is sent comes back, by memory or by pipe, fast or slow on either side, and wake-up calls are not taken for messages."""
    monkeypatch.setattr(lines, "ROOM", room)
    monkeypatch.setattr(lines, "PATIENCE", 10.0)  # longer than the test lasts: who sleeps must be woken
    ours, its = lines.line()
    messages = [None, 1, np.arange(3.0), "x" * 150, np.arange(10000), b"", {"a": (1, 2)}]
    sleeps = [naps[i % 2] for i in range(len(messages))]
    process = multiprocessing.get_context("fork").Process(target=echo, args=(its, sleeps), daemon=True)
    process.start()
    begin = time.monotonic()
    for i, message in enumerate(messages):
        time.sleep(naps[(i + 1) % 2])
        ours.send(message)
        np.testing.assert_equal(ours.expect(), message)
    process.join(5)
    assert time.monotonic() - begin < 5


@pytest.mark.parametrize("room", [0, 200])
def test_a_late_call_is_no_message(monkeypatch, room):
    """T1: a wake-up call that came when its message had been read already is neither a message nor kept, so that the next sleep is one."""
    monkeypatch.setattr(lines, "ROOM", room)
    for late in False, True:
        ours, its = lines.line()
        its.pipe.send_bytes(b"")
        its.pipe.send_bytes(b"")
        if late:
            send = lambda: (time.sleep(0.4), its.send("it"))  # noqa: B023, E731
            multiprocessing.get_context("fork").Process(target=send, daemon=True).start()
        else:
            its.send("it")
        begin = time.process_time()
        assert ours.expect() == "it" and time.process_time() - begin < 0.2


@pytest.mark.parametrize("closed", [True, False])
def test_the_other_end_is_gone(monkeypatch, closed):
    """T1: whoever waits for an end that is closed, or that is said not to be alive, gets EOFError."""
    monkeypatch.setattr(lines, "PATIENCE", 0.01)
    ours, its = lines.line()
    if closed:
        its.close()
    with pytest.raises(EOFError):
        ours.expect(lambda: closed)


def test_it_is_fast():
    """T1: a short message and its answer take a small part of a millisecond between two who watch; by pipe alone they take longer."""
    ours, its = lines.line()
    count = 300
    process = multiprocessing.get_context("fork").Process(target=echo, args=(its, [0.0] * count), daemon=True)
    process.start()
    times = []
    for i in range(count):
        begin = time.perf_counter()
        ours.send(i)
        assert ours.expect() == i
        times.append(time.perf_counter() - begin)
    print(f"{1e6 * np.median(times):.0f} microseconds")
    assert np.median(times) < 0.1  # a machine with one core, or a busy one, is no fault
