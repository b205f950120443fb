"""Progress of long work: a bar on a terminal, log lines elsewhere. Nothing else belongs here."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterable, Iterator, Sized
from typing import TypeVar

Item = TypeVar("Item")


def track(items: Iterable[Item], label: str, every_seconds: float = 10.0) -> Iterator[Item]:
    """Yield `items` unchanged while showing how far they are. `label` must name no person."""
    total = len(items) if isinstance(items, Sized) else None
    if sys.stderr.isatty():
        from rich.progress import track as rich_track

        yield from rich_track(items, description=label, total=total)
        return
    last = time.monotonic()
    for done, item in enumerate(items, start=1):
        yield item
        if time.monotonic() - last >= every_seconds:
            last = time.monotonic()
            print(f"{label}: {done}{f' of {total}' if total else ''}", file=sys.stderr, flush=True)


def say(message: str) -> None:
    """One log line for whoever watches the night."""
    print(message, file=sys.stderr, flush=True)
