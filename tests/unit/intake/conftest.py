"""A small home with its own copy of the seeds, and deliveries laid into it in the agencies' own formats."""

from __future__ import annotations

import csv
import io
import shutil
from pathlib import Path

import pytest

from pipelines.settings import ROOT, Settings

DIRECTORY = ["OrganizationId", "SchoolYear", "OrganizationLevel", "OrganizationName"]
ENROLLMENT = ["SSID", "SchoolYear", "SchoolCode", "EntryDate", "DistrictCode", "ExitDate", "Grade"]
REMOVAL = ["CHILD_RECORD_NO", "REMOVAL_DT", "EXIT_DT", "EXIT_REASON"]


class Landing:
    """Lays files into the landing folder of a home."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings

    def text(self, submitter: str, package: str, period: str, name: str, text: str) -> Path:
        folder = self.settings.landing / submitter / package / period
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return folder / name

    def table(self, submitter: str, package: str, period: str, name: str, header: list[str], rows: list) -> Path:
        out = io.StringIO()
        csv.writer(out, lineterminator="\n").writerows([header, *rows])
        return self.text(submitter, package, period, name, out.getvalue())

    def directory(self, year: int, leas: list[str]) -> Path:
        span = f"{year - 1}-{year}"
        rows = [["STATE", span, "State", "The State"]] + [[lea, span, "Lea", f"District {lea}"] for lea in leas]
        return self.table("sea", "directory", str(year), "organization.csv", DIRECTORY, rows)

    def enrollment(self, lea: str, year: int, rows: list | None = None, students: int = 3) -> Path:
        if rows is None:
            rows = [enrolled(f"S{lea}{number}", lea, year) for number in range(students)]
        return self.table(f"lea_{lea}", "k12_annual", str(year), "enrollment.csv", ENROLLMENT, rows)

    def removal(self, year: int, rows: list) -> Path:
        return self.table("dhs", "child_welfare", str(year), "removal.csv", REMOVAL, rows)


def enrolled(student: str, lea: str, year: int, entry: str | None = None, exited: str = "", grade: str = "9") -> list:
    return [student, f"{year - 1}-{year}", f"{lea}01", entry or f"08/20/{year - 1}", lea, exited, grade]


@pytest.fixture
def home(tmp_path: Path) -> Settings:
    """Settings of an empty home; its seeds are a copy that a test may change."""
    shutil.copytree(ROOT / "seeds", tmp_path / "seeds")
    return Settings(
        home=tmp_path / "state",
        seeds=tmp_path / "seeds",
        truth=tmp_path / "truth",
        real_data=tmp_path / "real",
        vault_key_file=tmp_path / "vault.key",
    )


@pytest.fixture
def landing(home: Settings) -> Landing:
    return Landing(home)


@pytest.fixture
def row():
    """Make one row of the enrollment file."""
    return enrolled
