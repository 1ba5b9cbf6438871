"""Command lines: a parser that suggests what was meant, and the types of options."""

from __future__ import annotations

import argparse
import math
import re
import tempfile
from collections.abc import Callable
from difflib import get_close_matches
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser whose errors suggest the nearest of the allowed words, or for an unknown option the nearest option."""

    def known(self) -> set[str]:
        """All options, those of the commands included."""
        commands = [action.choices for action in self._actions if isinstance(action, argparse._SubParsersAction)]
        return set(self._option_string_actions).union(*(each.known() for choices in commands for each in choices.values()))

    def error(self, message: str) -> NoReturn:
        """Exit with the message, and a suggestion if a word is near."""
        option, listed = re.search(r"arguments: (--[^\s=]+)", message), re.search(r"(?:allowed: |choose from )(.+?)\)?$", message)
        word = re.search(r"'([^']*)'", message)
        words = [each.strip(" '") for each in listed[1].split(",")] if listed else []
        near = get_close_matches(option[1], sorted(self.known()), 1) if option else get_close_matches(word[1], words, 1) if word else []
        super().error(f"{message}. Did you mean {near[0]}?" if near and " " not in near[0] else message)


def integer(low: int, high: int) -> Callable[[str], int]:
    """The type of an option: an integer from low to high."""

    def parse(text: str) -> int:
        if not text.isdecimal() or not text.isascii() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: an integer, {low}..{high}")
        return int(text)

    return parse


def number(low: float, high: float) -> Callable[[str], float]:
    """The type of an option: a number from low to high."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = math.nan
        if not low <= value <= high:
            raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number, {low:g}..{high:g}")
        return value

    return parse


def check_folder(command: argparse.ArgumentParser, folder: Path) -> None:
    """Create the output folder before the work starts; a usage error if the folder cannot be created or written to."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        command.error(f"argument --out: {str(folder)!r}; allowed: a folder that can be made and written ({error.strerror})")
