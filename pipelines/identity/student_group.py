"""Student groups of the persons whom links make, for judging links by group.

Belongs here: which groups a person was last known in, and in which years a record is used. Does not belong here: what
a group means (seeds/policy/group_membership.csv, quality/recompute/group.py) and judging links (measure.py,
estimate.py).
"""

from __future__ import annotations

from pathlib import Path

import polars as pl

from pipelines.intake.views import active_files
from pipelines.quality.recompute.group import STATED, groups
from pipelines.quality.recompute.source import Deliveries
from pipelines.settings import Settings

BREAKDOWNS = (
    "gender",
    "race_ethnicity_2007",
    "disability",
    "english_learner",
    "economic_disadvantage",
    "homeless",
    "migrant",
)
NOT_REPORTED = "not_reported"
EDUCATION = ("early_childhood", "k12", "postsecondary")  # a student's group is what these say of their years


def person_groups(settings: Settings, links: pl.DataFrame, used: pl.DataFrame | None = None) -> pl.DataFrame:
    """person_key and one column a breakdown of BREAKDOWNS: the last known student groups of the persons of `links`
    (record_key, person_key) by seeds/policy/group_membership.csv. Persons without a K-12 record have no row.

    used: what `used_years` gives, where it is at hand.
    """
    links = links.select(pl.col("record_key", "person_key").cast(pl.Int64))
    used = used_years(active_files(settings), links) if used is None else used
    used = used.join(links, on="record_key")
    school = used.filter(pl.col("sector") == "k12").select("person_key").unique()
    years = (
        used.filter(pl.col("sector").is_in(EDUCATION))
        .select("person_key", "school_year")
        .unique()
        .join(school, on="person_key", how="semi")
    )
    deliveries = Deliveries.active(settings, links)
    stated = [name for name in BREAKDOWNS if name in STATED]
    status = [name for name in BREAKDOWNS if name not in STATED]
    # What was stated last is known in the last year; of a status the last year that says anything counts.
    newest = years.group_by("person_key").agg(group_year=pl.col("school_year").max())
    said = groups(deliveries, newest, years.clear().with_columns(group_year="school_year"), set(stated))
    evidence = years.with_columns(group_year="school_year")
    found = groups(deliveries, evidence.select("person_key", "group_year"), evidence, set(status)).sort("group_year")
    last = found.group_by("person_key").agg(pl.col(status).drop_nulls().last())
    return said.join(last, on="person_key").select("person_key", pl.col(BREAKDOWNS).fill_null(NOT_REPORTED))


def used_years(files: dict[str, list[Path]], links: pl.DataFrame) -> pl.DataFrame:
    """record_key, sector, school_year: the years in which the deliveries in use name a record."""
    frames = []
    for collection, paths in sorted(files.items()):
        present = pl.read_parquet_schema(paths[0])
        if "record_key" in present and "school_year" in present:
            rows = pl.scan_parquet(paths).select("record_key", pl.col("school_year").cast(pl.Int32)).drop_nulls()
            frames.append(rows.unique().collect().with_columns(sector=pl.lit(collection.split("__")[0])))
    if not frames:
        return pl.DataFrame(schema={"record_key": pl.Int64, "school_year": pl.Int32, "sector": pl.String})
    return pl.concat(frames).unique().join(links.select("record_key"), on="record_key", how="semi")
