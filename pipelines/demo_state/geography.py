"""The places of the synthetic state: districts, schools, centers, colleges, employers.

What belongs here: organizations and their sizes, drawn from the seed. What does not: people. A *region* is a closed
group of about 10,000 students and their districts: students move inside it, so that one region at a time fits in memory
however large the state is.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import polars as pl

STATE_FIPS = "56"  # the fixed-width wage record needs a state number; the state itself is invented
STATE_ABBREVIATION = "WY"
STATE_ID = "STATE"
STATE_NAME = "Demo State"
FIRST_YEAR, LAST_YEAR = 2013, 2026  # school years of colleges and wages
FIRST_K12_YEAR = 2019
DISTRICT_SHARES = {3: (0.55, 0.29, 0.16), 4: (0.46, 0.28, 0.17, 0.09), 5: (0.40, 0.25, 0.17, 0.11, 0.07)}
PLACES = [
    "Alder Bay",
    "Bramble Hill",
    "Cedar Fork",
    "Dry Creek",
    "Eagle Ridge",
    "Foxglove",
    "Granite Falls",
    "Hollow Oak",
    "Iron Bend",
    "Juniper Flats",
    "Kestrel",
    "Larkspur",
    "Mill River",
    "North Prairie",
    "Old Harbor",
    "Pine Hollow",
    "Quarry Lake",
    "Red Mesa",
    "Silver Spring",
    "Tall Timber",
    "Union Gap",
    "Valley View",
    "Willow Glen",
    "Yarrow",
]
FIGURES = [
    "Aspen",
    "Birch",
    "Canyon",
    "Dogwood",
    "Evergreen",
    "Fern",
    "Garnet",
    "Heron",
    "Iris",
    "Jasper",
    "Kingfisher",
    "Lupine",
    "Meadow",
    "Northside",
    "Osprey",
    "Prairie",
    "Quail",
    "Ridge",
    "Sage",
    "Thistle",
    "Upland",
    "Violet",
    "Westside",
    "Yucca",
    "Amber",
    "Bluebell",
    "Cottonwood",
    "Dune",
    "Elm",
    "Flint",
    "Glacier",
    "Hawthorn",
]


@dataclass(frozen=True)
class School:
    """One public school; `share` is its part of the district's students of its grades."""

    school_id: str
    lea: int
    name: str
    low: int
    high: int
    share: float
    community_eligible: bool


@dataclass(frozen=True)
class Region:
    """Districts (index in the region), their schools and ZIP codes."""

    number: int
    students: int
    lea_ids: tuple[str, ...]
    lea_names: tuple[str, ...]
    shares: np.ndarray
    poverty: np.ndarray
    schools: tuple[School, ...]
    zips: tuple[tuple[str, ...], ...]
    centers: tuple[tuple[str, int, str], ...]  # (center id, LEA index, name) of head start and pre-K sites

    def school_at(self, lea: np.ndarray, grade: np.ndarray, u: np.ndarray) -> np.ndarray:
        """Index into `schools` for each (LEA, grade, place 0..1 in the district); -1 where lea is -1."""
        out = np.full(len(lea), -1, dtype=np.int32)
        for index in range(len(self.lea_ids)):
            for low, high in ((0, 5), (6, 8), (9, 12)):
                options = [i for i, s in enumerate(self.schools) if s.lea == index and s.low == low]
                edges = np.cumsum([self.schools[i].share for i in options])
                rows = (lea == index) & (grade >= low) & (grade <= high)
                picked = np.searchsorted(edges, u[rows] * edges[-1], side="right").clip(0, len(options) - 1)
                out[rows] = np.asarray(options, dtype=np.int32)[picked]
        return out


def regions(students: int, seed: int) -> list[Region]:
    """The regions of a state with `students` enrolled in any one year: one for each 10,000, at least one."""
    count = max(1, round(students / 10_000))
    out = []
    for number in range(count):
        size = students // count + (number < students % count)
        out.append(_region(number, size, np.random.default_rng([seed, 1, number])))
    return out


def _region(number: int, students: int, rng: np.random.Generator) -> Region:
    districts = int(np.clip(round(students / 2_500), 3, 5))
    shares = np.array(DISTRICT_SHARES[districts])
    lea_ids = tuple(f"{number + 1:03d}{index + 1}0" for index in range(districts))
    towns = [PLACES[(number * 5 + index) % len(PLACES)] for index in range(districts)]
    again = (number * 5) // len(PLACES)
    names = tuple(
        f"{town} {'County ' if again else ''}School District{f' {again + 1}' if again else ''}" for town in towns
    )
    schools: list[School] = []
    for index, share in enumerate(shares):
        here = students * share / 13  # students a grade
        serial = 0
        for low, high, kind, target in ((0, 5, "Elementary", 32), (6, 8, "Middle", 125), (9, 12, "High", 230)):
            wanted = max(1, round(here / target))
            if low == 9 and index < 2:
                wanted = max(2, wanted)  # a small alternative high school in each of the two largest districts
            if low == 9 and index == 0 and students >= 5_000:
                wanted += 2
            weights = rng.uniform(0.35, 1.6, wanted)
            if low == 9 and wanted > 1:
                weights = np.array([1.0, *rng.uniform(0.04, 0.5, wanted - 1)])
                weights[-1] = 0.05
            for weight in weights / weights.sum():
                serial += 1
                figure = FIGURES[(serial * 7 + index * 11 + number * 3) % len(FIGURES)]
                eligible = bool(low < 9 and rng.random() < 0.2)
                schools.append(
                    School(
                        f"{lea_ids[index]}{serial:03d}", index, f"{figure} {kind} School", low, high, weight, eligible
                    )
                )
    zips = tuple(
        tuple(f"8{number % 10}{index}{n:02d}" for n in range(max(2, round(14 * share))))
        for index, share in enumerate(shares)
    )
    centers = []
    for index, share in enumerate(shares):
        for n in range(max(1, round(students * share / 900))):
            centers.append((f"C{lea_ids[index]}{n + 1:02d}", index, f"{towns[index]} Early Learning Center {n + 1}"))
    return Region(
        number,
        students,
        lea_ids,
        names,
        shares,
        rng.uniform(0.25, 0.6, districts),
        tuple(schools),
        zips,
        tuple(centers),
    )


# In state: OPEID, name, level, control, city, predominant degree (1 certificate, 2 associate, 3 bachelor), weight
IN_STATE = (
    ("09900100", "Demo State University", "4-year", "public", "Alder Bay", "3", 0.30),
    ("09900200", "University of the Plains", "4-year", "public", "Cedar Fork", "3", 0.17),
    ("09900300", "Highland College", "4-year", "private", "Dry Creek", "3", 0.05),
    ("09900400", "Saint Brendan University", "4-year", "private", "Eagle Ridge", "3", 0.04),
    ("09900500", "Alder Bay Community College", "2-year", "public", "Alder Bay", "2", 0.20),
    ("09900600", "Cedar Fork Community College", "2-year", "public", "Cedar Fork", "2", 0.12),
    ("09900700", "Mesa Community College District", "2-year", "public", "Red Mesa", "2", 0.07),
    ("09900800", "Demo Institute of Technology", "2-year", "public", "Mill River", "1", 0.05),
)
# Out of state: OPEID, name, level, control, state
OUT_OF_STATE = (
    ("09910100", "Great Basin University", "4-year", "public", "NV"),
    ("09910200", "Front Range State University", "4-year", "public", "CO"),
    ("09910300", "Wasatch College", "4-year", "private", "UT"),
    ("09910400", "Columbia Gorge University", "4-year", "public", "OR"),
    ("09910500", "Lake Country College", "4-year", "private", "MN"),
    ("09910600", "Prairie Rivers University", "4-year", "public", "NE"),
    ("09910700", "Bay Cities University", "4-year", "private", "CA"),
    ("09910800", "Snake River Community College", "2-year", "public", "ID"),
)


@dataclass(frozen=True)
class Employers:
    """Employers of the state, as parallel arrays; `size` are weights that sum to 1."""

    account: np.ndarray
    ein: np.ndarray
    name: np.ndarray
    naics: np.ndarray
    ownership: np.ndarray
    county: np.ndarray
    size: np.ndarray
    pay: np.ndarray


# NAICS code, part of employers, pay factor, noun
INDUSTRIES = (
    ("722513", 0.16, 0.55, "Diner"),
    ("445110", 0.07, 0.65, "Market"),
    ("452319", 0.05, 0.62, "Stores"),
    ("236118", 0.09, 1.05, "Builders"),
    ("622110", 0.03, 1.30, "Hospital"),
    ("623110", 0.05, 0.80, "Care Center"),
    ("611110", 0.04, 1.00, "Schools"),
    ("611310", 0.01, 1.10, "University"),
    ("541511", 0.05, 1.75, "Software"),
    ("541110", 0.04, 1.40, "Legal Office"),
    ("484110", 0.05, 0.95, "Freight"),
    ("212210", 0.02, 1.55, "Mining"),
    ("332710", 0.06, 1.10, "Machine Works"),
    ("721110", 0.05, 0.60, "Lodge"),
    ("522110", 0.04, 1.25, "Bank"),
    ("624410", 0.05, 0.60, "Child Care"),
    ("811111", 0.06, 0.85, "Auto Repair"),
    ("921110", 0.03, 1.10, "Public Works"),
    ("112111", 0.05, 0.75, "Ranch"),
)


def employers(students: int, seed: int) -> Employers:
    """Employers of different sizes by industry: one for each 25 students enrolled, at least 60, at most 20,000."""
    rng = np.random.default_rng([seed, 2])
    count = int(np.clip(students // 25, 60, 20_000))
    industry = rng.choice(
        len(INDUSTRIES), count, p=np.array([row[1] for row in INDUSTRIES]) / sum(r[1] for r in INDUSTRIES)
    )
    industry[: len(INDUSTRIES)] = np.arange(len(INDUSTRIES))
    nouns = np.array([row[3] for row in INDUSTRIES], dtype=object)[industry]
    first = rng.integers(len(FIGURES), size=count)
    place = rng.integers(len(PLACES), size=count)
    name = np.array(
        [f"{PLACES[p]} {FIGURES[f]} {n} {i + 1}" for i, (p, f, n) in enumerate(zip(place, first, nouns, strict=True))]
    )
    size = rng.pareto(1.15, count) + 0.08
    codes = np.array([row[0] for row in INDUSTRIES])[industry]
    ownership = np.where(np.isin(codes, ("611110", "921110")), "3", np.where(codes == "611310", "2", "5"))
    serial = np.arange(count)
    account = np.array(
        [f"{(4_000_000_000 + (s * 7919 + 104_729) % 5_000_000_011) % 10_000_000_000:010d}" for s in serial]
    )
    ein = np.array([f"{20 + s % 70:02d}{(s * 6151 + 310_007) % 10_000_000:07d}" for s in serial])
    county = np.array([f"{2 * int(p) + 1:03d}" for p in place])
    pay = np.array([row[2] for row in INDUSTRIES])[industry] * np.exp(rng.normal(0, 0.15, count))
    return Employers(account, ein, name, codes, ownership, county, size / size.sum(), pay)


def directory(all_regions: list[Region], school_year: int) -> pl.DataFrame:
    """Every organization open in one school year, as elements of shared__organization."""
    rows: list[dict[str, str | None]] = [
        {"organization_id_state": STATE_ID, "organization_level_code": "state", "organization_name": STATE_NAME}
    ]
    for region in all_regions:
        for index, lea in enumerate(region.lea_ids):
            rows.append(
                {
                    "organization_id_state": lea,
                    "organization_level_code": "lea",
                    "organization_name": region.lea_names[index],
                    "parent_organization_id_state": STATE_ID,
                    "organization_type_code": "regular_district",
                    "organization_id_nces": f"{STATE_FIPS}{lea}",
                    "city": region.lea_names[index].split(" School")[0],
                }
            )
        for school in region.schools:
            lea = region.lea_ids[school.lea]
            rows.append(
                {
                    "organization_id_state": school.school_id,
                    "organization_level_code": "school",
                    "organization_name": school.name,
                    "parent_organization_id_state": lea,
                    "organization_id_nces": f"{STATE_FIPS}{lea}{school.school_id[5:].zfill(5)}",
                    "city": region.lea_names[school.lea].split(" School")[0],
                    "organization_type_code": {0: "elementary", 6: "middle", 9: "high"}[school.low],
                    "low_grade_level_code": "KG" if school.low == 0 else f"{school.low:02d}",
                    "high_grade_level_code": f"{school.high:02d}",
                }
            )
        for center, index, name in region.centers:
            rows.append(
                {
                    "organization_type_code": "child_care_center",
                    "organization_id_state": center,
                    "organization_level_code": "provider",
                    "organization_name": name,
                    "parent_organization_id_state": STATE_ID,
                    "city": region.lea_names[index].split(" School")[0],
                }
            )
    for opeid, name, level, _, city, degree, _ in IN_STATE:
        rows.append(
            {
                "organization_id_state": opeid,
                "organization_level_code": "institution",
                "organization_name": name,
                "parent_organization_id_state": STATE_ID,
                "opeid": opeid,
                "organization_type_code": "four_year" if level == "4-year" else "two_year",
                "city": city,
                "predominant_degree_code": {"1": "certificate", "2": "associate", "3": "bachelor"}[degree],
            }
        )
    columns = [
        "organization_id_state",
        "organization_level_code",
        "organization_name",
        "parent_organization_id_state",
        "organization_id_nces",
        "opeid",
        "organization_type_code",
        "city",
        "predominant_degree_code",
        "low_grade_level_code",
        "high_grade_level_code",
    ]
    frame = pl.DataFrame(rows, schema={column: pl.String for column in columns})
    return frame.with_columns(
        school_year=pl.lit(school_year),
        state_abbreviation=pl.lit(STATE_ABBREVIATION),
        operational_status_code=pl.lit("open"),
    )
