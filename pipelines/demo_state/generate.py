"""Makes the synthetic state: region by region, life courses first, then what each agency would send about them.

What belongs here: who reports what to whom, in which year, and how the truth is kept. What does not: how lives go
(people, childhood, schooling, college, work) and how files look (landing).
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from pipelines.demo_state.agencies import RegionReports
from pipelines.demo_state.faults import FAULTS, Planted, plant
from pipelines.demo_state.geography import (
    FIRST_K12_YEAR,
    FIRST_YEAR,
    LAST_YEAR,
    Employers,
    directory,
    employers,
    regions,
)
from pipelines.demo_state.landing import Landing
from pipelines.demo_state.work import FIRST_WAGE_YEAR, QUARTERS, quarter_of
from pipelines.errors import P20wError
from pipelines.progress import track
from pipelines.settings import Settings

MAKING = ".making"
MARKER = "demo_state.json"


@dataclass(frozen=True)
class DemoSummary:
    """What was made. `rows`: source rows by package; `enrolled`: K-12 students by school year."""

    students: int
    seed: int
    districts: int
    schools: int
    persons: int
    deliveries: int
    rows: dict[str, int]
    enrolled: dict[int, int]
    faults: tuple[Planted, ...] = ()


def generate(
    settings: Settings,
    students: int = 10_000,
    seed: int = 2026,
    faults: Iterable[str] = (),
    replace_existing: bool = False,
) -> DemoSummary:
    """Write the raw deliveries of a synthetic state to settings.landing and their truth to settings.truth.

    `students`: K-12 students enrolled in any one school year. The same students, seed and seeds/ give the same bytes.
    `faults`: names from FAULTS to plant at the end. Raises FileExistsError when landing already holds deliveries
    (`replace_existing` replaces a synthetic state made before, and nothing else), ValueError for students below 200 or
    an unknown fault.
    """
    if students < 200:
        raise P20wError(f"A synthetic state of {students} students is too small for its schools: ask for 200 or more.")
    unknown = [fault for fault in faults if fault not in FAULTS]
    if unknown:
        raise P20wError(f"Unknown fault {', '.join(unknown)}: choose from {', '.join(FAULTS)}.")
    _clear(settings, replace_existing)
    making = replace(settings, home=settings.landing / MAKING)  # written aside, moved when whole
    landing = Landing(making)
    state = regions(students, seed)
    firms = employers(students, seed)
    payroll = np.zeros((QUARTERS, len(firms.name)), np.int64)
    enrolled = dict.fromkeys(range(FIRST_K12_YEAR, LAST_YEAR + 1), 0)
    persons = 0
    for region in track(state, "Demo state: regions"):
        found = RegionReports(region, seed, landing, firms, payroll, enrolled).run()
        landing.add_persons(found)
        persons += found.height
        landing.close_region()
    for year in range(FIRST_YEAR, LAST_YEAR + 1):
        landing.write("sea", "directory", year, "shared__organization", directory(state, year))
    _write_employers(landing, firms, payroll, students)
    landing.close()
    folders = sorted({key[:3] for key in landing.rows})
    for submitter, package, period in folders:
        if (package, period) not in (("wages", "2026Q2"), ("employers", "2026Q2")):
            landing.certify(submitter, package, period, _certified_on(period))
    rows: dict[str, int] = {}
    for (_, package, _, _), count in landing.rows.items():
        rows[package] = rows.get(package, 0) + count
    summary = DemoSummary(
        students,
        seed,
        sum(len(region.lea_ids) for region in state),
        sum(len(region.schools) for region in state),
        persons,
        len(folders),
        dict(sorted(rows.items())),
        enrolled,
    )
    _move(settings, summary, sorted({folder[0] for folder in folders}))
    return replace(summary, faults=tuple(plant(settings, fault) for fault in faults))


def _clear(settings: Settings, replace_existing: bool) -> None:
    marker, making = settings.truth / MARKER, settings.landing / MAKING
    present = [path.name for path in settings.landing.glob("*") if path.is_dir() and not path.name.startswith(".")]
    ours = set(json.loads(marker.read_text())["submitters"]) if marker.exists() else set()
    others = sorted(set(present) - ours)
    if present and (others or not (replace_existing or making.exists())):
        raise P20wError(
            f"{settings.landing} already holds deliveries of {', '.join(sorted(others or present)[:5])}. The "
            "synthetic state is only written to an empty landing folder: choose another P20W_HOME, or ask to replace "
            "the synthetic state."
        )
    for name in present:
        shutil.rmtree(settings.landing / name)
    shutil.rmtree(making, ignore_errors=True)
    for name in ("record_truth.parquet", "person_truth.parquet", "linkable.parquet", MARKER):
        (settings.truth / name).unlink(missing_ok=True)
    settings.truth.mkdir(parents=True, exist_ok=True)
    making.mkdir(parents=True)


def _move(settings: Settings, summary: DemoSummary, submitters: list[str]) -> None:
    """Hand the finished deliveries over. The marker comes first: a run killed in between is cleaned up by the next."""
    marker = {"students": summary.students, "seed": summary.seed, "submitters": submitters}
    (settings.truth / MARKER).write_text(json.dumps(marker, indent=1) + "\n")
    making = settings.landing / MAKING
    for submitter in submitters:
        os.rename(making / "landing" / submitter, settings.landing / submitter)
    shutil.rmtree(making)


def _certified_on(period: str) -> str:
    if "Q" in period:
        year, quarter = int(period[:4]), int(period[-1])
        return f"{year + quarter // 4}-{('06', '09', '12', '03')[quarter - 1]}-30"
    return f"{period}-10-15"


def _write_employers(landing: Landing, firms: Employers, payroll: np.ndarray, students: int) -> None:
    """The quarterly census of employers: monthly employment never below the jobs in the wage file."""
    usual = np.maximum(np.round(firms.size * students * 4).astype(int), 1)
    for index in range(QUARTERS):
        year, quarter = quarter_of(index)
        grown = np.round(usual * (1 + 0.01 * (year - FIRST_WAGE_YEAR)) * (1.02 if quarter in (2, 3) else 1.0)).astype(
            int
        )
        counts = np.maximum(grown, payroll[index])
        frame = pl.DataFrame(
            {
                "employer_account_number": firms.account,
                "employer_name": firms.name,
                "ein": firms.ein,
                "wage_year": np.full(len(counts), year),
                "wage_quarter": np.full(len(counts), quarter),
                "naics_code": firms.naics,
                "ownership_code": firms.ownership,
                "county_fips": firms.county,
                "month_one_employment_count": counts,
                "month_two_employment_count": counts,
                "month_three_employment_count": np.maximum(counts - counts // 40, 1),
            }
        )
        landing.write("dol", "employers", f"{year}Q{quarter}", "workforce__employer", frame)
