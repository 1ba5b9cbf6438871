"""What pytest loads in every run where refdiff is installed, as `refdiff_pytest`: the options alone. The rest waits until one is given."""

from __future__ import annotations

from typing import Any

LEVELS = ("must", "should")


def pytest_addoption(parser: Any) -> None:
    """The options, in a group of their own."""
    group = parser.getgroup("refdiff", "a diffusion or flow-matching implementation against refdiff's vectors")
    group.addoption("--refdiff-impl", metavar="MODULE[:CLASS]", help="the implementation: a Python adapter by its dotted name")
    group.addoption("--refdiff-pipe", metavar="COMMAND", help="the implementation: a program that speaks JSON lines")
    group.addoption("--refdiff-timeout", metavar="SECONDS", type=float, default=60.0, help="for each answer of the program (default 60)")
    group.addoption("--refdiff-only", metavar="AREA_OR_OPERATION", action="append", default=[], help="only these; may be given often")
    group.addoption("--refdiff-minimal", action="store_true", help="only the minimal set of vectors")
    group.addoption("--refdiff-xfails", metavar="FILE", help="expected failures: a vector, operation or glob pattern a line, # reason")
    group.addoption("--refdiff-level", choices=LEVELS, default="should", help="the weakest level that can fail the run (default should)")


def pytest_configure(config: Any) -> None:
    """The marker `refdiff`; the plugin itself only where an implementation is named."""
    config.addinivalue_line("markers", "refdiff: a conformance vector of refdiff; -m refdiff runs nothing else")
    if config.option.refdiff_impl or config.option.refdiff_pipe:
        from refdiff.conformance.run.plugin import Plugin

        config.pluginmanager.register(Plugin(config), "refdiff-vectors")
