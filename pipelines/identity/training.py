"""`p20w link train`: a proposed version of the linkage model from a home's own records, and the page to judge it by.

Belongs here: training on the vault, the proposed file and its report. Does not belong here: how weights are trained
(linker/model.py) and using a model (score.py). Nothing comes into force here: a steward reads the report and puts the
rows into seeds/policy/link_model.csv.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines.errors import P20wError
from pipelines.identity import score
from pipelines.identity.linker import model as comparing
from pipelines.identity.linker.candidate import compare_candidates, load_keys
from pipelines.identity.linker.model import Level, Model
from pipelines.identity.linker.policy import parameters
from pipelines.identity.policy import load_policy
from pipelines.identity.vault import open_vault
from pipelines.reports import page
from pipelines.settings import Settings

COLUMNS = ("version", "comparison", "level", "m", "u", "by_frequency", "reason", "authority", "effective_date")
NOT_REVIEWED = "Proposed; not reviewed by the state's identity steward"
BIN_BITS = 4


@dataclass(frozen=True)
class Training:
    """What a training saw and found. seen: for each comparison the pairs taken for matches, by level; stayed: whether
    the comparison rests on the shipped prior more than on them; weights: (bits from, pairs), of the candidates."""

    version: str
    records: int
    knots: int
    candidates: int
    model: Model
    seen: dict[str, np.ndarray]
    stayed: dict[str, bool]
    estimated_precision: float
    merge_weight: float
    weights: list[tuple[int, int]]

    @property
    def matches(self) -> float:
        """Matches expected among all pairs of records."""
        return self.model.match_share * self.records * (self.records - 1) / 2


def train_home(settings: Settings, out: Path | None = None, on: date | None = None) -> Path:
    """Train on the home's vault and write link_model.csv and index.html; returns their folder.

    out: the folder, by default evidence/link_model/<version> of the home. on: the day that names the version and from
    which its rows propose to count, by default today. Raises P20wError where the vault holds nothing to train on.
    """
    on = on or date.today()
    with open_vault(settings) as con:
        training = train(con, settings, on)
    folder = out or settings.evidence / "link_model" / training.version
    write_training(settings, folder, training, on)
    return folder


def write_training(settings: Settings, folder: Path, training: Training, on: date) -> None:
    """The proposed rows (link_model.csv) and the report (index.html) into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = model_rows(training, on)
    with (folder / "link_model.csv").open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    in_force = None
    if (settings.seeds / "policy" / "link_model.csv").exists():
        in_force = score.load_model(settings.seeds / "policy" / "link_model.csv", on)
    _write_report(settings, folder, training, in_force)


def train(con: duckdb.DuckDBPyConnection, settings: Settings, on: date) -> Training:
    """u from random pairs of the vault's records, m by shrinkage from the shipped prior; the vault is not changed."""
    policy = settings.seeds / "policy"
    parameter = parameters(policy / "link_parameter.csv", on)
    merge_weight = load_policy(policy / "identity_parameter.csv", on).merge_weight
    try:
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT record_key FROM {score.STAGED}"
            " WHERE sector <> 'workforce' AND NOT is_bare"
        )
    except duckdb.CatalogException:
        raise P20wError(
            "The vault holds no staged records. Run `p20w nightly` once, so that there is something to train on."
        ) from None
    score.make_records(con)
    knots = score.find_knots(con, "record")
    records = knots.height
    if records < 2:
        raise P20wError("The vault holds fewer than two records that can be compared: there is nothing to train on.")
    con.register("knots", knots.to_arrow())
    con.execute(
        "CREATE OR REPLACE TEMP TABLE knot AS SELECT own.id, first.id AS knot FROM knots"
        " JOIN record AS own ON own.record_key = knots.record_key JOIN record AS first ON first.record_key = knots.knot"
    )
    con.unregister("knots")
    con.execute("USE memory")
    try:
        candidates = compare_candidates(con, load_keys(policy / "score_key.csv", on))
        prior = comparing.load_levels(policy / "link_level.csv", on)
        model = comparing.train(con, prior, records, parameter)
        weighed = comparing.score(con, model, "SELECT a, b FROM candidate")
        seen = _seen(con, model, weighed.filter(pl.col("weight") >= merge_weight))
    finally:
        con.execute("USE vault")
    sure = weighed.filter(pl.col("weight") >= merge_weight)["weight"].to_numpy()
    binned = weighed.group_by(pl.col("weight").floordiv(BIN_BITS).cast(pl.Int64) * BIN_BITS).len().sort("weight")
    return Training(
        version=on.isoformat(),
        records=records,
        knots=knots["knot"].n_unique(),
        candidates=candidates,
        model=model,
        seen=seen,
        stayed={name: float(counts.sum()) < parameter["prior_matches"] for name, counts in seen.items()},
        estimated_precision=float(np.mean(1 / (1 + np.exp2(-sure)))) if len(sure) else 1.0,
        merge_weight=merge_weight,
        weights=[(int(bits), int(pairs)) for bits, pairs in binned.iter_rows()],
    )


def _seen(con: duckdb.DuckDBPyConnection, model: Model, sure: pl.DataFrame) -> dict[str, np.ndarray]:
    """Pairs at each level among those taken for matches: sure candidates, and records that the tiers tie."""
    con.register("sure", sure.select("a", "b").to_arrow())
    levels = comparing.levels_of(
        con, model.comparisons, "SELECT a, b FROM sure UNION ALL SELECT knot, id FROM knot WHERE knot < id"
    )
    con.unregister("sure")
    return {
        name: np.bincount(levels[levels[:, j] >= 0, j], minlength=len(stated))
        for j, (name, stated) in enumerate(model.comparisons.items())
    }


def model_rows(training: Training, on: date) -> list[dict[str, str]]:
    """The rows of the model file for this version, in the order in which they are read."""
    model = training.model
    common = {"version": training.version, "authority": NOT_REVIEWED, "effective_date": on.isoformat()}
    trained = f"Trained on {training.records} records on {on}"

    def row(comparison: str, level: str, m: float, u: float, by_frequency: bool, reason: str) -> dict[str, str]:
        return common | {
            "comparison": comparison, "level": level, "m": f"{m:.6g}", "u": f"{u:.6g}",
            "by_frequency": str(by_frequency).lower(), "reason": reason,
        }  # fmt: skip

    rows = [row(*score.MATCHES, training.matches / training.records, 1, False, f"{trained}: matching pairs per record")]
    for place, bits in zip(score.TWIN, model.twin_bits, strict=True):
        rows.append(row(*place, 0.5 * 2.0**bits, 0.5, False, "Shipped bits against pairs that look like twins"))
    for name, levels in model.comparisons.items():
        source = "Shipped prior for m; u counted" if training.stayed[name] else "m by shrinkage from the shipped prior"
        for level, m, u in zip(levels, model.m[name], model.u[name], strict=True):
            rows.append(row(name, level.name, m, u, level.by_frequency, f"{trained}; {source}"))
    return rows


# --- the report -------------------------------------------------------------------------------------------------------
def _write_report(settings: Settings, folder: Path, training: Training, in_force: score.ReviewedModel | None) -> None:
    """index.html: counts and weights only, no value of any record."""
    words = score.words(settings.seeds / "policy" / "link_level.csv")
    page.copy_style(folder)
    page.write(
        folder / "index.html",
        "link_model.html",
        training=training,
        in_force=in_force.version if in_force else None,
        comparisons=[
            {"name": name.replace("_", " "), "stayed": training.stayed[name], "levels": levels}
            for name, levels in _levels(training, in_force, words).items()
        ],
        histogram=_histogram(training),
    )


def _levels(
    training: Training, in_force: score.ReviewedModel | None, words: dict[tuple[str, str], str]
) -> dict[str, list[dict]]:
    model = training.model
    widest = max(
        abs(_bits(m, u)) for name in model.comparisons for m, u in zip(model.m[name], model.u[name], strict=True)
    )
    found: dict[str, list[dict]] = {}
    for name, levels in model.comparisons.items():
        before = _before(in_force, name)
        for j, level in enumerate(levels):
            m, u = float(model.m[name][j]), float(model.u[name][j])
            bits = _bits(m, u)
            found.setdefault(name, []).append(
                {
                    "label": words.get((name, level.name), level.name)
                    + (" (by frequency)" if level.by_frequency else ""),
                    "seen": int(training.seen[name][j]),
                    "m": f"{m:.4f}",
                    "u": f"{u:.3g}",
                    "bits": f"{bits:+.1f}",
                    "before": before.get(level.name, "none"),
                    # A bar of the chart: a line at the middle (100) is 0 bits.
                    "x": 100 + min(0.0, bits) / widest * 100,
                    "width": abs(bits) / widest * 100,
                }
            )
    return found


def _before(in_force: score.ReviewedModel | None, name: str) -> dict[str, str]:
    if in_force is None or name not in in_force.comparisons:
        return {}
    stated: list[Level] = in_force.comparisons[name]
    return {
        level.name: f"{_bits(m, u):+.1f}"
        for level, m, u in zip(stated, in_force.m[name], in_force.u[name], strict=True)
    }


def _bits(m: float, u: float) -> float:
    return math.log2(m / u)


def _histogram(training: Training) -> list[dict]:
    most = max((pairs for _, pairs in training.weights), default=1)
    return [
        {"bits": f"{bits} to {bits + BIN_BITS}", "pairs": pairs, "width": math.log1p(pairs) / math.log1p(most) * 200}
        for bits, pairs in training.weights
    ]
