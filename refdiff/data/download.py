"""Downloads of known files: the number of bytes, the SHA-256 and the time are bounded, whatever a server does."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from functools import partial
from http.client import HTTPException
from threading import Thread
from time import monotonic
from urllib.error import HTTPError
from urllib.request import urlopen

TIMEOUT = 10  # seconds without a response, after which the next URL is tried
TIME_LIMIT = 120  # seconds for one URL, however it responds


def fetch(urls: Sequence[str], size: int, digest: str) -> bytes:
    """The file of `size` bytes from the first URL that serves it with this SHA-256; raises ConnectionError with the reason of each URL."""
    reasons = []
    for url in urls:
        try:
            body = within(TIME_LIMIT, partial(_body, url, size))
            if hashlib.sha256(body).hexdigest() == digest:
                return body
            reasons.append(f"{url}: {len(body)} bytes that do not have the sha256 {digest}")
        except (OSError, HTTPException, ValueError) as error:  # ValueError: what is no URL
            reasons.append(f"{url}: {str(error) or repr(error)}")
            if isinstance(error, HTTPError):  # an open response as well
                error.close()
    raise ConnectionError("; ".join(reasons))


def within(seconds: float, work: Callable[[], bytes]) -> bytes:
    """The result of a function, or TimeoutError after some seconds.

    The limit of a single read is not enough, because a server can answer a byte at a time, in its header as well. The function runs in
    a thread. One that is late is left alone; it keeps no program from ending.
    """
    future: Future[bytes] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:
            future.set_exception(error)

    Thread(target=run, daemon=True).start()
    try:
        return future.result(seconds)
    except TimeoutError:
        if future.done():
            raise
        raise TimeoutError(f"not complete after {seconds} seconds") from None


def _body(url: str, size: int) -> bytes:
    """The first bytes that a URL serves: at most `size`, and fewer if they end or the time is over."""
    end, body = monotonic() + TIME_LIMIT, bytearray()
    with urlopen(url, timeout=TIMEOUT) as response:
        while monotonic() < end and (part := response.read1(size - len(body))):
            body += part
    return bytes(body)
