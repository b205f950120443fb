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
from collections.abc import Iterable, Iterator
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
from pipelines.identity.partition import WEIGHED, positions
from pipelines.identity.policy import load_policy
from pipelines.identity.present import STAGED
from pipelines.identity.vault import sought
from pipelines.settings import Settings

# Rows of the model file that are no comparison of two values.
MATCHES = ("match", "per_record")
TWIN = (("twin", "recurs"), ("twin", "once"))
# How many records bear a name and birth date is kept beside the keys, under this number.
NAME_AND_BIRTH = 0
NAME = f"key_{NAME_AND_BIRTH}"
# Columns of `record`, and of them those that comparisons read beside the ones that they are named after.
RECORD = ("id", "source", *standard.STANDARD, "name_recurs")
READ = {"id", "source", "name_recurs", "given", "given_root", "surname", "middle", "birth", "birth_year"}
# What make_records reads of a staged record.
STAGED_COLUMNS = (
    "record_key", "sector", "local_id_issuer", "local_id", "student_id_state", "ssn", "given_name", "given_root",
    "middle_name", "surname", "birth_date", "birth_month", "sex_code", "postal_code",
)  # fmt: skip
# In term_frequency: one record's share, for a value that nobody bore when the version was counted.
ONE_RECORD = "record"
# Those of them that can be compared.
ABLE = f"(SELECT record_key FROM {STAGED} WHERE sector <> 'workforce' AND NOT is_bare)"
LINKS = "vault.linkage.int_linkage__pair"
# Half of DuckDB's hashes; the bits of one.
HALF = 0xFFFFFFFF
# As many as the column vault.scored.stands has bits.
MOST_KEYS = 62
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
    on = on or planner.policy_day(settings)
    folder = settings.seeds / "policy"
    model = load_model(folder / "link_model.csv", on)
    policy = load_policy(folder / "identity_parameter.csv", on)
    keys = load_keys(folder / "score_key.csv", on)
    if len(keys) > MOST_KEYS:
        raise P20wError(f"score_key.csv: {len(keys)} keys are stated and at most {MOST_KEYS} can be. Remove some.")
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
        con, "changed", "tied", "closure", "present", "chosen", "record", "row_now", "scored_now", "scored_before",
        "closure_row", "namesake", "other_frequency", "outside", "outside_row", "moved", "watching", "standing",
        "sized", "crossed", "crossed_pair", "crossed_row", "shared", "held_further", "member", "met_pair",
        "candidate_now", "candidate", "dropped", "pair_before",
    ):  # fmt: skip
        if everything:
            con.execute(f"CREATE OR REPLACE TEMP TABLE pair_before AS {_KEPT}")
            con.execute("TRUNCATE vault.pair_score")
            con.execute("DROP TABLE IF EXISTS vault.score_key")  # where vaults of earlier versions keep the keys
        _find_closure(con, touched, everything)
        if everything:
            _make_now(con, basis.keys, None)
            # Made anew, because the keys of the policy are its columns.
            con.execute(f"CREATE OR REPLACE TABLE vault.scored AS {_told_recurring(f'SELECT {NAME} FROM scored_now')}")
        else:
            _make_now(con, basis.keys, "scored_before")
            _find_held(con, basis.keys)
            _find_crossed(con, basis.keys)
            con.execute(f"DELETE FROM vault.scored WHERE record_key IN {sought('closure')}")
            con.execute(
                f"UPDATE vault.scored SET name_recurs = NOT name_recurs WHERE record_key IN {sought('other_frequency')}"
            )
            names = f"SELECT {NAME} FROM scored_now UNION ALL SELECT {NAME} FROM namesake"
            con.execute(f"INSERT INTO vault.scored {_told_recurring(names)}")
        model = basis.model.over(_count_frequencies(con, basis.model))
        if everything:
            _make_candidates(con, basis.keys)
        else:
            _make_changed_candidates(con)
        pairs = con.execute("SELECT count(*) FROM candidate").fetchone()[0]
        version, least = basis.model.version, basis.kept_weight
        weighed = _weighed(con, model, version, "FROM candidate", least, scattered=not everything)
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
    """closure (record_key): records whose knot may differ from last night's, those that went included; scored_before:
    the rows of vault.scored that they had, unless everything is scored.

    Whoever is touched; whom a link ties to them; and all records of their knots of last night.
    """
    if everything:
        con.execute(f"CREATE OR REPLACE TEMP TABLE closure AS FROM {ABLE}")
        return
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE changed AS
        FROM {ABLE} WHERE record_key IN {sought(touched)}
        UNION SELECT record_key FROM vault.scored WHERE record_key IN {sought(touched)}
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE tied AS
        SELECT record_key_b AS record_key FROM {LINKS} SEMI JOIN {sought("changed")} ON record_key = record_key_a
        WHERE joins = 'link'
        UNION SELECT record_key_a FROM {LINKS} SEMI JOIN {sought("changed")} ON record_key = record_key_b
        WHERE joins = 'link'
        UNION SELECT record_key FROM changed
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE scored_before AS FROM vault.scored"
        f" WHERE knot IN (SELECT knot FROM vault.scored SEMI JOIN {sought('tied')} USING (record_key))"
    )
    con.execute("CREATE OR REPLACE TEMP TABLE closure AS SELECT record_key FROM scored_before UNION FROM tied")


def _make_now(con: duckdb.DuckDBPyConnection, keys: list[Key], known: str | None) -> None:
    """scored_now: rows of vault.scored for the closure's current records, name_recurs still null.

    known: a table with the rows that some of them had last night. A record never changes: but for its knot, so do they.
    """
    con.execute(f"CREATE OR REPLACE TEMP TABLE present AS FROM {ABLE} WHERE record_key IN {sought('closure')}")
    con.register("knots", find_knots(con, "present").to_arrow())
    new = f"ANTI JOIN {known} USING (record_key)" if known else ""
    con.execute(f"CREATE OR REPLACE TEMP TABLE chosen AS FROM present {new}")
    make_records(con)
    name = "given_root || '|' || surname || '|' || birth"
    texts = {number: " || '|' || ".join(key.parts) for number, key in _numbered(keys).items()}
    as_before = (
        f" UNION ALL SELECT {known}.* REPLACE (knots.knot AS knot, CAST(NULL AS BOOLEAN) AS name_recurs)"
        f" FROM {known} JOIN knots USING (record_key)"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE row_now AS SELECT record_key, knot, CAST("
        + " + ".join(f"({column} IS NOT NULL)::INT" for column in standard.STANDARD)
        + " AS UTINYINT) AS said, CAST(NULL AS BOOLEAN) AS name_recurs, CAST(0 AS BIGINT) AS stands, "
        + f"{_half_hash('birth')} AS born, CASE WHEN {name} IS NOT NULL THEN hash({name}) END AS {NAME}, "
        + ", ".join(f"{_half_hash(text)} AS key_{number}" for number, text in texts.items())
        + " FROM record JOIN knots USING (record_key)"
        + (as_before if known else "")
    )
    con.unregister("knots")
    con.register("standing_now", _find_standing(con, list(_numbered(keys))))
    con.execute(
        "CREATE OR REPLACE TEMP TABLE scored_now AS SELECT row_now.* REPLACE (standing_now.stands AS stands)"
        " FROM row_now JOIN standing_now USING (record_key)"
    )
    con.unregister("standing_now")
    con.execute("DROP TABLE temp.row_now; DROP TABLE temp.record; DROP TABLE temp.chosen; DROP TABLE temp.present")


def _find_standing(con: duckdb.DuckDBPyConnection, numbers: list[int]) -> dict[str, np.ndarray]:
    """record_key and stands of row_now: the keys, as bits by their number, under whose value the record stands for its
    knot: of those with one value that which says most, among equals the one with the smallest record key."""
    found = con.execute("SELECT record_key, knot, said FROM row_now").fetchnumpy()
    order = np.lexsort((found["record_key"], -found["said"].astype(np.int16), found["knot"]))
    knot, stands = found["knot"][order], np.zeros(len(order), dtype=np.int64)
    for number in numbers:
        # One key at a time: those of a large state do not fit together.
        row = con.execute(f"SELECT coalesce(key_{number}, 0) AS value, key_{number} IS NOT NULL AS has FROM row_now")
        column = row.fetchnumpy()
        value, has = column["value"][order], column["has"][order]
        place = np.flatnonzero(has)
        place = place[np.lexsort((value[place], knot[place]))]  # stable: of equals the best stays first
        first = np.ones(len(place), dtype=bool)
        first[1:] = (knot[place[1:]] != knot[place[:-1]]) | (value[place[1:]] != value[place[:-1]])
        stands[place[first]] |= 1 << number
    return {"record_key": found["record_key"][order], "stands": stands}


def _told_recurring(names: str) -> str:
    """SQL: the rows of scored_now with name_recurs. names: a query of one column, the name and birth date of each
    record that shares one with a record of the closure, and of the closure itself."""
    return f"""
        WITH name (value) AS ({names}),
        recurring AS (SELECT value FROM name WHERE value IS NOT NULL GROUP BY value HAVING count(*) > 1)
        SELECT * REPLACE (coalesce({NAME} IN (SELECT value FROM recurring), false) AS name_recurs) FROM scored_now
    """


def find_knots(con: duckdb.DuckDBPyConnection, records: str) -> pl.DataFrame:
    """record_key, knot (the smallest record key in it), of `records` (record_key), by the tiers' links among them."""
    keys = con.execute(f"SELECT record_key FROM {records} ORDER BY record_key").fetchnumpy()["record_key"]
    among = f"IN {sought(records)}"
    links = con.execute(
        f"SELECT record_key_a, record_key_b FROM {LINKS}"
        f" WHERE joins = 'link' AND record_key_a {among} AND record_key_b {among}"
    ).fetchnumpy()
    label = components(len(keys), *(positions(keys, links[f"record_key_{end}"]) for end in "ab"))
    _, first = np.unique(label, return_index=True)
    return pl.DataFrame({"record_key": keys, "knot": keys[first[label]]})


def _half_hash(text: str) -> str:
    """SQL: half of DuckDB's hash, null for null. It is read of ten million records for each key every night.

    Two values share it once in four billion times: then two knots are compared that would not be, and weigh too little.
    """
    return f"CASE WHEN {text} IS NOT NULL THEN CAST(hash({text}) >> 32 AS UINTEGER) END"


def _numbered(keys: list[Key]) -> dict[int, Key]:
    return dict(enumerate(keys, start=NAME_AND_BIRTH + 1))


def _value(number: int) -> str:
    """SQL: the value of a key with the key's number before it: one column tells those of all keys apart."""
    return f"({number}::UBIGINT << 32) + key_{number}"


def _number(value: str) -> str:
    """SQL: the number of the key whose value it is, by `_value`."""
    return f"({value} >> 32)"


def _stands(number: int, column: str = "stands") -> str:
    """SQL: the record stands for its knot under its value of the key."""
    return f"({column} & {1 << number}) > 0"


def _find_held(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """closure_row (columns of vault.scored, stood, is_before, is_now): rows of the closure of last night and of
    tonight; one for both where the knot is the same. stood: as stands, of last night. other_frequency (record_key):
    records that were the only one of their name and birth date and are not any more, or the other way round: their
    pairs weigh otherwise; outside: those of them outside the closure. namesake (the name and birth date, record_key),
    of last night: all records outside the closure that share both with one of it. moved (record_key, bits): records of
    the closure that stand for a knot as they did not last night, and under which keys, as bits. standing (value, knot,
    record_key, is_before, is_now): all who stand for a knot under a value that a moved record has under such a key, or
    a record of `outside` under any.

    The closure holds whole knots, of last night and of tonight, so that no knot is in both. Which pairs a value makes
    follows from who stands under it, whatever the knots are called, so that the values under which a closure stands as
    it stood, about half, need not be looked for. All of a moved record are if it has a kept pair, which it might lose
    by one value and have by another, or if its pairs weigh otherwise.
    """
    con.execute(
        """
        CREATE OR REPLACE TEMP TABLE closure_row AS
        SELECT scored_now.*, scored_before.stands AS stood, true AS is_before, true AS is_now
        FROM scored_now JOIN scored_before USING (record_key, knot)
        UNION ALL SELECT * REPLACE (0 AS stands), stands, true, false
        FROM scored_before ANTI JOIN scored_now USING (record_key, knot)
        UNION ALL SELECT *, 0, false, true FROM scored_now ANTI JOIN scored_before USING (record_key, knot)
        """
    )
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE namesake AS SELECT {NAME}, record_key FROM vault.scored"
        f" WHERE {NAME} IN (SELECT DISTINCT * FROM {sought('closure_row', NAME)})"
        " AND record_key NOT IN (FROM closure)"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE other_frequency AS
        WITH row AS (
            SELECT {NAME}, record_key, true AS is_before, true AS is_now FROM namesake
            UNION ALL SELECT {NAME}, record_key, is_before, is_now FROM closure_row WHERE {NAME} IS NOT NULL
        ),
        other AS (
            SELECT {NAME} FROM row GROUP BY {NAME}
            HAVING (count(*) FILTER (is_before) > 1) <> (count(*) FILTER (is_now) > 1)
        )
        SELECT DISTINCT record_key FROM row SEMI JOIN other USING ({NAME})
        """
    )
    con.execute("CREATE OR REPLACE TEMP TABLE outside AS FROM other_frequency ANTI JOIN closure USING (record_key)")
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE outside_row AS FROM vault.scored WHERE record_key IN {sought('outside')}"
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE moved AS
        WITH stood AS (
            SELECT record_key, bit_or(stands) AS now, bit_or(stood) AS before FROM closure_row GROUP BY record_key
        ),
        every AS (
            FROM other_frequency
            UNION ALL SELECT record_key_a FROM vault.pair_score WHERE record_key_a IN {sought("closure")}
            UNION ALL SELECT record_key_b FROM vault.pair_score WHERE record_key_b IN {sought("closure")}
        )
        SELECT record_key, CASE WHEN record_key IN (FROM every) THEN now | before ELSE xor(now, before) END AS bits
        FROM stood WHERE now <> before OR record_key IN (FROM other_frequency)
        """
    )
    columns = ", ".join(f"key_{number}" for number in _numbered(keys))
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE watching AS SELECT bits, {columns} FROM closure_row JOIN moved USING"
        f" (record_key) UNION ALL SELECT stands, {columns} FROM outside_row"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE standing"
        " (value UBIGINT, knot BIGINT, record_key BIGINT, is_before BOOLEAN, is_now BOOLEAN)"
    )
    # Key by key, because the values of one fit the processor's cache: all at once is several times dearer.
    for number in _numbered(keys):
        con.execute(
            f"""
            INSERT INTO standing
            WITH watched AS MATERIALIZED (
                SELECT DISTINCT key_{number} AS value FROM watching WHERE {_stands(number, "bits")}
            ),
            sharing AS MATERIALIZED ({_sharing(number, sought("watched", "value"))})
            SELECT value, knot, record_key, true, true FROM sharing ANTI JOIN closure USING (record_key)
            UNION ALL SELECT {_value(number)}, knot, record_key, {_stands(number, "stood")}, {_stands(number)}
            FROM closure_row WHERE {_stands(number, "(stands | stood)")} AND key_{number} IN (FROM watched)
            """
        )


def _sharing(number: int, values: str) -> str:
    """SQL: value, knot, record_key, of last night: who stood for a knot under one of the values of a key, told by a
    query."""
    return (
        f"SELECT {_value(number)} AS value, knot, record_key FROM vault.scored"
        f" WHERE {_stands(number)} AND key_{number} IN ({values})"
    )


def _find_crossed(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """member (value, knot, record_key, is_before, is_now): who stands for each knot under the values that few
    enough share, before or now, of `standing` and of pairs that crossed records lose.

    crossed (record_key): records that have not moved and whose pairs may weigh otherwise, or that share a value whose
    group came to exceed its cap, or no longer does. Two of the latter that lost what made them a pair may be one by
    another value: those that two records of a kept pair share are looked up as well. Two that found it are scored, and
    once too often where they were a pair before.
    """
    caps = ", ".join(f"({number}, {key.cap})" for number, key in _numbered(keys).items())
    cap = f"JOIN (VALUES {caps}) AS policy (number, cap) ON number = {_number('value')}"
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE sized AS
        WITH size AS (
            SELECT value, count(*) FILTER (is_before) AS before, count(*) FILTER (is_now) AS now
            FROM standing GROUP BY value HAVING count(*) > 1
        )
        SELECT value, before <= cap AS few_before, now <= cap AS few_now FROM size {cap} WHERE few_before OR few_now
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE crossed AS SELECT record_key FROM standing"
        " SEMI JOIN (SELECT value FROM sized WHERE few_before <> few_now) USING (value)"
        " ANTI JOIN moved USING (record_key) UNION FROM outside"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE crossed_pair AS SELECT record_key_a, record_key_b FROM vault.pair_score"
        f" WHERE record_key_a IN {sought('crossed')} AND record_key_b IN {sought('crossed')}"
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE crossed_row AS FROM vault.scored WHERE record_key IN"
        f" (FROM {sought('crossed_pair', 'record_key_a')} UNION FROM {sought('crossed_pair', 'record_key_b')})"
    )
    of_crossed = " UNION ALL ".join(
        f"SELECT {_value(number)} AS value, record_key FROM crossed_row WHERE {_stands(number)}"
        for number in _numbered(keys)
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE shared AS
        WITH row AS ({of_crossed}),
        both_have AS (
            SELECT record_key_a, record_key_b, a.value FROM crossed_pair
            JOIN row AS a ON a.record_key = record_key_a
            JOIN row AS b ON b.record_key = record_key_b AND b.value = a.value
        ),
        still AS (SELECT record_key_a, record_key_b FROM both_have SEMI JOIN (FROM sized WHERE few_now) USING (value))
        FROM both_have ANTI JOIN still USING (record_key_a, record_key_b) ANTI JOIN standing USING (value)
        """
    )
    con.execute("CREATE OR REPLACE TEMP TABLE held_further AS SELECT value, knot, record_key FROM standing LIMIT 0")
    # One value is enough: the key that most of them share comes first, and few are left for the last.
    most = f"SELECT {_number('value')} AS number FROM shared GROUP BY number ORDER BY count(*) DESC, number LIMIT 1"
    while found := con.execute(most).fetchone():
        number = found[0]
        mine = f"{_number('value')} = {number}"
        values = f"SELECT CAST(value & {HALF} AS UINTEGER) FROM shared WHERE {mine}"
        con.execute(f"INSERT INTO held_further {_sharing(number, values)}")
        con.execute(
            f"""
            DELETE FROM shared WHERE {mine} OR (record_key_a, record_key_b) IN (
                SELECT (record_key_a, record_key_b) FROM shared SEMI JOIN (
                    SELECT value FROM held_further GROUP BY value HAVING count(*) <= {_numbered(keys)[number].cap}
                ) USING (value))
            """
        )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE member AS
        WITH few AS (
            SELECT value FROM (SELECT value, count(*) AS records FROM held_further GROUP BY value) {cap}
            WHERE records <= cap
        )
        SELECT value, knot, record_key, is_before AND few_before AS is_before, is_now AND few_now AS is_now
        FROM standing JOIN sized USING (value)
        UNION ALL SELECT value, knot, record_key, true, true FROM held_further SEMI JOIN few USING (value)
        """
    )


def _make_changed_candidates(con: duckdb.DuckDBPyConnection) -> None:
    """candidate: pairs to score tonight, which were none last night or may weigh otherwise; dropped: pairs of last
    night that are none any more, or may weigh otherwise. Both record_key_a < record_key_b.

    Records never change, so that a pair of last night that is one tonight keeps its weight, unless it may look like
    twins and one of their names recurs since or no longer: then both were born on one day.
    """
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE met_pair AS
        WITH met AS (FROM member WHERE record_key IN (FROM {sought("moved")} UNION FROM {sought("crossed")}))
        SELECT least(x.record_key, y.record_key) AS record_key_a, greatest(x.record_key, y.record_key) AS record_key_b,
            bool_or(x.is_before AND y.is_before) AS is_before, bool_or(x.is_now AND y.is_now) AS is_now
        FROM met AS x JOIN member AS y ON x.value = y.value AND x.knot <> y.knot
            AND ((x.is_before AND y.is_before) OR (x.is_now AND y.is_now))
        GROUP BY 1, 2
        """
    )
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE candidate AS
        WITH other AS (
            SELECT record_key_a, record_key_b FROM met_pair
            WHERE is_now AND is_before
                AND (record_key_a IN (FROM other_frequency) OR record_key_b IN (FROM other_frequency))
        ),
        birth AS (
            SELECT record_key, born FROM vault.scored
            WHERE record_key IN (
                FROM {sought("other", "record_key_a")} UNION ALL FROM {sought("other", "record_key_b")}
            )
        )
        SELECT record_key_a, record_key_b FROM met_pair WHERE is_now AND NOT is_before
        UNION ALL SELECT record_key_a, record_key_b FROM other
        JOIN birth AS x ON x.record_key = record_key_a
        JOIN birth AS y ON y.record_key = record_key_b AND y.born = x.born
        """
    )
    con.execute(
        "CREATE OR REPLACE TEMP TABLE dropped AS SELECT record_key_a, record_key_b FROM met_pair"
        " WHERE is_before AND NOT is_now UNION ALL FROM candidate"
    )


def _make_candidates(con: duckdb.DuckDBPyConnection, keys: list[Key]) -> None:
    """candidate (record_key_a < record_key_b): all pairs. Key by key, because a large state's do not fit together."""
    con.execute("CREATE OR REPLACE TEMP TABLE candidate_now (record_key_a BIGINT, record_key_b BIGINT)")
    for number, key in _numbered(keys).items():
        con.execute(
            f"""
            INSERT INTO candidate_now
            WITH member AS (
                SELECT key_{number} AS value, knot, record_key FROM vault.scored WHERE {_stands(number)}
            ),
            small AS (SELECT value FROM member GROUP BY value HAVING count(*) BETWEEN 2 AND {key.cap}),
            near AS (FROM member SEMI JOIN small USING (value))
            SELECT DISTINCT least(x.record_key, y.record_key), greatest(x.record_key, y.record_key)
            FROM near AS x JOIN near AS y ON x.value = y.value AND x.knot < y.knot
            """
        )
    con.execute("CREATE OR REPLACE TEMP TABLE candidate AS SELECT DISTINCT * FROM candidate_now")


# --- weights of pairs -------------------------------------------------------------------------------------------------
def weigh(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    pairs: pl.DataFrame,
    on: date | None = None,
    staged: str = STAGED,
) -> pl.DataFrame:
    """Bits of any pairs (record_key_a, record_key_b) of current records, by the model in force.

    staged: where the staged records of the pairs are, as in make_records. said: how many values of the two could be
    compared. A pair with a record that cannot be compared is left out.
    """
    basis = _basis(settings, on)
    model = basis.model.over(_count_frequencies(con, basis.model))
    con.register("pairs_asked", pairs.select("record_key_a", "record_key_b").to_arrow())
    try:
        asked = "SELECT record_key_a, record_key_b FROM pairs_asked"
        return _weighed(con, model, basis.model.version, asked, staged=staged)
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
    con: duckdb.DuckDBPyConnection,
    model: Model,
    version: str,
    pairs: str,
    least: float | None = None,
    staged: str = STAGED,
    scattered: bool = True,
) -> pl.DataFrame:
    """record_key_a, record_key_b, weight, said of a relation of pairs, sorted; those of at least `least` bits.

    staged, scattered: as in make_records.
    """
    said = " + ".join(
        f"CAST(NOT ({comparing.says_nothing(name, 'x.{}', 'y.{}')}) AS DOUBLE)" for name in model.comparisons
    )
    if con.execute(f"SELECT 1 FROM ({pairs}) LIMIT 1").fetchone() is None:  # a quiet night does not even start Splink
        return pl.DataFrame(schema=WEIGHED)
    with _predicted(con, model, version, pairs, least, staged=staged, scattered=scattered) as found:
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
    staged: str = STAGED,
    scattered: bool = True,
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
        # Splink copies what it is given, so it gets what comparisons read.
        columns = sorted(READ | set(model.comparisons))
        make_records(con, staged, columns, scattered)
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
        con.execute(f"CREATE OR REPLACE TEMP VIEW compared AS SELECT {', '.join(columns)} FROM record")
        con.execute("USE memory")
        try:
            api = DuckDBAPI(connection=con)
            linker = Linker(api.register("compared"), settings, log_level=None, validate_settings=False)
            for name in frequencies:
                linker.table_management.register_term_frequency_lookup(api.register(f"frequency_{name}"), name)
            linker.table_management.register_blocked_pairs_for_predict(api.register("pair_to_score"))
            found = linker.inference.predict(threshold_match_weight=least, warning_mode="never").physical_name
            yield found
            con.execute(f'DROP TABLE IF EXISTS "{found}"')
        finally:
            con.execute("USE vault")
            con.execute("DROP VIEW temp.compared")


def _count_frequencies(con: duckdb.DuckDBPyConnection, model: ReviewedModel) -> float:
    """Count the names of the state once for each version, on its first night that has records; returns how many there
    were."""
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
        if not records:
            return 1.0
        for name, levels in model.comparisons.items():
            if any(level.by_frequency for level in levels):
                con.execute(
                    f"INSERT INTO vault.term_frequency SELECT ?, '{name}', {name}, count(*) / sum(count(*)) OVER ()"
                    f" FROM record WHERE {name} IS NOT NULL GROUP BY {name} ORDER BY {name}",
                    [model.version],
                )
    con.execute("INSERT INTO vault.term_frequency VALUES (?, ?, '', ?)", [model.version, ONE_RECORD, 1 / records])
    return float(records)


def make_records(
    con: duckdb.DuckDBPyConnection, staged: str = STAGED, columns: Iterable[str] = RECORD, scattered: bool = False
) -> None:
    """record (record_key and `columns`, of RECORD; id rises with record_key): the current records named in
    `chosen` that can be compared, in the linker's form.

    staged: a table with the columns of the staged records, those of `chosen` among them. scattered: the chosen are few
    and stand anywhere in it: it is read once. Else they are found first and then read by row number, so that of a table
    of which they are the last rows the rest is not read, and so that to number very many takes little memory.
    """
    columns = list(columns)
    able = "sector <> 'workforce' AND NOT is_bare"
    sounds = {"given_sound", "surname_sound", "sounds"} & set(columns)
    if scattered:
        # Keys are numbered, not rows: to sort names with them costs more.
        numbered = f"""
            key AS MATERIALIZED (SELECT record_key, row_number() OVER (ORDER BY record_key) AS id FROM chosen),
            numbered AS (
                SELECT {", ".join(STAGED_COLUMNS)}, id FROM {staged}
                JOIN {sought("key", "record_key, id")} USING (record_key) WHERE {able}
            )"""
    else:
        numbered = f"""
            numbered AS MATERIALIZED (
                SELECT rowid AS place, row_number() OVER (ORDER BY record_key) AS id FROM {staged}
                WHERE record_key IN {sought("chosen")} AND {able}
            )"""
    con.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE record AS
        WITH {numbered},
        mapped AS {"" if sounds else "NOT "}MATERIALIZED (
            SELECT
                record_key,
                id,
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
                CASE WHEN local_id IS NOT NULL
                    THEN left(md5(concat_ws(' ', sector, local_id_issuer)), 6) || local_id END AS number,
                postal_code AS postal,
                {", ".join(f"CAST(NULL AS VARCHAR) AS {name}" for name in NOT_COLLECTED)}
            FROM {"numbered" if scattered else f"{staged} AS staged JOIN numbered ON numbered.place = staged.rowid"}
        ),
        recurring AS (
            SELECT record_key FROM vault.scored SEMI JOIN {sought("chosen")} USING (record_key) WHERE name_recurs
        )
        {_SOUNDS if sounds else ""}
        SELECT record_key, {", ".join(columns)} FROM (
            SELECT
                mapped.*,
                least(given, surname) || ' ' || greatest(given, surname) AS names,
                {_HEARD if sounds else ""}
                left(birth, 4) AS birth_year,
                recurring.record_key IS NOT NULL AS name_recurs
            FROM mapped
            LEFT JOIN recurring USING (record_key)
            {_HEARD_FROM if sounds else ""}
        )
        """
    )


# How names sound, in the parts of make_records; worked out once for each different name.
_SOUNDS = f"""
    , sound_of AS MATERIALIZED (
        SELECT name, {standard._sound("name")} AS sound
        FROM (SELECT given AS name FROM mapped UNION SELECT surname FROM mapped) WHERE name IS NOT NULL
    )
"""
_HEARD = """
    first.sound AS given_sound, last.sound AS surname_sound,
    least(first.sound, last.sound) || ' ' || greatest(first.sound, last.sound) AS sounds,
"""
_HEARD_FROM = "LEFT JOIN sound_of AS first ON first.name = given LEFT JOIN sound_of AS last ON last.name = surname"
