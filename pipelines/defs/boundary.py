"""What every step does at its edge: know the build, stand still on an untouched night, keep foreign words inside.

An exception's text may quote a value of a row. It stays in the vault; what leaves a step is a sentence of ours.
"""

from __future__ import annotations

import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from pipelines import planner
from pipelines.progress import say
from pipelines.settings import Settings, settings


class StepFailed(RuntimeError):
    """A step of the night failed; the sentence says which, and where the original words are kept."""


# Errors of our own, whose sentences are written to be read and hold no value of a row.
OWN_ERRORS = ("pipelines.", "schemas.")


@contextmanager
def step(name: str) -> Iterator[Settings]:
    """Run a step's body. Our own errors pass; any other is replaced by a sentence, its text kept in the vault."""
    configuration = settings()
    started = time.monotonic()
    try:
        yield configuration
        say(f"{name}: {time.monotonic() - started:.1f} s")
    except Exception as error:
        if is_own(error):
            raise error from None  # what it was raised from has words of its own, which the instance would keep
        raise StepFailed(sentence(configuration, name, error)) from None


@contextmanager
def alone(command: str) -> Iterator[None]:
    """Run a command that needs no home, so that there is no vault: of a foreign error only its type and place are told.

    Its text, which may quote a row, is kept nowhere.
    """
    try:
        yield
    except Exception as error:
        if is_own(error):
            raise error from None
        frames = traceback.extract_tb(error.__traceback__)
        at = next((each for each in frames[::-1] if "pipelines" in Path(each.filename).parts), frames[-1])
        place = f"{at.name} ({Path(at.filename).name}, line {at.lineno})"
        raise StepFailed(
            f"`p20w {command}` failed with {type(error).__name__} in {place}. The error's own words may quote a row "
            "and are not shown. Report this sentence."
        ) from None


def is_own(error: Exception) -> bool:
    """Whether the error's sentence is ours: written to be read, without a value of a row."""
    return type(error).__module__.startswith(OWN_ERRORS)


def sentence(configuration: Settings, name: str, error: Exception) -> str:
    """What may be shown of an error: our own sentence, or that it happened and where its text is kept."""
    if is_own(error):
        return str(error)
    kept = _keep(configuration, name, error)
    return f"The step '{name}' failed with {type(error).__name__}. {kept} It can be started again as it is."


def untouched(configuration: Settings) -> str | None:
    """Why tonight needs no work after intake, or None when it does."""
    plan = planner.read_plan(configuration)
    return None if plan.is_touched else plan.reason


def evidence_build(configuration: Settings) -> str:
    """Build whose evidence stands for tonight: this one, or the last good one where nothing changed."""
    plan = planner.read_plan(configuration)
    return plan.build_id if plan.is_touched else planner.last_good(configuration)["build_id"]


def _keep(configuration: Settings, name: str, error: Exception) -> str:
    from pipelines.identity import vault

    try:
        vault.keep_exception(configuration, _build(configuration), name, error)
    except Exception:
        return "Its text could not be kept, because the vault could not be opened."
    return "Its text is kept in the vault (table exception_text)."


def _build(configuration: Settings) -> str:
    try:
        return planner.current_build(configuration)
    except FileNotFoundError:
        return ""
