"""The steward's desk: who may sit at it, and the vault opened for one act at a time.

Belongs here: the register's word on who is a steward, and the writer's right together with the open vault. Does not
belong here: what is shown (show.py) and what is judged (verdict.py).
"""

from __future__ import annotations

import os
import pwd
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime

import duckdb

from pipelines import writer_lock
from pipelines.errors import P20wError
from pipelines.identity.vault import open_vault
from pipelines.registers import active_officers, read_seed
from pipelines.settings import Settings


class StewardError(P20wError):
    """What a steward asked for cannot be done; the sentence says why, and names items, never people."""


def system_user() -> str:
    """The account of the operating system under which this process runs, whatever its environment says."""
    return pwd.getpwuid(os.getuid()).pw_name


def require_steward(settings: Settings, who: str, today: date) -> None:
    """Errors: StewardError when `who` is not an identity steward in office in registers/officer.csv."""
    stewards = {
        row["officer"]
        for row in read_seed(settings, "registers/officer.csv")
        if (row.get("is_identity_steward") or "").strip() == "yes"
    }
    if who not in stewards & active_officers(settings, today):
        raise StewardError(
            f"{who} is not an identity steward in office in registers/officer.csv. Name yourself with --who, or let "
            "the committee enter you there (column is_identity_steward: yes)."
        )


@contextmanager
def at_desk(settings: Settings, who: str) -> Iterator[duckdb.DuckDBPyConnection]:
    """The open vault for one act of the steward `who`, and the writer's right, so that no night runs meanwhile.

    Errors: StewardError for who is no steward or where there is no vault; WriterBusy while a night runs.
    """
    require_steward(settings, who, date.today())
    if not settings.vault_file.exists():
        raise StewardError(f"There is no vault in {settings.home} yet. Run `p20w nightly` first.")
    writer_lock.acquire(settings, f"the steward {who}", wait=False)
    try:
        with open_vault(settings) as con:
            yield con
    finally:
        writer_lock.release(settings)


def now() -> datetime:
    """The time of an act, UTC, without a zone: as the vault keeps it."""
    return datetime.now(UTC).replace(tzinfo=None)
