"""A minute of kills, stops, forks and interrupts at random moments: a training run hangs nowhere, leaves nothing, and has the right losses."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest

from . import attacked

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no worker processes here")


def children(pid):
    """The processes that a process has started."""
    with suppress(OSError):
        return [int(each) for each in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return []


def descendants(pid):
    return [each for child in children(pid) for each in (child, *descendants(child))]


def attack(process, seconds, chance):
    """Attack a process and its workers; returns how often by each kind, and all processes seen."""
    counts, seen, end = dict.fromkeys(("interrupt", "fork", "kill", "stop"), 0), set(), time.monotonic() + seconds
    while time.monotonic() < end:
        time.sleep(chance.expovariate(20))
        seen.update(family := descendants(process.pid))
        kind = chance.choice(list(counts))
        victim = chance.choice([*children(process.pid), process.pid] if kind == "stop" else children(process.pid) or [0]) if family else 0
        counts[kind] += 1
        with suppress(ProcessLookupError):
            if kind in ("interrupt", "fork"):
                os.kill(process.pid, signal.SIGINT if kind == "interrupt" else signal.SIGUSR1)
            elif kind == "kill" and victim:
                os.kill(victim, signal.SIGKILL)
            elif victim:
                os.kill(victim, signal.SIGSTOP)
                time.sleep(chance.uniform(0, 0.3))
                os.kill(victim, signal.SIGCONT)
    return counts, seen


@pytest.mark.parametrize("seconds", [2, pytest.param(60, marks=pytest.mark.long)])
def test_a_run_under_attack(seconds):
    """T1: all losses of the run and of its forks are those of an undisturbed run, bit for bit; it ends in time, and so do all processes."""
    command = [sys.executable, "-m", "tests.fast.attacked", str(seconds)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as process:
        assert process.stdout.readline() == "ready\n"
        counts, seen = attack(process, seconds - 0.5, random.Random(seconds))
        printed, _ = process.communicate(timeout=30)
    found = json.loads(printed)
    forked = [json.loads(text) for code, text in found["forks"] if code != -signal.SIGKILL]
    assert {code for code, _ in found["forks"]} <= {0, -signal.SIGKILL} and found["losses"]
    state, right = attacked.start(), {}
    while state.step < int(max(found["losses"], key=int)) + attacked.IN_FORK:
        state, right[str(state.step)] = attacked.step(state)
    assert all(loss == right[step] for losses in (found["losses"], *forked) for step, loss in losses.items())
    print(f"{counts}; {len(found['losses'])} losses, {len(forked)} forks")
    end = time.monotonic() + 5
    while any(Path(f"/proc/{pid}").exists() for pid in seen) and time.monotonic() < end:
        time.sleep(0.05)
    assert not [pid for pid in seen if Path(f"/proc/{pid}").exists()]
