"""The writer's right: one night at a time on one home, by a lock of the operating system.

The kernel releases it when the process dies, kill -9 included; a lock kept in a database would outlive its holder.
"""

from __future__ import annotations

import fcntl
import os
import time

from pipelines.progress import say
from pipelines.settings import Settings

_held: dict[str, int] = {}


class WriterBusy(RuntimeError):
    """Another process holds the writer's right."""


def acquire(settings: Settings, holder: str, wait: bool = True) -> None:
    """Take the lock for the life of this process. Waits with a message that names the holder, or raises WriterBusy."""
    path = settings.writer_lock
    if str(path) in _held:
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    told = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            other = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            if not wait:
                os.close(descriptor)
                raise WriterBusy(f"The warehouse in {settings.home} is being written by {other}.") from None
            if not told:
                say(f"Waiting: the warehouse in {settings.home} is being written by {other}.")
                told = True
            time.sleep(1)
    os.ftruncate(descriptor, 0)
    os.pwrite(descriptor, f"{holder} (process {os.getpid()})".encode(), 0)
    _held[str(path)] = descriptor


def release(settings: Settings) -> None:
    """Give the lock back; harmless when not held."""
    descriptor = _held.pop(str(settings.writer_lock), None)
    if descriptor is not None:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def inherited() -> tuple[int, ...]:
    """Descriptors to hand to a child that writes: should we be killed, the right is free when the child has ended."""
    return tuple(_held.values())


def is_held_elsewhere(settings: Settings) -> bool:
    """True when another process writes now: a sensor then skips its tick."""
    if str(settings.writer_lock) in _held:
        return False
    try:
        acquire(settings, "a look at the lock", wait=False)
    except WriterBusy:
        return True
    release(settings)
    return False
