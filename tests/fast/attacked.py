"""A training run to be attacked by signals: `python -m tests.fast.attacked SECONDS` prints the losses of its steps and its forks' exit codes.

It goes on from its state after Ctrl-C and after the loss of a worker. On SIGUSR1 it forks; the fork trains for some steps beside it.
An update takes as long as a gradient, so that both are hit.
"""

import json
import os
import signal
import sys
import time

import numpy as np

from refdiff import fast, mlp, training

from ..training.small_runs import network

CONFIG = training.Config(steps=10**6, batch=6, warmup=0, rate=1e-4)
IN_FORK = 100  # steps


def start():
    """The state before the first step."""
    return fast.adopt(training.start(network(0, width=512)))


def step(state):
    """A step; its batch depends on its number."""
    x = np.sin(np.arange(12.0) * (1 + state.step % 7)).reshape(6, 2)
    return fast.step(state, training.Batch(x, np.linspace(1, 900, 6), np.arange(6) % 2, x[::-1].copy()), CONFIG, mlp.mlp, fast, 2)


class Run:
    """The run, and what has happened to it."""

    def __init__(self):
        self.state, self.losses, self.children, self.forks, self.armed = start(), {}, [], 0, False
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
        """Fork, and train on in both processes."""
        self.forks, (read, write), last = 0, os.pipe(), self.state.step + IN_FORK
        child = os.fork()
        if child == 0:
            self.losses = {}
            self.train(lambda: self.state.step < last)
            os.write(write, json.dumps(self.losses).encode())
            sys.exit()
        os.close(write)
        self.children.append((child, read))

    def results(self):
        """Exit codes and losses of all forks."""
        return [(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), os.read(read, 2**16).decode()) for child, read in self.children]


if __name__ == "__main__":
    run, end = Run(), time.monotonic() + float(sys.argv[1])
    print("ready", flush=True)
    run.train(lambda: time.monotonic() < end)
    print(json.dumps({"losses": run.losses, "forks": run.results()}))
