"""One night of identity: pairs from the vault in, links appended, keys out to `exchange/`.

Belongs here: the order of the steps, and which records are solved again tonight. Does not belong here: the rules (dbt
models and seeds/policy), scoring (score.py), grouping (partition.py), ids (ids.py), tables (registry.py), error rates
(measure.py).

Only blocks that a change touches are solved again. The derived tables say what they were computed from; where that is
not what stands now (other policy, model or code, or a night that was killed) everything is solved again, which gives
the same.
"""

from __future__ import annotations

import hashlib
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from pipelines import planner
from pipelines.identity import present, registry
from pipelines.identity.ids import Fold, fold, hold
from pipelines.identity.keys import export_organization_keys
from pipelines.identity.partition import CONFLICT, FACTS, MEMBER, UNDETERMINED, Partition, partition
from pipelines.identity.policy import IdentityPolicy, load_policy, tier_weights, tiers_in_force
from pipelines.identity.present import STAGED
from pipelines.identity.score import ONE_RECORD, load_model, score_left, weigh
from pipelines.identity.steward.queue import refresh_queue
from pipelines.identity.vault import open_vault, sought
from pipelines.registers import rows_in_force
from pipelines.settings import Settings

# After every tier of the policy: names of records that do not bear the SSN themselves.
OTHER_NAME_TIER = 900
TOUCHED = "vault.linkage.int_linkage__touched"
# Share of the records below which those touched are few.
FEW = 0.1
# Columns of a staged record that solving, weighing and keeping read.
READ_OFTEN = (
    "record_key", "sector", "local_id_issuer", "local_id", "student_id_state", "ssn", "given_name", "given_root",
    "middle_name", "surname", "birth_date", "birth_month", "sex_code", "postal_code", "is_bare",
)  # fmt: skip
DERIVED = {"canonical": MEMBER, "conflict": CONFLICT, "undetermined": UNDETERMINED}


class IdentityError(RuntimeError):
    """Identity cannot run; the message says what must happen first."""


@dataclass(frozen=True)
class IdentitySummary:
    """Counts of one night: records in all and solved again, pairs scored, persons in use, events appended, what waits
    for a steward; and the school years of the people whom an event touches."""

    records: int
    solved: int
    pairs_scored: int
    persons: int
    minted: int
    merged: int
    split: int
    moved: int
    conflicts: int
    not_determined: int
    queued: int
    touched_years: tuple[int, ...]

    def as_metadata(self) -> dict[str, int | str]:
        return asdict(self) | {"touched_years": ", ".join(map(str, self.touched_years)) or "none"}


def run_identity(settings: Settings, build_id: str) -> IdentitySummary:
    """Score, partition, fold the ids, append, and export to `exchange/`.

    Writes brg_record_person, person, person_redirect, organization_key, identity_conflict and link_not_determined
    (Parquet, keys only, sorted). The partition and the log are written in one transaction; a night killed after it
    exports again tomorrow. Raises IdentityError when the pairs of dbt's identity phase are absent or older than the
    records.
    """
    day = planner.day_of(build_id)
    policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", day)
    weights = tier_weights(settings.seeds / "policy" / "match_tier.csv", day)
    with open_vault(settings) as con:
        records = _require_pairs(con)
        basis = _basis(settings, policy, day)
        solved_with, persons_before = con.execute("SELECT basis, persons FROM vault.solved").fetchone() or (None, 0)
        touched = TOUCHED if solved_with == basis else None
        exported = None if touched is None else registry.exported(con)
        few = 0 if touched is None else _count(con, touched)
        if touched is not None and few < FEW * records:
            # A second thread shortens what a night of few changes does by little and costs a tenth more CPU time; so
            # does fresh memory for what is read once. What deletes among all cannot spill grows with all records.
            con.execute("SET threads = 1")
            con.execute(f"SET memory_limit = '{max(1000, records * 60 // 10**6 + few // 1000)}MB'")
        # Scores are not kept in the transaction of the partition: a night killed in between solves everything again.
        con.execute("DELETE FROM vault.solved")
        scored = score_left(con, settings, touched, day)
        _choose_affected(con, touched)
        staged = STAGED
        if touched is not None:  # few are read many times: once among all, then among themselves
            staged = "temp.affected_staged"
            con.execute(
                f"CREATE OR REPLACE TEMP TABLE affected_staged AS SELECT {', '.join(READ_OFTEN)} FROM {STAGED}"
                f" SEMI JOIN {sought('affected')} USING (record_key)"
            )
        affected = _affected_records(con, settings, policy, day, staged)
        found = _solve(con, settings, policy, weights, day, affected, staged)
        members = found.members.join(affected.select("record_key", "sector"), on="record_key")
        history = registry.history_of(con, "affected")
        people = hold(members, history)
        folded = fold(
            people, history, registry.persons_of(con, history), lambda count: registry.unused_keys(con, count)
        )
        persons = _keep(con, build_id, basis, found, folded, None if touched is None else staged, persons_before)
        years = registry.touched_years(con, settings)
        queue = refresh_queue(con, settings, build_id)
        registry.export(con, settings, exported, folded.minted)
        undetermined = con.execute("SELECT count(DISTINCT record_key) FROM vault.undetermined").fetchone()[0]
        conflicts = con.execute("SELECT * EXCLUDE (block) FROM vault.conflict ORDER BY ALL").pl()
        registry.write_exchange(conflicts, settings.exchange / "identity_conflict.parquet")
        export_organization_keys(con, settings)
    events = dict(folded.events.group_by("event").len().iter_rows())
    return IdentitySummary(
        records=records,
        solved=found.members.height,
        pairs_scored=scored.pairs,
        persons=persons,
        minted=len(folded.minted),
        merged=events.get("merge", 0),
        split=events.get("split", 0),
        moved=events.get("move", 0),
        conflicts=conflicts.height,
        not_determined=undetermined,
        queued=queue.open_items,
        touched_years=tuple(years),
    )


def _count(con: duckdb.DuckDBPyConnection, table: str) -> int:
    return con.execute(f"SELECT count(*) FROM {table}").fetchone()[0]


def _require_pairs(con: duckdb.DuckDBPyConnection) -> int:
    """Number of tonight's records. Raises IdentityError where dbt's identity phase has not staged just these."""
    try:
        staged = con.execute("SELECT count(*) FROM vault.staging.stg_identity__record").fetchone()[0]
        con.execute("SELECT 1 FROM vault.linkage.int_linkage__pair LIMIT 1")
    except duckdb.CatalogException:
        raise IdentityError(
            "The vault holds no pairs yet. Run the identity phase of dbt (target vault) before identity."
        ) from None
    current = con.execute("SELECT count(*) FROM vault.current_record").fetchone()[0]
    if current != staged:
        raise IdentityError(
            f"The vault holds {current} records but dbt staged {staged}. Run the identity phase of dbt again;"
            " if it failed, its log names the model."
        )
    return staged


def _basis(settings: Settings, policy: IdentityPolicy, day: date) -> str:
    """Digest of all but the records that the partition follows from: policy in force, model version and code."""
    folder = settings.seeds / "policy"
    model = load_model(folder / "link_model.csv", day)
    tiers, keys = tiers_in_force(folder / "match_tier.csv", day), rows_in_force(folder / "score_key.csv", "key", day)
    # Hashes that the database computes are kept from night to night.
    digest = hashlib.sha256(f"{policy} {model.version} {tiers} {keys} {duckdb.__version__}".encode())
    for path in [folder / "link_model.csv", *sorted(Path(__file__).parent.rglob("*.py"))]:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def _choose_affected(con: duckdb.DuckDBPyConnection, touched: str | None) -> None:
    """Make the temporary table `affected` (record_key): records of every block that a touched record is or was in, and
    of every block that an id of theirs, present or former, is in: who owns an id is asked of all who bear it.

    `touched` names a relation of record keys; None affects every record.
    """
    if touched is None:
        con.execute(
            "CREATE OR REPLACE TEMP TABLE affected AS SELECT record_key FROM vault.staging.stg_identity__record"
        )
        return
    # A verdict touches as a record does; blocks remember the verdicts that they were solved with by their records. So
    # does a score that came, went or changed: a key that outgrows its cap takes scores from records nothing touched.
    con.execute(
        f"CREATE OR REPLACE TEMP TABLE affected AS SELECT record_key FROM {touched}"
        " UNION SELECT record_key FROM temp.rescored"
        " UNION SELECT unnest([record_key_a, record_key_b]) FROM vault.verdict"
    )
    # A block holds all whom the pairs, scores and refused wages of last night tie. Of tonight's, a new or other pair or
    # score is one of two records that are touched or rescored. Only a refused wage may be new beside an old record.
    refused = "vault.linkage.int_linkage__wage_refused"
    # Each round looks from those whom the round before reached.
    con.execute("CREATE OR REPLACE TEMP TABLE reached AS FROM affected")
    while con.execute("SELECT count(*) FROM reached").fetchone()[0]:
        con.execute(
            f"""
            CREATE OR REPLACE TEMP TABLE reached AS
            WITH near AS (
                SELECT record_key FROM {refused} WHERE anchor_record_key IN {sought("reached")}
                UNION ALL
                SELECT anchor_record_key FROM {refused} WHERE record_key IN {sought("reached")}
                UNION ALL
                SELECT record_key FROM vault.canonical
                WHERE block IN (SELECT block FROM vault.canonical SEMI JOIN {sought("reached")} USING (record_key))
                UNION ALL
                SELECT record_key FROM vault.person_link
                WHERE person_key IN (
                    SELECT person_key FROM vault.person_link SEMI JOIN {sought("reached")} USING (record_key)
                )
            )
            SELECT DISTINCT record_key FROM near ANTI JOIN affected USING (record_key)
            """
        )
        con.execute("INSERT INTO affected FROM reached")
    con.execute("DROP TABLE temp.reached")


def _affected_records(
    con: duckdb.DuckDBPyConnection, settings: Settings, policy: IdentityPolicy, day: date, staged: str
) -> pl.DataFrame:
    """What the partition takes of each affected record, from the table `staged` of these. Which given names are common
    was counted with the version of the model (score.py), so that no night makes a name common between records that
    nothing touches."""
    version = load_model(settings.seeds / "policy" / "link_model.csv", day).version
    return con.execute(
        f"""
        WITH counted AS (SELECT * FROM vault.term_frequency WHERE model_version = $version),
        common AS (
            SELECT value FROM counted WHERE column_name = 'given' AND frequency >= greatest($share,
                $records * (SELECT frequency FROM counted WHERE column_name = '{ONE_RECORD}'))
        )
        SELECT record_key, sector, {", ".join(FACTS)},
            CASE WHEN given_name IN (SELECT value FROM common) THEN given_name END AS common_given
        FROM {staged}
        """,
        {"version": version, "share": policy.common_name_share, "records": policy.common_name_records},
    ).pl()


def _solve(
    con: duckdb.DuckDBPyConnection,
    settings: Settings,
    policy: IdentityPolicy,
    weights: dict[int, float],
    day: date,
    records: pl.DataFrame,
    staged: str,
) -> Partition:
    """The partition of the affected records, which are among those of the table `staged`."""
    within = f"record_key_a IN {sought('affected')}"
    pairs = con.execute(
        "SELECT record_key_a, record_key_b, CAST(tier AS BIGINT) AS tier, rule, joins, follower"
        f" FROM vault.linkage.int_linkage__pair WHERE {within}"
    ).pl()
    scores = con.execute(f"SELECT record_key_a, record_key_b, weight, said FROM vault.pair_score WHERE {within}").pl()
    refused = con.execute(
        "SELECT record_key, anchor_record_key, is_crowded FROM vault.linkage.int_linkage__wage_refused"
        " SEMI JOIN affected USING (record_key)"
    ).pl()
    verdicts = con.execute(
        f"SELECT record_key_a, record_key_b, verdict FROM {registry.JUDGED} ORDER BY record_key_a, record_key_b"
    ).pl()
    return partition(
        records,
        pairs,
        policy,
        weights,
        scores=scores,
        verdicts=verdicts,
        refused=refused,
        weigh=lambda wanted: weigh(con, settings, wanted, day, staged),
        known_names=lambda groups: _other_names(con, groups, refused.filter(~pl.col("is_crowded"))),
    )


def _other_names(con: duckdb.DuckDBPyConnection, groups: pl.DataFrame, refused: pl.DataFrame) -> pl.DataFrame:
    """Refused wages whose given name or surname agrees with another name under which the same person is known.

    groups: record_key, close. Returns pairs in which the wage follows.
    """
    con.register("member", groups.to_arrow())
    con.register("refusal", refused.to_arrow())
    try:
        return con.execute(
            f"""
            -- Of a few records only: joined as it is, the table of all is read, names and all.
            WITH met AS MATERIALIZED (
                SELECT record_key FROM refusal UNION
                SELECT other.record_key FROM refusal
                JOIN member AS anchor ON anchor.record_key = refusal.anchor_record_key
                JOIN member AS other ON other.close = anchor.close
            ),
            record AS (
                SELECT record_key, sector, given_name, given_root, surname, surname_tokens FROM {STAGED}
                WHERE record_key IN {sought("met")}
            )
            SELECT least(refusal.record_key, refusal.anchor_record_key) AS record_key_a,
                greatest(refusal.record_key, refusal.anchor_record_key) AS record_key_b,
                CAST({OTHER_NAME_TIER} AS BIGINT) AS tier, 'wage_ssn_other_name' AS rule, 'attach' AS joins,
                refusal.record_key AS follower
            FROM refusal
            JOIN member AS anchor ON anchor.record_key = refusal.anchor_record_key
            JOIN member AS other ON other.close = anchor.close
            JOIN record AS wage ON wage.record_key = refusal.record_key
            JOIN record AS known ON known.record_key = other.record_key
            WHERE known.sector <> 'workforce' AND (
                wage.given_root = known.given_root
                OR left(wage.given_name, 15) = left(known.given_name, 15)
                OR (length(wage.given_name) = 1 AND wage.given_name = left(known.given_name, 1))
                OR list_has_any(wage.surname_tokens, known.surname_tokens)
                OR left(wage.surname, 20) = left(known.surname, 20))
            GROUP BY ALL ORDER BY ALL
            """
        ).pl()
    finally:
        con.unregister("member")
        con.unregister("refusal")


def _keep(
    con: duckdb.DuckDBPyConnection,
    build_id: str,
    basis: str,
    found: Partition,
    folded: Fold,
    staged: str | None,
    persons_before: int,
) -> int:
    """Replace the affected part of the derived tables and append to the log, in one transaction; returns the number of
    persons that hold a record.

    staged: the staged records of the affected; None: all are. persons_before: as many held one the night before.
    """
    everything = staged is None
    frames = {"canonical": found.members, "conflict": found.conflicts, "undetermined": found.undetermined}
    con.execute("BEGIN")
    try:
        for table, frame in frames.items():
            own = "record_key_a" if table == "conflict" else "record_key"
            # A record that is gone was touched: it is among the affected, and leaves the derived tables here.
            con.execute(f"DELETE FROM vault.{table} WHERE {everything} OR {own} IN {sought('affected')}")
            con.register("solved_part", frame.select(*DERIVED[table]).to_arrow())
            con.execute(f"INSERT INTO vault.{table} SELECT * FROM solved_part")
            con.unregister("solved_part")
        # dbt's identity phase adds to it until we took it in.
        con.execute(f"DELETE FROM {TOUCHED}")
        registry.append(con, build_id, folded, found.members.select("record_key", "weight"))
        present.renew(con, None if everything else "affected", staged or STAGED)
        registry.restore(con, build_id)
        con.execute("DELETE FROM vault.exported")
        persons = present.count_persons(con) + (0 if everything else persons_before)
        con.execute("INSERT INTO vault.solved VALUES (?, ?)", [basis, persons])
        con.execute("COMMIT")
    except BaseException:
        con.execute("ROLLBACK")
        raise
    return persons
