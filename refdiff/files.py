"""Files that are replaced as a whole: a reader of the name, and a disk that fills up, find the old file or the new one."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory


def replace(path: str | Path, data: bytes) -> None:
    """Write a file as `replacing` does; returns when it is on the disk."""
    with replacing(path) as new:
        new.write_bytes(data)


@contextmanager
def replacing(path: str | Path) -> Iterator[Path]:
    """Context with the path of a new file, which replaces the file at `path` when the context ends without an exception.

    The new file has a temporary folder of its own, `.NAME.*.tmp` beside the old file, so writers of one path do not meet: the last to
    end wins. A killed writer leaves this folder, which can be deleted. A symbolic link stays a link, and the mode of the old file stays,
    as do its owner and group if the system permits it. A path that is no file, such as a device, is written to directly.
    """
    target = Path(os.path.realpath(path))
    if target.is_symlink():
        raise OSError(errno.ELOOP, os.strerror(errno.ELOOP), str(path))
    if target.exists() and not target.is_file():
        yield target
        return
    with TemporaryDirectory(prefix=f".{target.name}.", suffix=".tmp", dir=target.parent) as folder:
        new = Path(folder, target.name)
        yield new
        _sync(new, os.O_RDWR)
        if target.exists():
            _copy_permissions(target, new)
        os.replace(new, target)
    if os.name == "posix":  # elsewhere a folder cannot be opened, nor need it be
        _sync(target.parent, os.O_RDONLY)


def _sync(path: Path, mode: int) -> None:
    """Wait until a file or a folder is on the disk."""
    descriptor = os.open(path, mode)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _copy_permissions(old: Path, new: Path) -> None:
    status = old.stat()
    if os.name == "posix":
        for user, group in ((-1, status.st_gid), (status.st_uid, -1)):
            with suppress(PermissionError):
                os.chown(new, user, group)
    os.chmod(new, stat.S_IMODE(status.st_mode))
