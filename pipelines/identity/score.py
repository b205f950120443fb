"""Match weights, in bits, of pairs of records that the tiers leave: kept current in the vault, by the reviewed model.

Belongs here: which records are compared in a night, reading the model in force (seeds/policy/link_model.csv), scoring
with Splink, and the weights of any one pair. Does not belong here: how two records are compared
(linker/model.py), training (training.py), and what a weight leads to (partition.py, the steward's queue).

A knot is a component of the tiers' links: one record of it stands for each value of a key. Two knots that share a
value of a key (seeds/policy/score_key.csv) are compared, unless too many share it. Wages take no part, because they
link through their number alone, and neither do records without name and birth date.

Nothing of a weight is counted on tonight's records: m, u and how many matches a record has come from the model file,
and the frequencies of names were counted once, on the first night of the version, and stay with it in the vault. So a
night that scores only what changed ends with the same rows as one that scores everything.

Splink's predict_between makes pairs by its own blocking rules. It knows neither knots nor caps, so the pairs are made
here and given to it (register_blocked_pairs_for_predict).
"""

from __future__ import annotations

import csv
import hashlib
import logging
import math
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from pipelines import planner
from pipelines.errors import P20wError
from pipelines.identity.linker import model as comparing
from pipelines.identity.linker import standard
from pipelines.identity.linker.candidate import Key, load_keys
from pipelines.identity.linker.group import components
from pipelines.identity.linker.model import Level, Model
from pipelines.identity.partition import WEIGHED
from pipelines.identity.policy import load_policy
from pipelines.settings import Settings

# Rows of the model file that are no comparison of two values.
MATCHES = ("match", "per_record")
TWIN = (("twin", "recurs"), ("twin", "once"))
# How many records bear a name and birth date is kept beside the keys, under this number.
NAME_AND_BIRTH = 0
# In term_frequency: one record's share, for a value that nobody bore when the version was counted.
ONE_RECORD = "record"
STAGED = "vault.staging.stg_identity__record"
# Those of them that can be compared.
ABLE = f"(SELECT record_key FROM {STAGED} WHERE sector <> 'workforce' AND NOT is_bare)"
LINKS = "vault.linkage.int_linkage__pair"
RECORD_KEY_BITS = 63
_KEPT = "SELECT record_key_a, record_key_b, weight FROM vault.pair_score"
# Standard columns that no collection of the five sectors brings to the vault.
NOT_COLLECTED = ("street_number", "address", "city", "state", "birth_place", "occupation")


@dataclass(frozen=True)
class ReviewedModel:
    """A version of the model file: comparisons, m and u by level, matching pairs per record, and bits against twins."""

    version: str
    comparisons: dict[str, list[Level]]
    m: dict[str, np.ndarray]
    u: dict[str, np.ndarray]
    matches_per_record: float
    twin_bits: tuple[float, float]

    def over(self, records: float) -> Model:
        """The linker's model for a state of so many records: the more there are, the rarer is a match among pairs."""
        share = min(0.5, 2 * self.matches_per_record / max(records - 1, 1))
        return Model(self.comparisons, self.m, self.u, share, self.twin_bits)


@dataclass(frozen=True)
class ScoreSummary:
    """One night's scoring. changed: records scored again; pairs: pairs scored tonight; kept: rows of pair_score;
    estimated_precision: of the kept pairs at or above the merging weight, by the model's own account (1 without one).
    """

    model_version: str
    everything: bool
    changed: int
    pairs: int
    kept: int
    estimated_precision: float

    def as_metadata(self) -> dict[str, int | float | str | bool]:
        return asdict(self)


@dataclass(frozen=True)
class _Basis:
    """What scores follow from, beside the records; `fingerprint` changes with any of it."""

    model: ReviewedModel
    keys: list[Key]
    kept_weight: float
    merge_weight: float
    fingerprint: str


# --- the model file ---------------------------------------------------------------------------------------------------
def load_model(path: Path, as_of: date) -> ReviewedModel:
    """The version with the newest effective date not after `as_of`.

    Raises P20wError that names the file, the row and the rule for a row that is not understood, for shares that do not
    sum to 1 and for a date without a version.
    """
    rows = []
    with path.open(newline="", encoding="utf-8") as handle:
        for line, row in enumerate(csv.DictReader(handle), start=2):
            try:
                since = date.fromisoformat(row["effective_date"])
                m, u = float(row["m"]), float(row["u"])
            except ValueError:
                raise P20wError(
                    f"{path.name}, row {line}: m and u must be numbers and effective_date a date like 2026-07-01."
                ) from None
            if min(m, u) <= 0:
                raise P20wError(f"{path.name}, row {line}: m and u must be above 0; no level is impossible.")
            rows.append((since, line, row, m, u))
    in_force = max(((since, row["version"]) for since, _, row, _, _ in rows if since <= as_of), default=None)
    if in_force is None:
        raise P20wError(f"{path.name}: no version is in force on {as_of}. Add the rows of one that a steward reviewed.")
    comparisons: dict[str, list[Level]] = {}
    m: dict[str, list[float]] = {}
    u: dict[str, list[float]] = {}
    special: dict[tuple[str, str], float] = {}
    for since, line, row, own, strangers in rows:
        comparison, level = row["comparison"], row["level"]
        if (since, row["version"]) != in_force:
            continue
        if (comparison, level) == MATCHES:
            special[comparison, level] = own / strangers
            continue
        if (comparison, level) in TWIN:
            special[comparison, level] = math.log2(own / strangers)
            continue
        if comparison not in standard.STANDARD or (
            level != "different" and level not in comparing.conditions(comparison)
        ):
            raise P20wError(f"{path.name}, row {line}: {comparison} knows no level '{level}'.")
        comparisons.setdefault(comparison, []).append(Level(level, own, row["by_frequency"] == "true"))
        m.setdefault(comparison, []).append(own)
        u.setdefault(comparison, []).append(strangers)
    version = in_force[1]
    missing = [f"{comparison} {level}" for comparison, level in (MATCHES, *TWIN) if (comparison, level) not in special]
    if missing or not comparisons:
        raise P20wError(f"{path.name}: version {version} lacks {', '.join(missing) or 'comparisons'}. Add the rows.")
    for name, levels in comparisons.items():
        if levels[-1].name != "different" or abs(sum(m[name]) - 1) > 1e-3 or abs(sum(u[name]) - 1) > 1e-3:
            raise P20wError(
                f"{path.name}: in version {version} the levels of {name} must end with 'different', and m and u must "
                f"each sum to 1 (they sum to {sum(m[name]):.4f} and {sum(u[name]):.4f})."
            )
    return ReviewedModel(
        version,
        comparisons,
        {name: np.array(values) for name, values in m.items()},
        {name: np.array(values) for name, values in u.items()},
        special[MATCHES],
        (special[TWIN[0]], special[TWIN[1]]),
    )


def _basis(settings: Settings, on: date | None) -> _Basis:
    """The policy in force on a day, by default the day of the night that is running."""
    on = on or planner.build_date(settings) or date.today()
    folder = settings.seeds / "policy"
    model = load_model(folder / "link_model.csv", on)
    policy = load_policy(folder / "identity_parameter.csv", on)
    keys = load_keys(folder / "score_key.csv")
    # Values of keys are kept as DuckDB's hashes, and its next version may hash otherwise.
    stated = [repr(model), repr(keys), str(policy.score_kept_weight), duckdb.__version__]
    written = [Path(module.__file__).read_text(encoding="utf-8") for module in (comparing, standard)]
    written.append(Path(__file__).read_text(encoding="utf-8"))
    fingerprint = hashlib.sha256("\n".join(stated + written).encode()).hexdigest()
    return _Basis(model, keys, policy.score_kept_weight, policy.merge_weight, fingerprint)


# --- a night ----------------------------------------------------------------------------------------------------------
def score_left(
    con: duckdb.DuckDBPyConnection, settings: Settings, touched: str | None = None, on: date | None = None
) -> ScoreSummary:
    """Make vault.pair_score current. Call it with the vault open, after dbt's identity phase.

    touched: a relation with the column record_key, of the records that came or went since the scores were made current,
    or whose tier pairs may differ; None: all of them. on: the day whose policy counts, by default that of the running
    build. A new model version, key or comparison scores everything, and so do records that were staged by other rules.
    A night killed in between does too, because what the scores follow from is written last.

    Leaves the temporary table rescored (record_key): records with a kept pair that came, went or weighs otherwise.
    They may be others than the touched, because a cap or the frequency of a name and birth date is shared.
    """
    basis = _basis(settings, on)
    fingerprint = basis.fingerprint + _staged_with(con)
    everything = touched is None or _scored_with(con) != fingerprint
    con.execute("TRUNCATE vault.score_basis")
    with _scratch(
        con, "changed", "closure", "chosen", "record", "scored_now", "key_now", "gone", "closure_key", "held", "sized",
        "crossed", "met", "other_frequency", "candidate_before", "candidate_now", "candidate", "dropped", "pair_before",
    ):  # fmt: skip
        if everything:
            con.execute(f"CREATE OR REPLACE TEMP TABLE pair_before AS {_KEPT}")
            for table in ("pair_score", "scored", "score_key"):
                con.execute(f"TRUNCATE vault.{table}")
        _find_closure(con, touched, everything)
        _make_now(con, basis.keys)
        came = "key_now"
        if not everything:
            _take_keys_of_gone(con)
            _find_held(con)
            came = "key_now ANTI JOIN vault.scored USING (record_key)"
        con.execute(f"INSERT INTO vault.score_key SELECT * FROM {came} ORDER BY key, record_key")
        con.execute("DELETE FROM vault.scored WHERE record_key IN (SELECT record_key FROM closure)")
        con.execute("INSERT INTO vault.scored SELECT * FROM scored_now ORDER BY record_key")
        model = basis.model.over(_count_frequencies(con, basis.model))
        if everything:
            _make_candidates(con, basis.keys)
        else:
            _find_crossed(con, basis.keys)
            _make_changed_candidates(con, basis.keys)
        pairs = con.execute("SELECT count(*) FROM candidate").fetchone()[0]
        weighed = _weighed(con, model, basis.model.version, "FROM candidate", basis.kept_weight)
        if not everything:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE pair_before AS {_KEPT}"
                " SEMI JOIN dropped USING (record_key_a, record_key_b)"
            )
            con.execute(
                "DELETE FROM vault.pair_score USING pair_before AS gone"
                " WHERE pair_score.record_key_a = gone.record_key_a AND pair_score.record_key_b = gone.record_key_b"
            )
        con.register("weighed", weighed.to_arrow())
        con.execute("INSERT INTO vault.pair_score SELECT *, ? FROM weighed", [basis.model.version])
        con.execute(
            """
            CREATE OR REPLACE TEMP TABLE rescored AS
            WITH now AS (SELECT record_key_a, record_key_b, weight FROM weighed),
            differs AS ((FROM now EXCEPT FROM pair_before) UNION ALL (FROM pair_before EXCEPT FROM now))
            SELECT DISTINCT unnest([record_key_a, record_key_b]) AS record_key FROM differs
            """
        )
        con.unregister("weighed")
        changed = con.execute("SELECT count(*) FROM scored_now").fetchone()[0]
    con.execute("INSERT INTO vault.score_basis VALUES (?)", [fingerprint])
    kept, precision = con.execute(
        "SELECT count(*), avg(1 / (1 + pow(2, -weight))) FILTER (weight >= ?) FROM vault.pair_score",
        [basis.merge_weight],
    ).fetchone()
    return ScoreSummary(
        basis.model.version, everything, changed, pairs, kept, 1.0 if precision is None else round(precision, 6)
    )


def _staged_with(con: duckdb.DuckDBPyConnection) -> str:
    """The rules by which the records were staged; under the same ones the keys of a record are always the same."""
    found = con.execute("SELECT fingerprint FROM vault.identity_basis").fetchone()
    return found[0] if found else ""


def _scored_with(con: duckdb.DuckDBPyConnection) -> str | None:
    found = con.execute("SELECT fingerprint FROM vault.score_basis").fetchone()
    return found and found[0]


@contextmanager
def _scratch(con: duckdb.DuckDBPyConnection, *tables: str) -> Iterator[None]:
    """Temporary tables of one run; they hold identifiers and are gone afterwards, whatever happens."""
    try:
        yield
    finally:
        for table in tables:
            con.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _find_closure(con: duckdb.DuckDBPyConnection, touched: str | None, everything: bool) -> None:
    """closure (record_key): records whose knot may differ from last night's, those that went included.

    Whoever is touched; whom a link ties to them; and all records of their knots of last night.
    """
    if everything:
        con.execute(f"CREATE OR REPLACE TEMP TABLE closure AS FROM {ABLE}")
        return
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE changed AS
        SELECT record_key FROM {touched} SEMI JOIN {ABLE} USING (record_key)
        UNION SELECT record_key FROM {touched} SEMI JOIN vault.scored USING (record_key)
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE closure AS
        WITH tied AS (
            SELECT record_key_b AS record_key FROM {LINKS} SEMI JOIN changed ON record_key = record_key_a
            WHERE joins = 'link'
            UNION SELECT record_key_a FROM {LINKS} SEMI JOIN changed ON record_key = record_key_b
            WHERE joins = 'link'
            UNION SELECT record_key FROM changed
        ),
        knot AS (SELECT DISTINCT knot FROM vault.scored SEMI JOIN tied USING (record_key))
        SELECT record_key FROM vault.scored SEMI JOIN knot USING (knot)
        UNION SELECT record_key FROM tied
        """
    )


def _make_now(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """scored_now and key_now: rows of vault.scored and vault.score_key for the closure's current records."""
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE chosen AS SELECT record_key FROM closure SEMI JOIN {ABLE} USING (record_key)"
    )
    make_records(con)
    con.register("knots", find_knots(con).to_arrow())
    con.execute(
        "CREATE OR REPLACE TEMP TABLE scored_now AS SELECT record_key, knot, CAST("
        + " + ".join(f"({name} IS NOT NULL)::INT" for name in standard.STANDARD)
        + " AS UTINYINT) AS said FROM record JOIN knots USING (record_key)"
    )
    con.unregister("knots")
    parts = {NAME_AND_BIRTH: ("given_root", "surname", "birth")}
    parts |= {number: key.parts for number, key in _numbered(keys).items() if not set(key.parts) & set(NOT_COLLECTED)}
    con.execute("CREATE OR REPLACE TEMP TABLE key_now (record_key BIGINT, key UTINYINT, value UBIGINT)")
    for number, names in parts.items():
        text = " || '|' || ".join(names)
        con.execute(
            f"INSERT INTO key_now SELECT record_key, {number}, hash({text}) FROM record WHERE {text} IS NOT NULL"
        )
    con.execute("DROP TABLE temp.record; DROP TABLE temp.chosen")


def find_knots(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    """record_key, knot (the smallest record key in it), of the records in `record`, by the tiers' links among them."""
    ids = con.execute("SELECT record_key FROM record ORDER BY id").fetchnumpy()["record_key"]
    links = con.execute(
        f"SELECT x.id AS a, y.id AS b FROM {LINKS} AS pair JOIN record AS x ON x.record_key = pair.record_key_a"
        " JOIN record AS y ON y.record_key = pair.record_key_b WHERE joins = 'link'"
    ).fetchnumpy()
    label = components(len(ids), *(np.asarray(links[name], dtype=np.int64) - 1 for name in ("a", "b")))
    _, first = np.unique(label, return_index=True)
    return pl.DataFrame({"record_key": ids, "knot": ids[first[label]]})


def _numbered(keys: list[Key]) -> dict[int, Key]:
    return dict(enumerate(keys, start=NAME_AND_BIRTH + 1))


def _take_keys_of_gone(con: duckdb.DuckDBPyConnection) -> None:
    """closure_key (key, value, record_key, knot, said), of last night: rows of the closure. Those of records that went
    leave vault.score_key; a record that stays keeps its keys, because records never change."""
    con.execute(
        "CREATE OR REPLACE TEMP TABLE gone AS SELECT record_key FROM closure SEMI JOIN vault.scored USING (record_key)"
        " ANTI JOIN scored_now USING (record_key)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE closure_key AS SELECT key, value, record_key, knot, said FROM ("
        "FROM key_now UNION ALL FROM vault.score_key WHERE record_key IN (SELECT record_key FROM gone))"
        " JOIN vault.scored USING (record_key)"
    )
    con.execute("DELETE FROM vault.score_key WHERE record_key IN (SELECT record_key FROM gone)")


def _find_held(con: duckdb.DuckDBPyConnection) -> None:
    """held (key, value, record_key, knot, said), of last night: rows of all records outside the closure that share a
    value which a record of the closure had or has.

    The closure holds whole knots, of last night and of tonight, so that no knot is in both.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE held AS
        WITH watched AS (SELECT key, value FROM closure_key UNION SELECT key, value FROM key_now),
        sharing AS (SELECT * FROM vault.score_key SEMI JOIN watched USING (key, value))
        SELECT key, value, record_key, knot, said
        FROM (SELECT * FROM sharing ANTI JOIN closure USING (record_key)) JOIN vault.scored USING (record_key)
        """
    )


def _find_crossed(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """crossed (record_key): records outside the closure that share a value whose group came to exceed its cap, or no
    longer does. other_frequency (record_key): records that were the only one of their name and birth date and are not
    any more, or the other way round: their pairs weigh otherwise. `held` then holds, beside its rows, those of every
    value that a crossed record has.
    """
    caps = ", ".join(f"({number}, {key.cap})" for number, key in _numbered(keys).items())
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE sized AS
        WITH row AS (
            SELECT key, value, knot, true AS is_before, true AS is_now FROM held
            UNION ALL SELECT key, value, knot, true, false FROM closure_key
            UNION ALL SELECT key, value, knot, false, true FROM key_now JOIN scored_now USING (record_key)
        )
        SELECT key, value
        FROM row LEFT JOIN (VALUES {caps}) AS policy (key, cap) USING (key)
        GROUP BY key, value, cap
        HAVING CASE WHEN key = {NAME_AND_BIRTH}
            THEN (count(*) FILTER (is_before) > 1) <> (count(*) FILTER (is_now) > 1)
            ELSE (count(DISTINCT knot) FILTER (is_before) > cap) <> (count(DISTINCT knot) FILTER (is_now) > cap) END
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE other_frequency AS
        SELECT DISTINCT record_key
        FROM (SELECT key, value, record_key FROM held UNION ALL SELECT key, value, record_key FROM key_now)
        SEMI JOIN sized USING (key, value) WHERE key = {NAME_AND_BIRTH}
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE crossed AS"
        " SELECT DISTINCT record_key FROM held SEMI JOIN sized USING (key, value)"
    )
    con.execute(
        """
        INSERT INTO held
        WITH further AS (
            SELECT key, value FROM (SELECT * FROM vault.score_key SEMI JOIN crossed USING (record_key))
            EXCEPT (SELECT key, value FROM held UNION ALL SELECT key, value FROM key_now)
        )
        SELECT key, value, record_key, knot, said
        FROM (SELECT * FROM vault.score_key SEMI JOIN further USING (key, value)) JOIN vault.scored USING (record_key)
        """
    )


def _make_changed_candidates(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """candidate: pairs to score tonight, which were none last night or weigh otherwise; dropped: pairs of last night
    that are none any more, or weigh otherwise. Both record_key_a < record_key_b.

    Records never change, so that a pair of last night that is one tonight keeps its weight.
    """
    con.execute("CREATE OR REPLACE TEMP TABLE met AS FROM closure UNION FROM crossed")
    tonight = "SELECT key, value, record_key, knot, said FROM key_now JOIN scored_now USING (record_key)"
    for table, own in (("candidate_before", "FROM closure_key"), ("candidate_now", tonight)):
        con.execute(
            f"CREATE OR REPLACE TEMP TABLE {table} AS"
            f" {_pairs_by_keys(_numbered(keys), f'(FROM held UNION ALL {own})', only_met=True)}"
        )
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE candidate AS
        WITH again AS (
            FROM candidate_now WHERE record_key_a IN (FROM other_frequency) OR record_key_b IN (FROM other_frequency)
        )
        (FROM candidate_now EXCEPT FROM candidate_before) UNION FROM again
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE dropped AS (FROM candidate_before EXCEPT FROM candidate_now) UNION FROM candidate"
    )


def _make_candidates(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """candidate (record_key_a < record_key_b): all pairs. Key by key, because a large state's do not fit together."""
    con.execute("CREATE OR REPLACE TEMP TABLE candidate_now (record_key_a BIGINT, record_key_b BIGINT)")
    held = "vault.score_key JOIN vault.scored USING (record_key)"
    for number, key in _numbered(keys).items():
        con.execute(f"INSERT INTO candidate_now {_pairs_by_keys({number: key}, held)}")
    con.execute("CREATE OR REPLACE TEMP TABLE candidate AS SELECT DISTINCT * FROM candidate_now")


def _pairs_by_keys(keys: dict[int, Key], held: str, only_met: bool = False) -> str:
    """SQL of the pairs (record_key_a < record_key_b) that some keys make of the relation `held` (key, value,
    record_key, knot, said). only_met: those with a record of the table `met`.

    Of a knot the record that says most stands for a value, among equals the one with the smallest key.
    """
    caps = ", ".join(f"({number}, {key.cap})" for number, key in keys.items())
    return f"""
        WITH policy AS (SELECT * FROM (VALUES {caps}) AS policy (key, cap)),
        -- The first of these sums is of the record that says most.
        stands AS (
            SELECT key, value, knot, cap, min((255 - said)::HUGEINT * power_of_two + record_key) % power_of_two AS first
            FROM {held} JOIN policy USING (key)
            CROSS JOIN (SELECT (1::HUGEINT << {RECORD_KEY_BITS}) AS power_of_two)
            GROUP BY key, value, knot, cap, power_of_two
        ),
        small AS (SELECT key, value FROM stands GROUP BY key, value, cap HAVING count(*) BETWEEN 2 AND cap),
        member AS (
            SELECT key, value, knot, first::BIGINT AS record_key,
                {"first IN (FROM met)" if only_met else "true"} AS is_met
            FROM stands SEMI JOIN small USING (key, value)
        )
        SELECT DISTINCT least(x.record_key, y.record_key) AS record_key_a,
            greatest(x.record_key, y.record_key) AS record_key_b
        FROM member AS x JOIN member AS y
            ON x.key = y.key AND x.value = y.value AND x.knot < y.knot AND (x.is_met OR y.is_met)
        """


# --- weights of pairs -------------------------------------------------------------------------------------------------
def weigh(
    con: duckdb.DuckDBPyConnection, settings: Settings, pairs: pl.DataFrame, on: date | None = None
) -> pl.DataFrame:
    """Bits of any pairs (record_key_a, record_key_b) of current records, by the model in force.

    said: how many values of the two could be compared. A pair with a record that cannot be compared is left out.
    """
    basis = _basis(settings, on)
    model = basis.model.over(_count_frequencies(con, basis.model))
    con.register("pairs_asked", pairs.select("record_key_a", "record_key_b").to_arrow())
    try:
        return _weighed(con, model, basis.model.version, "SELECT record_key_a, record_key_b FROM pairs_asked")
    finally:
        con.unregister("pairs_asked")


def waterfall(
    con: duckdb.DuckDBPyConnection, a: int, b: int, settings: Settings | None = None, on: date | None = None
) -> list[tuple[str, str, str, float]]:
    """What each comparison of two records adds to their weight: comparison, level, words without values, bits.

    The first row is how rare a match is among all pairs; the bits sum to the weight of the pair. Empty where one of
    the records cannot be compared (wages, numbers alone, not current).
    """
    if settings is None:
        from pipelines.settings import settings as installed

        settings = installed()
    basis = _basis(settings, on)
    model = basis.model.over(_count_frequencies(con, basis.model))
    con.register("pairs_asked", pl.DataFrame({"record_key_a": [a], "record_key_b": [b]}).to_arrow())
    try:
        with _predicted(con, model, basis.model.version, "FROM pairs_asked", explained=True) as found:
            row = con.execute(f'SELECT * FROM "{found}"').pl().to_dicts()
    finally:
        con.unregister("pairs_asked")
    if not row:
        return []
    told = words(settings.seeds / "policy" / "link_level.csv")
    prior = model.match_share
    steps = [("all pairs", "before comparing", "How rare a match is among all pairs", math.log2(prior / (1 - prior)))]
    for comparison, levels in _levels_shown(model):
        level = row[0][f"gamma_{comparison}"]
        # Splink numbers levels from the last (0) up; -1 is a pair of which the comparison says nothing.
        name = "nothing said" if level < 0 else levels[len(levels) - 1 - level]
        bits = row[0][f"mw_{comparison}"] + row[0].get(f"mw_tf_adj_{comparison}", 0.0)
        said = told.get((comparison, name), name.capitalize())
        rare = f"{said}; a rare value weighs more" if row[0].get(f"mw_tf_adj_{comparison}") else said
        steps.append((comparison, name, rare, float(bits)))
    return steps


def _levels_shown(model: Model) -> Iterator[tuple[str, list[str]]]:
    for comparison in comparing.splink_settings(model)["comparisons"]:
        levels = [
            level["label_for_charts"] for level in comparison["comparison_levels"] if "is_null_level" not in level
        ]
        yield comparison["output_column_name"], levels


def words(path: Path) -> dict[tuple[str, str], str]:
    """What the policy says of each level, in words."""
    with path.open(newline="", encoding="utf-8") as handle:
        return {(row["comparison"], row["level"]): row["reason"] for row in csv.DictReader(handle)}


def _weighed(
    con: duckdb.DuckDBPyConnection, model: Model, version: str, pairs: str, least: float | None = None
) -> pl.DataFrame:
    """record_key_a, record_key_b, weight, said of a relation of pairs, sorted; those of at least `least` bits."""
    said = " + ".join(
        f"CAST(NOT ({comparing.says_nothing(name, 'x.{}', 'y.{}')}) AS DOUBLE)" for name in model.comparisons
    )
    if con.execute(f"SELECT 1 FROM ({pairs}) LIMIT 1").fetchone() is None:  # a quiet night does not even start Splink
        return pl.DataFrame(schema=WEIGHED)
    with _predicted(con, model, version, pairs, least) as found:
        return con.execute(
            "SELECT least(x.record_key, y.record_key) AS record_key_a, greatest(x.record_key, y.record_key) AS"
            f' record_key_b, CAST(match_weight AS DOUBLE) AS weight, {said} AS said FROM "{found}"'
            " JOIN record AS x ON x.id = id_l JOIN record AS y ON y.id = id_r ORDER BY 1, 2"
        ).pl()


@contextmanager
def _predicted(
    con: duckdb.DuckDBPyConnection,
    model: Model,
    version: str,
    pairs: str,
    least: float | None = None,
    explained: bool = False,
) -> Iterator[str]:
    """Name of Splink's table of predictions for a relation of pairs; `record` is there beside it meanwhile.

    Splink makes tables where the connection stands: it stands in memory here, which spills encrypted.
    """
    from splink import DuckDBAPI, Linker

    logging.getLogger("splink").setLevel(logging.ERROR)
    con.execute(f"CREATE OR REPLACE TEMP TABLE asked AS {pairs}")
    con.execute(
        "CREATE OR REPLACE TEMP TABLE chosen AS SELECT record_key_a AS record_key FROM asked"
        " UNION SELECT record_key_b FROM asked"
    )
    frequencies = [name for name, levels in model.comparisons.items() if any(level.by_frequency for level in levels)]
    with _scratch(con, "asked", "chosen", "record", "pair_to_score", *(f"frequency_{name}" for name in frequencies)):
        make_records(con)
        con.execute(
            "CREATE OR REPLACE TEMP TABLE pair_to_score AS SELECT '0' AS match_key, least(x.id, y.id) AS join_key_l,"
            " greatest(x.id, y.id) AS join_key_r FROM asked JOIN record AS x ON x.record_key = asked.record_key_a"
            " JOIN record AS y ON y.record_key = asked.record_key_b"
        )
        settings = comparing.splink_settings(model)
        settings["retain_intermediate_calculation_columns"] = settings["retain_matching_columns"] = explained
        for name in frequencies:
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE frequency_{name} AS"
                f" WITH one AS (SELECT frequency FROM vault.term_frequency WHERE model_version = $version AND"
                f" column_name = '{ONE_RECORD}'), known AS (SELECT value, frequency FROM vault.term_frequency"
                f" WHERE model_version = $version AND column_name = '{name}')"
                f" SELECT {name}, coalesce(known.frequency, one.frequency) AS tf_{name}"
                f" FROM (SELECT DISTINCT {name} FROM record WHERE {name} IS NOT NULL) LEFT JOIN known"
                f" ON known.value = {name} CROSS JOIN one",
                {"version": version},
            )
        con.execute("USE memory")
        try:
            api = DuckDBAPI(connection=con)
            linker = Linker(api.register("record"), settings, log_level=None, validate_settings=False)
            for name in frequencies:
                linker.table_management.register_term_frequency_lookup(api.register(f"frequency_{name}"), name)
            linker.table_management.register_blocked_pairs_for_predict(api.register("pair_to_score"))
            found = linker.inference.predict(threshold_match_weight=least, warning_mode="never").physical_name
            yield found
            con.execute(f'DROP TABLE IF EXISTS "{found}"')
        finally:
            con.execute("USE vault")


def _count_frequencies(con: duckdb.DuckDBPyConnection, model: ReviewedModel) -> float:
    """Count the names of the state once for each version, on its first night; returns how many records there were."""
    counted = con.execute(
        "SELECT round(1 / frequency) FROM vault.term_frequency WHERE model_version = ? AND column_name = ?",
        [model.version, ONE_RECORD],
    ).fetchone()
    if counted:
        return counted[0]
    con.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS FROM {ABLE}")
    with _scratch(con, "chosen", "record"):
        make_records(con)
        records = con.execute("SELECT count(*) FROM record").fetchone()[0]
        for name, levels in model.comparisons.items():
            if any(level.by_frequency for level in levels):
                con.execute(
                    f"INSERT INTO vault.term_frequency SELECT ?, '{name}', {name}, count(*) / sum(count(*)) OVER ()"
                    f" FROM record WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY {name}",
                    [model.version],
                )
    con.execute(
        "INSERT INTO vault.term_frequency VALUES (?, ?, '', ?)", [model.version, ONE_RECORD, 1 / max(records, 1)]
    )
    return float(max(records, 1))


def make_records(con: duckdb.DuckDBPyConnection) -> None:
    """record (id 1..n in the order of record_key, record_key, source, STANDARD columns, name_recurs): the current
    records named in `chosen` that can be compared, in the linker's form."""
    given, surname = standard._sound("given"), standard._sound("surname")
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE record AS
        WITH mapped AS (
            SELECT
                row_number() OVER (ORDER BY record_key) AS id,
                record_key,
                concat_ws(' ', sector, local_id_issuer) AS source,
                given_name AS given,
                given_root,
                middle_name AS middle,
                surname,
                coalesce(strftime(birth_date, '%Y%m%d'), replace(birth_month, '-', '')) AS birth,
                sex_code AS sex,
                ssn,
                student_id_state AS state_id,
                -- Two issuers that are named alike and use one number do not say the same.
                left(md5(concat_ws(' ', sector, local_id_issuer)), 6) || local_id AS number,
                postal_code AS postal,
                {", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in NOT_COLLECTED)}
            FROM {STAGED} SEMI JOIN chosen USING (record_key)
            WHERE sector <> 'workforce' AND NOT is_bare
        ),
        own AS (
            SELECT record_key, value FROM vault.score_key SEMI JOIN chosen USING (record_key)
            WHERE key = {NAME_AND_BIRTH}
        ),
        repeated AS (
            SELECT value FROM vault.score_key SEMI JOIN own USING (value)
            WHERE key = {NAME_AND_BIRTH} GROUP BY value HAVING count(*) > 1
        ),
        recurring AS (SELECT record_key FROM own SEMI JOIN repeated USING (value))
        SELECT
            mapped.*,
            least(given, surname) || ' ' || greatest(given, surname) AS names,
            {given} AS given_sound,
            {surname} AS surname_sound,
            least({given}, {surname}) || ' ' || greatest({given}, {surname}) AS sounds,
            left(birth, 4) AS birth_year,
            recurring.record_key IS NOT NULL AS name_recurs
        FROM mapped LEFT JOIN recurring USING (record_key)
        ORDER BY id
        """
    )
