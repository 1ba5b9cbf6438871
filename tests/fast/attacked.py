"""A training run to be attacked by signals: `python -m tests.fast.attacked SECONDS` prints the losses of its steps and its forks' exit codes.

It goes on from its state after Ctrl-C and after the loss of a worker. On SIGUSR1 it forks; the fork trains on by itself and ends.
"""

import json
import os
import signal
import sys
import time
from functools import partial

import numpy as np

from refdiff import fast, training, unet

from ..networks.test_unet import normals

CONFIG = training.Config(steps=10**6, batch=6, warmup=0, rate=1e-3)
NET = partial(unet.unet, heads=2, groups=2)
IN_FORK = 5  # steps


def start():
    """The state before the first step."""
    return fast.adopt(training.start(normals(unet.init(0, base=4, multipliers=(1,), attention=(0,), embedding=8, classes=2), 3)))


def step(state):
    """A step; its batch depends on its number."""
    x = np.sin(np.arange(6 * 64.0) * (1 + state.step % 7)).reshape(6, 8, 8, 1)
    return fast.step(state, training.Batch(x, np.linspace(1, 900, 6), np.arange(6) % 3, x[::-1].copy()), CONFIG, NET, fast, 2)


class Run:
    """The run, and what has happened to it."""

    def __init__(self):
        self.state, self.losses, self.codes, self.forks, self.armed = start(), {}, [], 0, False
        signal.signal(signal.SIGINT, self.interrupt)
        signal.signal(signal.SIGUSR1, self.request_fork)

    def interrupt(self, *_):
        if self.armed:
            self.armed = False
            raise KeyboardInterrupt

    def request_fork(self, *_):
        self.forks += 1

    def train(self, until):
        """Steps until a time, or for some steps."""
        while until():
            try:
                self.armed = True
                while until():
                    self.state, loss = step(self.state)
                    self.losses[self.state.step] = loss
                    if self.forks:
                        self.armed = False
                        self.fork()
                        self.armed = True
            except (KeyboardInterrupt, ChildProcessError):
                pass
        self.armed = False

    def fork(self):
        """Fork, and train on in the fork; its losses are added to this process' by a pipe, which must not differ."""
        self.forks, (read, write), last = 0, os.pipe(), self.state.step + IN_FORK
        child = os.fork()
        if child == 0:
            self.losses = {}
            self.train(lambda: self.state.step < last)
            os.write(write, json.dumps(self.losses).encode())
            sys.exit()
        os.close(write)
        _, status = os.waitpid(child, 0)
        self.codes.append((os.waitstatus_to_exitcode(status), os.read(read, 2**16).decode()))
        os.close(read)


if __name__ == "__main__":
    run, end = Run(), time.monotonic() + float(sys.argv[1])
    print("ready", flush=True)
    run.train(lambda: time.monotonic() < end)
    print(json.dumps({"losses": run.losses, "forks": run.codes}))
