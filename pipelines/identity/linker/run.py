"""Link one table: read, standardize, compare, group, write.

What belongs here: the order of the steps, files in and out. What does not: any of the rules.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.errors import P20wError
from pipelines.identity.linker.accuracy import Accuracy, accuracy
from pipelines.identity.linker.candidate import (
    compare_candidates,
    load_keys,
    load_plain_rules,
    pairs_of_groups,
    tie_knots,
)
from pipelines.identity.linker.columns import ColumnMap, read_map
from pipelines.identity.linker.group import components, group
from pipelines.identity.linker.model import Model, load_levels, score, train
from pipelines.identity.linker.policy import parameters, today
from pipelines.identity.linker.standard import column_names, standardize
from pipelines.identity.vault import extension_directory
from pipelines.progress import say
from pipelines.settings import Settings

NAMES = 2  # values compared where a given name and a surname are all that two records have in common
MEMORY_LIMIT = "750MB"  # of DuckDB; arrays and the libraries take about as much


@dataclass(frozen=True)
class Linked:
    """Outcome: the table written, its figures, and against the truth where there is one.

    `rows`: record_id, cluster_id, match_weight, rule, in the order of record_id. `join_weight`: the threshold used, in
    bits; `estimated_precision`: of the pairs inside groups, by the model's own account.
    """

    rows: pl.DataFrame
    clusters: int
    candidates: int
    join_weight: float
    estimated_precision: float
    accuracy: Accuracy | None


def link_file(settings: Settings, table: Path, columns: Path, out: Path, truth: str | None = None) -> Linked:
    """Link the records of a CSV or Parquet file and write `out` (CSV or Parquet), whole or not at all.

    Raises P20wError where a file, the map or a column cannot be used.
    """
    mapped = read_map(columns)
    if out.suffix not in {".csv", ".parquet"}:
        raise P20wError(f"--out must end with .csv or .parquet, not with '{out.suffix or out.name}'.")
    with tempfile.TemporaryDirectory() as folder, duckdb.connect(config=_configuration(settings, folder)) as con:
        con.execute("LOAD httpfs")
        con.execute("SET enable_progress_bar = false")
        _read(con, table)
        if truth is not None and truth not in (there := column_names(con, "source_table")):
            raise P20wError(
                f"The table has no column {truth}, which --truth names. It has: {', '.join(sorted(there))}."
            )
        linked = link(con, "source_table", mapped, settings.seeds)
        if truth is not None:
            _read(con, table)
            known = con.execute(
                f'SELECT nullif(trim("{truth}"), \'\') AS truth FROM source_table ORDER BY trim("{mapped.record_id}")'
            ).pl()["truth"]
            linked = replace(linked, accuracy=accuracy(linked.rows["cluster_id"], known))
    temporary = out.with_name("." + out.name + ".tmp")
    if out.suffix == ".csv":
        linked.rows.write_csv(temporary)
    else:
        linked.rows.write_parquet(temporary)
    temporary.replace(out)
    return linked


def _configuration(settings: Settings, folder: str) -> dict[str, str]:
    """What does not fit in memory spills, encrypted: tables hold names and numbers."""
    return {
        "extension_directory": str(extension_directory(settings)),
        "autoinstall_known_extensions": "false",
        "temp_file_encryption": "true",
        "temp_directory": folder,
        "memory_limit": MEMORY_LIMIT,
        "threads": "2",
    }


def link(con: duckdb.DuckDBPyConnection, table: str, columns: ColumnMap, seeds: Path) -> Linked:
    """Link the records of the table (every column text) on this connection, which is dropped when it has been read."""
    as_of = today()
    parameter = parameters(seeds / "policy" / "link_parameter.csv", as_of)
    count = standardize(con, table, columns, seeds / "reference", parameter["ssn_invalid_share"])
    con.execute(f"DROP TABLE {table}")
    plain = load_plain_rules(seeds / "policy" / "link_plain_rule.csv", as_of)
    knot = tie_knots(con, count, plain, columns.duplicate_free)
    candidates = compare_candidates(con, load_keys(seeds / "policy" / "link_key.csv", as_of))
    say(f"{count} records, {candidates} pairs to compare")
    model = train(con, load_levels(seeds / "policy" / "link_level.csv", as_of), count, parameter)
    weighed = _weigh(con, model, knot, count, parameter)
    only_once = _classes(con, columns.duplicate_free)
    found, join_weight, precision = _group(weighed, knot, count, parameter, only_once)
    rows = _rows(con, found, knot, weighed)
    return Linked(rows, rows["cluster_id"].n_unique(), candidates, join_weight, precision, None)


def _read(con: duckdb.DuckDBPyConnection, table: Path) -> None:
    if not table.is_file():
        raise P20wError(f"There is no table {table}.")
    reader = {".csv": "read_csv(?, all_varchar = true, header = true)", ".parquet": "read_parquet(?)"}.get(table.suffix)
    if reader is None:
        raise P20wError(f"{table.name} must be a .csv or a .parquet file.")
    try:
        con.execute(f"CREATE TABLE source_table AS SELECT CAST(COLUMNS(*) AS VARCHAR) FROM {reader}", [str(table)])
    except duckdb.Error:  # its text may quote a value
        raise P20wError(
            f"{table.name} could not be read as {table.suffix[1:].upper()} in UTF-8 with a header."
        ) from None
    for name in column_names(con, "source_table"):
        if name != name.strip():  # some writers leave blanks in the header
            con.execute(f'ALTER TABLE source_table RENAME COLUMN "{name}" TO "{name.strip()}"')


def _weigh(
    con: duckdb.DuckDBPyConnection, model: Model, knot: np.ndarray, count: int, parameter: dict[str, float]
) -> pl.DataFrame:
    """a, b, weight: the candidates, and every other pair inside a component that they tie together."""
    weighed = score(con, model, "SELECT a, b FROM candidate")
    between = [knot[weighed[end].to_numpy() - 1] - 1 for end in ("a", "b")]
    tied = weighed["weight"].to_numpy() >= parameter["tie_weight"]
    label = components(count, between[0][tied], between[1][tied])
    knots = np.unique(knot) - 1
    size = np.bincount(label[knots], minlength=count)[label[knots]]
    looked_at = knots[size > 2]
    every = pairs_of_groups(looked_at, label[looked_at].astype(np.uint64), int(parameter["group_limit"]))
    seen = np.unique((np.minimum(*between) << 32) | np.maximum(*between))
    unseen = np.setdiff1d(every, seen, assume_unique=True)
    con.register("unseen_pairs", {"a": (unseen >> 32) + 1, "b": (unseen & 0xFFFFFFFF) + 1})
    rest = score(con, model, "SELECT a, b FROM unseen_pairs", prepared=True)
    con.unregister("unseen_pairs")
    return pl.concat([weighed, rest])


def _classes(con: duckdb.DuckDBPyConnection, duplicate_free: tuple[str, ...]) -> np.ndarray | None:
    """Number of the duplicate-free source of each record, -1 for others; None where no source is declared so."""
    if not duplicate_free:
        return None
    source = con.execute("SELECT source FROM record ORDER BY id").pl()["source"]
    unknown = sorted(set(duplicate_free) - set(source.drop_nulls()))
    if unknown:
        raise P20wError(f"duplicate_free names {', '.join(unknown)}, which the source column never says.")
    return source.replace_strict(
        {name: i for i, name in enumerate(duplicate_free)}, default=-1, return_dtype=pl.Int64
    ).to_numpy()


def _group(
    weighed: pl.DataFrame, knot: np.ndarray, count: int, parameter: dict[str, float], only_once: np.ndarray | None
) -> tuple[np.ndarray, float, float]:
    """Group of each record (smallest record index), the joining weight, and the estimated precision.

    The rule for the joining weight, written down and blind to any truth: start at the policy's `join_weight`; ask more
    of pairs that names alone tie (_names_weight); then raise the joining weight by one bit until the estimated
    precision of the groups reaches the policy's `least_precision`. A record belongs to its group with the probability
    that its mean weight to the rest of the group says.
    """
    a = knot[weighed["a"].to_numpy() - 1] - 1
    b = knot[weighed["b"].to_numpy() - 1] - 1
    limit = parameter["weight_limit"]
    pairs = (
        pl.DataFrame(
            {
                "a": np.minimum(a, b),
                "b": np.maximum(a, b),
                "weight": weighed["weight"].clip(-limit, limit),
                "said": weighed["said"],
            }
        )
        .group_by("a", "b")
        .agg(
            weight=pl.when(pl.col("said").sum() > 0)
            .then((pl.col("weight") * pl.col("said")).sum() / pl.col("said").sum())
            .otherwise(pl.col("weight").mean()),
            said=pl.col("said").mean(),
        )
        .sort("a", "b")
    )
    a, b, weight, said = (pairs[name].to_numpy() for name in ("a", "b", "weight", "said"))
    join_weight = parameter["join_weight"]

    def grouped(names_weight: float) -> np.ndarray:
        less = weight - names_weight * (said <= NAMES)
        return group(count, a, b, less, said, join_weight, parameter["tie_weight"], -limit, only_once)

    found = grouped(0)
    names_weight = _names_weight(found, a, b, weight, said, np.bincount(knot - 1, minlength=count), parameter)
    if names_weight:
        found = grouped(names_weight)
    while True:
        precision = _estimated_precision(found, a, b, weight, said)
        if precision >= parameter["least_precision"] or join_weight >= limit:
            return found[knot - 1], join_weight, precision
        join_weight += 1
        found = grouped(names_weight)


def _names_weight(
    found: np.ndarray,
    a: np.ndarray,
    b: np.ndarray,
    weight: np.ndarray,
    said: np.ndarray,
    records: np.ndarray,
    parameter: dict[str, float],
) -> int:
    """Bits more that a pair needs of which no more than two values could be compared, as where names are all there is.

    How many people bear one name is known the worse the fewer names there are, and several records of a person repeat
    the same evidence. Such pairs may be estimated wrong in `names_wrong_share` of all pairs inside groups at most; a
    pair at the policy's joining weight is taken to be as likely right as wrong. records: in the knot of each node.
    """
    inside = found[a] == found[b]
    a, b, weight, said = a[inside], b[inside], weight[inside], said[inside]
    ends, held = np.concatenate([a, b]), np.zeros(len(found), dtype=bool)
    total = np.bincount(ends, weights=np.tile(weight * said, 2), minlength=len(found))
    values = np.bincount(ends, weights=np.tile(said, 2), minlength=len(found))
    held[ends[np.tile(said > NAMES, 2)]] = True
    mean = total / np.maximum(values, 1)
    above = np.minimum(np.where(held, np.inf, mean)[a], np.where(held, np.inf, mean)[b]) - parameter["join_weight"]
    pairs = records[a] * records[b]
    every = pairs.sum() + (records * (records - 1) // 2).sum()
    wrong = np.where(np.isfinite(above), pairs / (1 + np.exp2(np.minimum(above, 100))), 0.0)
    bits = 0
    while wrong[above >= bits].sum() > parameter["names_wrong_share"] * every:
        bits += 1
    return bits


def _estimated_precision(
    found: np.ndarray, a: np.ndarray, b: np.ndarray, weight: np.ndarray, said: np.ndarray
) -> float:
    """Mean over records, each counted with the pairs that it is part of, of the probability that it belongs."""
    inside = found[a] == found[b]
    ends = np.concatenate([a[inside], b[inside]])
    total = np.bincount(ends, weights=np.tile((weight * said)[inside], 2), minlength=len(found))
    values = np.bincount(ends, weights=np.tile(said[inside], 2), minlength=len(found))
    pairs = np.bincount(ends, minlength=len(found))
    in_pairs = values > 0
    if not in_pairs.any():
        return 1.0
    belongs = 1 / (1 + np.exp2(-total[in_pairs] / values[in_pairs]))
    return float((pairs[in_pairs] * belongs).sum() / pairs[in_pairs].sum())


def _rows(con: duckdb.DuckDBPyConnection, found: np.ndarray, knot: np.ndarray, weighed: pl.DataFrame) -> pl.DataFrame:
    """What is written. A cluster bears the record_id of its first record; the weight is the strongest that ties one."""
    ids = con.execute("SELECT record_id FROM record ORDER BY id").pl()["record_id"]
    strongest = np.full(len(found), -np.inf)
    a, b = (weighed[name].to_numpy() - 1 for name in ("a", "b"))
    kept = found[a] == found[b]
    for end in (a[kept], b[kept]):
        np.maximum.at(strongest, end, weighed["weight"].to_numpy()[kept])
    size = np.bincount(found, minlength=len(found))[found]
    in_knot = np.bincount(knot - 1, minlength=len(found))[knot - 1] > 1
    rule = np.select([size == 1, in_knot], ["alone", "plain_agreement"], "probability")
    weight = pl.Series(np.where(np.isfinite(strongest), strongest, np.nan)).fill_nan(None).round(3)
    return pl.DataFrame(
        {"record_id": ids, "cluster_id": ids.gather(found), "match_weight": weight, "rule": pl.Series(rule.tolist())}
    )
