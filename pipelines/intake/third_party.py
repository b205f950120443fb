"""Real third-party files laid into landing as deliveries, as an agency would have sent them.

Which file goes where is a register (`seeds/registers/third_party_delivery.csv`); nothing of the files is changed.
"""

from __future__ import annotations

import csv
import shutil
from pathlib import Path

from pipelines.errors import MissingFileError
from pipelines.settings import Settings


def lay_files(settings: Settings) -> list[Path]:
    """Copy each registered file to `landing/<submitter>/<package>/<period>/`; present and equal ones are left alone.

    Returns the paths laid. Raises FileNotFoundError with the register's row when a file is not there.
    """
    register = settings.seeds / "registers" / "third_party_delivery.csv"
    laid = []
    with register.open(newline="") as handle:
        for row in csv.DictReader(handle):
            source = settings.real_data / row["path"]
            if not source.exists():
                raise MissingFileError(
                    f"{register.name} names {row['path']} for {row['submitter']}/{row['package']}, "
                    f"but {settings.real_data} has no such file."
                )
            folder = settings.landing / row["submitter"] / row["package"] / row["period"]
            target = folder / source.name
            if target.exists() and target.stat().st_size == source.stat().st_size:
                continue
            folder.mkdir(parents=True, exist_ok=True)
            temporary = folder / f".{source.name}.part"
            shutil.copyfile(source, temporary)
            temporary.replace(target)
            laid.append(target)
    return laid
