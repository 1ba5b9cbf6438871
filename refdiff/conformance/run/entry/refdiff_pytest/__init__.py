"""The entry point `refdiff_pytest`, which pytest loads wherever refdiff is installed: only the options.

The plugin is imported on use.
"""

from __future__ import annotations

from typing import Any

LEVELS = ("must", "accuracy", "refusal", "convention")


def pytest_addoption(parser: Any) -> None:
    """Add the options, in a group of their own."""
    group = parser.getgroup("refdiff", "test a diffusion or flow-matching implementation with refdiff's vectors")
    group.addoption("--refdiff-impl", metavar="MODULE[:CLASS]", help="the implementation: a Python adapter by its dotted name")
    group.addoption("--refdiff-pipe", metavar="COMMAND", help="the implementation: a program that speaks JSON lines")
    group.addoption(
        "--refdiff-timeout",
        metavar="SECONDS",
        type=float,
        default=60.0,
        help="time limit for each answer of a program or an isolated adapter (default 60)",
    )
    group.addoption(
        "--refdiff-isolated", action="store_true", help="run the adapter in a process of its own, with the time limit: it cannot end pytest"
    )
    group.addoption(
        "--refdiff-only",
        metavar="AREA_OR_OPERATION",
        action="append",
        default=[],
        help="run only this area or operation, or several, separated by commas; may be repeated",
    )
    group.addoption("--refdiff-minimal", action="store_true", help="run only the minimal set of vectors")
    group.addoption(
        "--refdiff-xfails", metavar="FILE", help="expected failures: on each line a vector, operation or glob pattern, and # reason"
    )
    group.addoption(
        "--refdiff-level", choices=LEVELS, default="must", help="the last level that can fail the run, in this order (default must)"
    )


def pytest_configure(config: Any) -> None:
    """Add the marker `refdiff`, and the plugin if an implementation is named."""
    config.addinivalue_line("markers", "refdiff: a conformance vector of refdiff; -m refdiff runs only these")
    if config.option.refdiff_impl or config.option.refdiff_pipe:
        from refdiff.conformance.run.plugin import Plugin

        config.pluginmanager.register(Plugin(config), "refdiff-vectors")
