"""Is the candidate plausible? Great Expectations' suites, declared in `seeds/policy/expectation.csv`.

What belongs here: the child process that loads the library and tries the suites on pandas frames, and the parent's
side that starts it and records what it found. What does not: which expectations (the seed) and what a failure means
(`pipelines.release.gate`).

The library takes seconds to load, so that only the child imports it. A child that ends badly leaves no evidence,
and without evidence nothing is released.

Frames: each mart of the candidate by its name, and two made here from the long mart:
- `coverage`: indicator_code, cohort_year, all_group_count, missing_breakdown_count, missing_level_count
- `comparison` with the last release, over years in both: indicator_code, cohort_year, row_count_ratio,
  missing_organization_count, missing_group_count, state_rate_change, state_denominator_ratio (the furthest from
  the last release over subjects)
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import polars as pl

from pipelines.quality import check_result
from pipelines.registers import read_seed
from pipelines.settings import Settings, child_environment, settings

LONG_MART = "mart_indicator__organization"
_LONGEST_SECONDS = 900
_PUBLISHED = ("shown", "banded", "suppressed")


def run_expectations(settings: Settings, build_id: str) -> str:
    """Try all suites on the candidate in a child process and record the results under `build_id`.

    The same candidate against the same release and seeds is not tried again: its kept results are recorded. Returns
    a sentence; a child that failed is told there, and records nothing.
    """
    from pipelines.release.candidate import load_candidate
    from pipelines.release.publish import current

    candidate_id = load_candidate(settings).id
    shown = current(settings)
    key = hashlib.sha256()
    for part in (candidate_id, shown.name if shown else "", *(path.read_text() for path in _seeds(settings))):
        key.update(part.encode() + b"\0")
    kept = settings.evidence / "expectation" / f"{key.hexdigest()[:16]}.json"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        command = [sys.executable, "-m", "pipelines.quality.expectations", "--candidate", str(settings.candidate)]
        command += ["--previous", str(shown) if shown else "", "--out", str(kept)]
        try:
            done = subprocess.run(
                command,
                cwd=settings.root,
                env=child_environment(settings),
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_LONGEST_SECONDS,
                check=False,
            )
            code: object = done.returncode
        except subprocess.TimeoutExpired:
            code = f"none within {_LONGEST_SECONDS} seconds"
        if code != 0 or not kept.exists():
            kept.unlink(missing_ok=True)
            return (
                f"The expectations ended without results (exit code {code}): there is no evidence, nothing is released."
            )
    results = json.loads(kept.read_text(encoding="utf-8"))
    rows = [{**row, "layer": "expectation", "input_fingerprint": candidate_id} for row in results["results"]]
    check_result.record(settings, build_id, "expectation", rows)
    failed = sum(row["status"] in ("fail", "error") for row in rows)
    return f"{len(rows)} results of {results['expectation_count']} expectations, {failed} failed."


def _seeds(settings: Settings) -> list[Path]:
    paths = [settings.seeds / "policy" / "expectation.csv", settings.seeds / "registers" / "indicator.csv"]
    return [path for path in paths if path.exists()]


# --- the child ----------------------------------------------------------------------------------------


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the child: read Parquet, write JSON."""
    parser = argparse.ArgumentParser(description="Try the expectations on a candidate's marts.")
    parser.add_argument("--candidate", type=Path, required=True, help="folder with data/*.parquet")
    parser.add_argument("--previous", default="", help="folder of the last release, or empty")
    parser.add_argument("--out", type=Path, required=True, help="JSON file to write")
    given = parser.parse_args(arguments)
    configuration = settings()
    suite = read_seed(configuration, "policy/expectation.csv")
    if not suite:
        print("seeds/policy/expectation.csv declares no expectation.", file=sys.stderr)
        return 1
    register = read_seed(configuration, "registers/indicator.csv")
    frames = load_frames(given.candidate, Path(given.previous) if given.previous else None, register)
    content = {"expectation_count": len(suite), "results": try_suite(suite, frames)}
    temporary = given.out.with_name(f".{given.out.name}.part")
    temporary.write_text(json.dumps(content, indent=1), encoding="utf-8")
    os.replace(temporary, given.out)
    return 0


def load_frames(candidate: Path, previous: Path | None, register: list[dict[str, str]]) -> dict[str, pl.DataFrame]:
    """Frames by name: the candidate's marts, `coverage`, and `comparison` where there is a last release."""
    frames = {path.stem: pl.read_parquet(path) for path in sorted((candidate / "data").glob("*.parquet"))}
    long = frames.get(LONG_MART)
    if long is not None:
        frames["coverage"] = coverage(long, register)
        released = previous / "data" / f"{LONG_MART}.parquet" if previous else None
        if released is not None and released.exists():
            frames["comparison"] = comparison(long, pl.read_parquet(released))
    return frames


def coverage(long: pl.DataFrame, register: list[dict[str, str]]) -> pl.DataFrame:
    """What each indicator and year lacks of what its register row promises."""
    promised = {
        row["indicator_code"]: (set(row["breakdowns"].split(";")), set(row["levels"].split(";"))) for row in register
    }
    found = (
        long.group_by("indicator_code", "cohort_year")
        .agg(
            (pl.col("breakdown_code") == "all").sum().cast(pl.Int64).alias("all_group_count"),
            pl.col("breakdown_code").unique().alias("breakdowns"),
            pl.col("organization_level").unique().alias("levels"),
        )
        .sort("indicator_code", "cohort_year")
    )
    rows = []
    for row in found.iter_rows(named=True):
        breakdowns, levels = promised.get(row["indicator_code"], (set(), set()))
        rows.append(
            {
                "indicator_code": row["indicator_code"],
                "cohort_year": row["cohort_year"],
                "all_group_count": row["all_group_count"],
                "missing_breakdown_count": len(breakdowns - set(row["breakdowns"])),
                "missing_level_count": len(levels - set(row["levels"])),
            }
        )
    schema = {"indicator_code": pl.String, "cohort_year": pl.Int64, "all_group_count": pl.Int64}
    return pl.DataFrame(rows, schema={**schema, "missing_breakdown_count": pl.Int64, "missing_level_count": pl.Int64})


def comparison(long: pl.DataFrame, released: pl.DataFrame) -> pl.DataFrame:
    """How far each indicator and year moved from the last release; years that showed nothing then are left out."""
    year = ["indicator_code", "cohort_year"]
    was_published = released.group_by(year).agg(pl.col("value_status").is_in(_PUBLISHED).any().alias("published"))
    released = released.join(was_published.filter("published").select(year), on=year, how="semi")

    def vanished(columns: list[str], name: str) -> pl.DataFrame:
        before = released.select(*year, *columns).unique()
        now = long.select(*year, *columns).unique()
        lost = before.join(now, on=[*year, *columns], how="anti", nulls_equal=True)
        return lost.group_by(year).len(name).with_columns(pl.col(name).cast(pl.Int64))

    def whole_state(frame: pl.DataFrame) -> pl.DataFrame:
        # A year without any number (window still open, incomplete) has no rate to compare.
        at_state = (pl.col("organization_level") == "state") & (pl.col("breakdown_code") == "all")
        return frame.filter(at_state).select(
            *year, "subject_code", pl.col("rate").cast(pl.Float64), pl.col("denominator_count").cast(pl.Float64)
        )

    moved = (
        whole_state(released)
        .join(whole_state(long), on=[*year, "subject_code"], suffix="_now")
        .with_columns(
            (pl.col("rate_now") - pl.col("rate")).alias("state_rate_change"),
            pl.when(pl.col("denominator_count") > 0)
            .then(pl.col("denominator_count_now") / pl.col("denominator_count"))
            .alias("state_denominator_ratio"),
        )
        .group_by(year)
        .agg(
            pl.col("state_rate_change").sort_by(pl.col("state_rate_change").abs(), nulls_last=False).last(),
            pl.col("state_denominator_ratio")
            .sort_by((pl.col("state_denominator_ratio") - 1).abs(), nulls_last=False)
            .last(),
        )
    )
    rows = (
        released.group_by(year)
        .len("before")
        .join(long.group_by(year).len("now"), on=year, how="left")
        .with_columns((pl.col("now").fill_null(0) / pl.col("before")).alias("row_count_ratio"))
        .join(
            vanished(["organization_level", "organization_id_state"], "missing_organization_count"), on=year, how="left"
        )
        .join(vanished(["breakdown_code", "group_code"], "missing_group_count"), on=year, how="left")
        .join(moved, on=year, how="left")
        .with_columns(pl.col("missing_organization_count", "missing_group_count").fill_null(0))
    )
    return rows.drop("before", "now").sort(year)


def try_suite(suite: list[dict[str, str]], frames: dict[str, pl.DataFrame]) -> list[dict]:
    """Check rows (without layer) of every expectation: one where it holds, else one for each family and year."""
    import great_expectations as gx

    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = {"globally": False}
    source = context.data_sources.add_pandas("candidate")
    rows = []
    for frame_name in dict.fromkeys(row["mart"] for row in suite):
        declared = [row for row in suite if row["mart"] == frame_name]
        frame = frames.get(frame_name)
        if frame is None:
            rows += [_row(row, "not_applicable", 0, 0, None, None, f"There is no {frame_name}.") for row in declared]
            continue
        asset = source.add_dataframe_asset(frame_name).add_batch_definition_whole_dataframe("all")
        for family in dict.fromkeys(row["family"] for row in declared):
            of_family = frame if family == "*" else frame.filter(pl.col("indicator_code") == family)
            wanted = [row for row in declared if row["family"] == family]
            rows += _try(gx, asset, of_family, wanted)
    return rows


def _try(gx, asset, frame: pl.DataFrame, declared: list[dict[str, str]]) -> list[dict]:
    keys = [name for name in ("indicator_code", "cohort_year") if name in frame.columns]
    # Decimals would be Python objects in pandas; bounds of plausibility need no exact arithmetic.
    plain = frame.with_columns(pl.selectors.decimal().cast(pl.Float64))
    batch = asset.get_batch(batch_parameters={"dataframe": plain.to_pandas()})
    sizes = (
        {tuple(row[name] for name in keys): row["len"] for row in frame.group_by(keys).len().iter_rows(named=True)}
        if keys
        else {}
    )
    rows = []
    for row in declared:
        arguments = json.loads(row["arguments"])
        if row["column"]:
            arguments["column"] = row["column"]
        expectation = getattr(gx.expectations, row["expectation_type"])(**arguments)
        outcome = batch.validate(
            expectation, result_format={"result_format": "COMPLETE", "unexpected_index_column_names": keys}
        ).to_json_dict()
        rows += _rows(row, outcome, frame.height, keys, sizes)
    return rows


def _rows(row: dict[str, str], outcome: dict, total: int, keys: list[str], sizes: dict[tuple, int]) -> list[dict]:
    result = outcome["result"]
    if outcome["success"]:
        return [_row(row, "pass", 0, result.get("element_count", total), None, None, row["reason"] + ".")]
    family = None if row["family"] == "*" else row["family"]
    if "unexpected_count" not in result and "observed_value" not in result:
        message = f"{row['reason']}. It could not be tried: {row['mart']} may lack the column {row['column']}."
        return [_row(row, "error", 0, total, _family(row, family), None, message)]
    places = result.get("unexpected_index_list") or []
    if not places or not keys:
        failing = result.get("unexpected_count", 1)
        return [_row(row, _failed(row), failing, total, _family(row, family), None, row["reason"] + ".")]
    counted: dict[tuple, int] = {}
    for place in places:
        # pandas turns a column with gaps into floats
        key = tuple(_plain(place[name]) for name in keys)
        counted[key] = counted.get(key, 0) + 1
    rows = []
    for key, failing in sorted(counted.items(), key=str):
        named = dict(zip(keys, key, strict=True))
        year = named.get("cohort_year")
        of = _family(row, named.get("indicator_code") or family)
        rows.append(_row(row, _failed(row), failing, sizes.get(key, total), of, year, row["reason"] + "."))
    return rows


def _family(row: dict[str, str], found: str | None) -> str:
    """Family that a failure is about; a failure of the long mart that names none is about every family."""
    return found or ("*" if row["mart"] in (LONG_MART, "coverage", "comparison") else row["mart"])


def _failed(row: dict[str, str]) -> str:
    return "fail" if row["severity"] == "error" else "warn"


def _plain(value: object) -> object:
    if isinstance(value, float):
        return int(value) if value == value else None
    return value


def _row(
    row: dict[str, str], status: str, failing: int, total: int, family: str | None, year: int | None, message: str
) -> dict:
    return {
        "check_id": f"expectation.{row['mart']}.{row['expectation_id']}",
        "category": row["category"],
        "severity": row["severity"],
        "status": status,
        "failing_count": failing,
        "total_count": total,
        "family": family,
        "school_year": year,
        "message": message,
    }


if __name__ == "__main__":
    sys.exit(main())
