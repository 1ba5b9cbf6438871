"""Text of foreign objects: whatever an implementation names or raises becomes printable text of bounded length."""

from __future__ import annotations

MAX_LENGTH = 1000  # characters of a message
MAX_NAME = 100  # characters of a name


def readable(value: object, limit: int = MAX_LENGTH) -> str:
    """str(value), shortened, with control characters and lone surrogates escaped; if str raises, a note that it did."""
    try:
        whole = str(value)
        length, text = str.__len__(whole), str.__getitem__(whole, slice(limit))  # methods of str: `whole` may be of a subclass
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        return f"(its text cannot be read: {class_name(error)})"
    shown = "".join(c if c.isprintable() or c in "\n\t" else c.encode("unicode_escape").decode() for c in text)
    return shown if length <= limit else f"{shown}... ({length} characters)"


def one_line(value: object) -> str:
    """A name or version: readable, on one line."""
    return " ".join(readable(value, MAX_NAME).split())


def described(error: BaseException) -> str:
    """The class and the text of an exception."""
    return f"{class_name(error)}: {readable(error)}"


def class_name(error: BaseException) -> str:
    """The name of an exception's class, whatever its metaclass says."""
    return readable(type.__dict__["__name__"].__get__(type(error)), MAX_NAME)
