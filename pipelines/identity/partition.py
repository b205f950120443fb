"""The canonical partition: which records are one person, as a pure function of records, pairs and verdicts.

Belongs here: blocks of records that any evidence ties, the joint solution of a block that may hold several persons,
records with few identifiers that follow one person, and the explanation of each. Does not belong here: comparing
identifiers (dbt and score.py, inside the vault) and ids (ids.py).

A block in which nothing differs is one person. In any other all pairs are weighed and the two groups with the highest
mean join first (average linkage, linker/group.py), so that one strong pair between two groups that otherwise disagree
does not hold them; records that cannot be one person never meet. The joins stop first at the weight that makes a merge
(close); from there the groups go on joining, weaker ties included, down to the lower weight to which a person is kept
(loose), so that every close group lies in one loose group. Blocks are solved one by one, so that a part of them can be
solved again and equals the whole; the result depends on no order of its inputs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import polars as pl

from pipelines.identity.linker.group import components, group
from pipelines.identity.linker.model import conditions
from pipelines.identity.policy import IdentityPolicy

# A steward's verdict outranks every fact and every tier; a fact outranks every sum of agreements.
VERDICT_TIER = 0
SAME, DISTINCT, CONTRADICTION = 1e9, -1e12, -1e6
# Of a pair that only a model scored; after every tier of the policy.
SCORE_TIER = 800
SCORE_RULE = "probability"
# Why two records may be twins although only their given names differ.
OTHER_NAME = "two_common_given_names"

MEMBER = {
    "record_key": pl.Int64, "block": pl.Int64, "loose": pl.Int64, "close": pl.Int64, "rule": pl.String,
    "weight": pl.Float64, "reason": pl.String,
}  # fmt: skip
CONFLICT = {
    "record_key_a": pl.Int64, "record_key_b": pl.Int64, "rule": pl.String, "reason": pl.String, "weight": pl.Float64,
    "block": pl.Int64,
}  # fmt: skip
# Why a wage follows nobody: no known name agrees; its number is borne by so many that no name was compared.
UNLIKE_NAMES, CROWDED = "names_do_not_agree", "number_of_a_crowd"
UNDETERMINED = {"record_key": pl.Int64, "anchor_record_key": pl.Int64, "reason": pl.String}
WEIGHED = {"record_key_a": pl.Int64, "record_key_b": pl.Int64, "weight": pl.Float64, "said": pl.Float64}

# Bits of each pair of a frame (record_key_a, record_key_b), and how many values could be compared: WEIGHED.
Weigh = Callable[[pl.DataFrame], pl.DataFrame]
# From record_key, close (the group of each record): further pairs in which a record follows, in the form of `pairs`.
KnownNames = Callable[[pl.DataFrame], pl.DataFrame]


@dataclass(frozen=True)
class Partition:
    """`members`: one row a record, see MEMBER; groups bear the smallest record_key in them.

    `rule` and `weight` (bits): the strongest that ties a record to its close group, 'alone' where none does. `reason`:
    why it was kept apart from others of its block, '' where it was not. `conflicts`: pairs that would have joined two
    close groups, the strongest of each two. `undetermined`: records that would have followed the person of
    `anchor_record_key` but follow nobody.
    """

    members: pl.DataFrame
    conflicts: pl.DataFrame
    undetermined: pl.DataFrame


def partition(
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    policy: IdentityPolicy,
    tier_weight: dict[int, float],
    scores: pl.DataFrame | None = None,
    verdicts: pl.DataFrame | None = None,
    refused: pl.DataFrame | None = None,
    weigh: Weigh | None = None,
    known_names: KnownNames | None = None,
) -> Partition:
    """Group records into persons.

    records: record_key, sector and FACTS (nulls allowed), one row per record; and, where it may be told, common_given:
    the given name of those whose name is common in the state.
    pairs: record_key_a, record_key_b, tier, rule, joins ('link' or 'attach'), follower. scores: WEIGHED, pairs that no
    tier names. verdicts: record_key_a, record_key_b, verdict, the newest per pair. refused: record_key,
    anchor_record_key and, where it may be true, is_crowded: a wage record and a record with its SSN whose names do not
    agree, or whose SSN is a crowd's. weigh: bits of any pairs;
    without it only the pairs given have a weight. known_names: lets a wage follow a person by another name under which
    the person is known. Pairs with a record that is not in `records` are left out.
    """
    if "common_given" not in records.columns:
        records = records.with_columns(common_given=pl.lit(None, pl.String))
    records = records.sort("record_key")
    keys = records["record_key"].to_numpy()
    evidence = _evidence(keys, pairs, policy, tier_weight, _believable(scores, records, policy), verdicts)
    close, loose, conflicts = _solve(records, evidence, policy, weigh)
    linking = evidence.filter(pl.col("verdict") != "distinct")
    told_apart = evidence.filter(pl.col("verdict") == "distinct")
    if known_names is not None:
        pairs = pl.concat(
            [pairs, known_names(pl.DataFrame({"record_key": keys, "close": close})).select(pairs.columns)]
        )
    follows = _follows(keys, pairs)
    refusals = _refusals(keys, refused)
    final, leader, undetermined, followers = _attach(keys, close, follows, told_apart)
    # Who follows a part of a person that is kept follows the person, and leaves whom it was near to.
    final_loose = _smallest(keys, loose[np.searchsorted(keys, leader)])
    both = final_loose[told_apart["a"].to_numpy()]
    met = both[both == final_loose[told_apart["b"].to_numpy()]]
    final_loose = np.where(np.isin(final_loose, met), final, final_loose)
    ties = pl.concat([linking.select("record_key_a", "record_key_b", "tier", "rule", "bits"), followers])
    # What bears the same number may change what follows whom, so that it is solved again together.
    block = _label(keys, pl.concat([frame.select("a", "b") for frame in (linking, follows, refusals)]))
    group_of = pl.DataFrame({"record_key": keys, "own": final})
    undetermined = pl.concat(
        [
            undetermined,
            refusals.join(group_of, on="record_key")
            .join(group_of, left_on="anchor_record_key", right_on="record_key", suffix="_anchor")
            .filter(pl.col("own") != pl.col("own_anchor"))
            .group_by("record_key", "own_anchor", "is_crowded")
            .agg(pl.col("anchor_record_key").min())
            .select(
                "record_key",
                "anchor_record_key",
                pl.when("is_crowded").then(pl.lit(CROWDED)).otherwise(pl.lit(UNLIKE_NAMES)).alias("reason"),
            ),
        ]
    )
    members = _explained(keys, block, final, final_loose, ties, conflicts, tier_weight)
    blocks = pl.DataFrame({"record_key": keys, "block": block})
    conflicts = conflicts.join(blocks, left_on="record_key_a", right_on="record_key")
    return Partition(
        members,
        conflicts.select(*CONFLICT).cast(CONFLICT).sort("record_key_a", "record_key_b"),
        undetermined.sort("record_key", "anchor_record_key", "reason"),
    )


def dates_agree_nearly(first: date | None, second: date | None, generation_years: int) -> bool:
    """True unless two full dates differ by more than one part (year, month, day), are no swap of day and month and no
    neighbors (a day off by one over the end of a month).

    Years further apart than `generation_years` are two people's, whatever else agrees.
    """
    if first is None or second is None:
        return True
    equal = (first.year == second.year) + (first.month == second.month) + (first.day == second.day)
    return (
        (equal >= 2 and abs(first.year - second.year) <= generation_years)
        or (first.year == second.year and (first.month, first.day) == (second.day, second.month))
        or abs((first - second).days) <= 1
    )


def numbers_agree_nearly(first: str, second: str) -> bool:
    """True when two numbers are equal, or differ by one digit or by two neighbors exchanged."""
    if first == second:
        return True
    if len(first) != len(second):
        return False
    wrong = [i for i in range(len(first)) if first[i] != second[i]]
    if len(wrong) == 1:
        return True
    return (
        len(wrong) == 2
        and wrong[1] == wrong[0] + 1
        and first[wrong[0]] == second[wrong[1]]
        and first[wrong[1]] == second[wrong[0]]
    )


def _evidence(
    keys: np.ndarray,
    pairs: pl.DataFrame,
    policy: IdentityPolicy,
    tier_weight: dict[int, float],
    scores: pl.DataFrame | None,
    verdicts: pl.DataFrame | None,
) -> pl.DataFrame:
    """One row per pair of present records that something speaks for or against, smaller key first, in their order.

    record_key_a, record_key_b, a, b (positions in `keys`), tier, rule, bits, said, verdict ('' where none).
    """
    shape = {"record_key_a": pl.Int64, "record_key_b": pl.Int64, "tier": pl.Int64, "rule": pl.String,
             "bits": pl.Float64, "said": pl.Float64, "verdict": pl.String}  # fmt: skip
    parts = [
        pairs.filter(pl.col("joins") == "link").select(
            "record_key_a", "record_key_b", pl.col("tier").cast(pl.Int64), "rule",
            _bits(tier_weight).alias("bits"),
            pl.lit(1.0).alias("said"), pl.lit("").alias("verdict"),
        )
    ]  # fmt: skip
    if scores is not None:
        parts.append(
            scores.filter((pl.col("weight") >= policy.kept_edge_weight) & (pl.col("said") > 0)).select(
                "record_key_a", "record_key_b", pl.lit(SCORE_TIER, pl.Int64).alias("tier"),
                pl.lit(SCORE_RULE).alias("rule"), pl.col("weight").alias("bits"), "said",
                pl.lit("").alias("verdict"),
            )
        )  # fmt: skip
    if verdicts is not None:
        parts.append(
            verdicts.filter(pl.col("verdict").is_in(["same", "distinct"])).select(
                "record_key_a", "record_key_b", pl.lit(VERDICT_TIER, pl.Int64).alias("tier"),
                pl.lit("verdict").alias("rule"),
                pl.when(pl.col("verdict") == "same").then(SAME).otherwise(DISTINCT).alias("bits"),
                pl.lit(1.0).alias("said"), "verdict",
            )
        )  # fmt: skip
    return _placed(
        keys,
        pl.concat([part.cast(shape) for part in parts])
        .with_columns(
            record_key_a=pl.min_horizontal("record_key_a", "record_key_b"),
            record_key_b=pl.max_horizontal("record_key_a", "record_key_b"),
        )
        .filter(pl.col("record_key_a") != pl.col("record_key_b"))
        .sort("record_key_a", "record_key_b", "tier", "rule")
        .unique(["record_key_a", "record_key_b"], keep="first", maintain_order=True),
    )


def _believable(scores: pl.DataFrame | None, records: pl.DataFrame, policy: IdentityPolicy) -> pl.DataFrame | None:
    """The scored pairs that may tie: not by a name alone, not between kin, not where a fact speaks against it."""
    if scores is None:
        return None
    facts = records.select("record_key", *FACTS, "common_given", is_confirmed=pl.lit(False))
    both = scores
    for end in "ab":
        own = facts.rename({name: f"{name}_{end}" for name in facts.columns})
        both = both.join(own, on=f"record_key_{end}", maintain_order="left")
    beside = pl.any_horizontal(
        *(pl.col(f"{name}_a").is_not_null() & pl.col(f"{name}_b").is_not_null() for name in BESIDE_A_NAME)
    )
    years = policy.generation_years
    against = (_contradiction(both, years) != "") | (_like_kin(both) != "") | ~both.select(beside).to_series()
    return both.filter(~against).select(scores.columns)


def _bits(tier_weight: dict[int, float]) -> pl.Expr:
    return pl.col("tier").cast(pl.Int64).replace_strict(tier_weight, default=None, return_dtype=pl.Float64)


def positions(keys: np.ndarray, wanted: np.ndarray) -> np.ndarray:
    """Where `wanted` stand in the sorted `keys`; looked up in order, which is four times cheaper at ten million."""
    order = np.argsort(wanted)
    found = np.empty(len(wanted), dtype=np.int64)
    found[order] = np.searchsorted(keys, wanted[order])
    return found


def _placed(keys: np.ndarray, frame: pl.DataFrame) -> pl.DataFrame:
    """The rows whose two records are present, with a and b, their positions in `keys`."""
    place = {name: positions(keys, frame[f"record_key_{name}"].to_numpy()) for name in "ab"}
    there = np.ones(frame.height, dtype=bool)
    for name, found in place.items():
        inside = np.minimum(found, max(len(keys) - 1, 0))
        there &= (keys[inside] == frame[f"record_key_{name}"].to_numpy()) if len(keys) else False
    return frame.with_columns(pl.Series(name, found) for name, found in place.items()).filter(pl.Series(there))


def _label(keys: np.ndarray, edges: pl.DataFrame) -> np.ndarray:
    """Smallest record key of every record's connected component; `keys` is sorted. edges: a, b."""
    return _smallest(keys, components(len(keys), edges["a"].to_numpy(), edges["b"].to_numpy()))


def _smallest(keys: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Labels named by the smallest key in them; keys are sorted, so the first position of a label is its smallest."""
    if not len(keys):
        return keys.copy()
    _, first, inverse = np.unique(label, return_index=True, return_inverse=True)
    return keys[first[inverse]]


def _solve(
    records: pl.DataFrame, evidence: pl.DataFrame, policy: IdentityPolicy, weigh: Weigh | None
) -> tuple[np.ndarray, np.ndarray, pl.DataFrame]:
    """Close and loose group of each record, and the pairs that would have joined two close groups.

    Of a core above the limit not every pair is weighed, so that a chain may run between records that nobody
    compared: where a fact speaks against two that meet in one group it is added, and the core is solved once more.
    """
    keys = records["record_key"].to_numpy()
    linking = evidence.filter(pl.col("verdict") != "distinct")
    surely = _label(keys, linking.filter((pl.col("tier") < SCORE_TIER) | (pl.col("bits") >= policy.edge_weight)))
    perhaps = _label(keys, linking)
    frame = records.with_columns(core=pl.Series(perhaps, dtype=pl.Int64), position=pl.int_range(pl.len()))
    inside = frame.join(_doubtful(frame, evidence), on="core", how="semi")
    if not inside.height:
        return perhaps, perhaps, pl.DataFrame(schema=CONFLICT).drop("block")
    weighed = _all_pairs(inside, evidence, policy, weigh)
    local = inside["position"].to_numpy()
    large = inside.filter(pl.len().over("core") > policy.block_limit)
    while True:
        a, b = (np.searchsorted(local, weighed[name].to_numpy()) for name in ("position_a", "position_b"))
        bits, said = weighed["bits"].to_numpy(), weighed["said"].to_numpy()
        tied = surely[local[a]] == surely[local[b]]
        found = group(
            len(local), a[tied], b[tied], bits[tied], said[tied], policy.merge_weight, policy.keep_weight,
            absent_weight=0.0,
        )  # fmt: skip
        held = _join_on(found, a, b, bits, said, policy.keep_weight)
        close, loose = perhaps.copy(), perhaps.copy()
        close[local], loose[local] = keys[local[found]], keys[local[held]]
        unseen = _unseen_facts(large, loose, weighed, evidence, policy)
        if not unseen.height:
            return close, loose, _conflicts(weighed, close, loose)
        weighed = pl.concat([weighed, unseen]).sort("record_key_a", "record_key_b")


def _join_on(
    found: np.ndarray, a: np.ndarray, b: np.ndarray, bits: np.ndarray, said: np.ndarray, threshold: float
) -> np.ndarray:
    """Go on joining the groups `found` (smallest node of each node) down to a lower threshold; the same form."""
    names, node = np.unique(found, return_inverse=True)
    first, second = np.minimum(node[a], node[b]), np.maximum(node[a], node[b])
    apart = first != second
    pair, place = np.unique(np.stack([first[apart], second[apart]], axis=1), axis=0, return_inverse=True)
    said_between = np.bincount(place, weights=said[apart], minlength=len(pair))
    total = np.bincount(place, weights=(bits * said)[apart], minlength=len(pair))
    mean = np.divide(total, said_between, out=np.zeros(len(pair)), where=said_between > 0)
    joined = group(len(names), pair[:, 0], pair[:, 1], mean, said_between, threshold, threshold, absent_weight=0.0)
    return names[joined][node]


def _doubtful(frame: pl.DataFrame, evidence: pl.DataFrame) -> pl.DataFrame:
    """Cores that may hold several persons: some value differs, or not every tie is a tier's."""
    differing = pl.any_horizontal(
        *(pl.col(name).drop_nulls().n_unique() > 1 for name in ("ssn", "student_id_state", "birth_date", "given_root"))
    )
    by_value = frame.group_by("core").agg(size=pl.len(), differs=differing).filter(pl.col("size") > 1)
    other = evidence.filter((pl.col("tier") == SCORE_TIER) | (pl.col("verdict") != "")).join(
        frame.select("core", a=pl.col("position").cast(pl.Int64)), on="a"
    )
    return pl.concat([by_value.filter("differs").select("core"), other.select("core")]).unique()


def _all_pairs(
    inside: pl.DataFrame, evidence: pl.DataFrame, policy: IdentityPolicy, weigh: Weigh | None
) -> pl.DataFrame:
    """Every pair of records within a doubtful core, smaller key first, in their order: record_key_a, record_key_b,
    position_a, position_b, core, bits, said, tier, rule, reason. Of a core above the limit only pairs with evidence.
    """
    size = inside.group_by("core").agg(size=pl.len())
    facts = _facts(inside)
    small = facts.join(size.filter(pl.col("size") <= policy.block_limit), on="core", how="semi")
    every = small.join(small, on="core", suffix="_b").filter(pl.col("record_key") < pl.col("record_key_b"))
    known = evidence.select("record_key_a", "record_key_b", "tier", "rule", "bits", "said", "verdict")
    large = facts.join(size.filter(pl.col("size") > policy.block_limit), on="core", how="semi")
    if large.height:
        given = known.select(record_key="record_key_a", record_key_b="record_key_b")
        right = large.rename({name: f"{name}_b" for name in large.columns if name != "core"})
        every = pl.concat(
            [every, given.join(large, on="record_key").join(right, on=["core", "record_key_b"]).select(every.columns)]
        )
    every = every.rename({name: f"{name}_a" for name in facts.columns if name != "core"})
    every = every.with_columns(**_facts_against(every, facts, evidence, policy))
    every = every.join(known, on=["record_key_a", "record_key_b"], how="left", maintain_order="left")
    if weigh is not None and every.height:
        told = weigh(every.select("record_key_a", "record_key_b")).select(
            "record_key_a", "record_key_b", weighed="weight", compared="said"
        )
        every = every.join(told, on=["record_key_a", "record_key_b"], how="left", maintain_order="left")
    else:
        every = every.with_columns(weighed=pl.lit(None, pl.Float64), compared=pl.lit(None, pl.Float64))
    is_fact = pl.col("reason") != ""
    kin_weight = (
        pl.when(pl.col("kin") == OTHER_NAME).then(policy.other_name_weight).otherwise(pl.lit(policy.kin_weight))
    )
    # What differs here was judged on another pair: that the model finds it unlike says nothing any more.
    compared = pl.when("is_answered").then(pl.lit(None, pl.Float64)).otherwise(pl.col("compared"))
    weighed = pl.when("is_answered").then(pl.lit(None, pl.Float64)).otherwise(pl.col("weighed"))
    return every.with_columns(weighed=weighed, compared=compared).select(
        *PLACE, "tier", "rule",
        pl.when(pl.col("verdict") == "distinct").then(pl.lit("verdict_distinct"))
        .when(pl.col("verdict") == "same").then(pl.lit(""))
        .when((pl.col("reason") == "") & (pl.col("kin") != "") & pl.col("bits").is_null())
        .then(pl.col("kin"))
        .otherwise(pl.col("reason")).alias("reason"),
        pl.when(pl.col("verdict").is_in(["same", "distinct"])).then(pl.col("bits"))
        .when(is_fact).then(CONTRADICTION)
        .when((pl.col("kin") != "") & pl.col("bits").is_null()).then(pl.min_horizontal("weighed", kin_weight))
        .otherwise(pl.max_horizontal(pl.col("bits"), pl.col("weighed"))).fill_null(0.0).alias("bits"),
        # What a tier, a fact or a steward says counts even where the model finds nothing to compare.
        pl.max_horizontal(
            pl.col("compared").fill_null(0.0),
            pl.when(pl.col("bits").is_not_null() | is_fact | (pl.col("kin") != ""))
            .then(pl.max_horizontal(pl.col("said").fill_null(1.0), 1.0))
            .otherwise(0.0),
        ).alias("said"),
    ).sort("record_key_a", "record_key_b")  # fmt: skip


def _unseen_facts(
    large: pl.DataFrame, loose: np.ndarray, weighed: pl.DataFrame, evidence: pl.DataFrame, policy: IdentityPolicy
) -> pl.DataFrame:
    """Pairs of records of large cores that met in one loose group although a fact speaks against them, and that
    `weighed` lacks; in its form."""
    facts = _facts(large).with_columns(loose=loose[large["position"].to_numpy()])
    pairs = facts.join(facts.drop("core"), on="loose", suffix="_b")
    pairs = pairs.filter(pl.col("record_key") < pl.col("record_key_b"))
    pairs = pairs.drop("loose").rename({name: f"{name}_a" for name in facts.columns if name not in ("core", "loose")})
    pairs = pairs.join(weighed, on=["record_key_a", "record_key_b"], how="anti")
    return (
        pairs.with_columns(**_facts_against(pairs, facts, evidence, policy))
        .filter(pl.col("reason") != "")
        .select(
            *PLACE, "reason", tier=pl.lit(None, pl.Int64), rule=pl.lit(None, pl.String), bits=pl.lit(CONTRADICTION),
            said=pl.lit(1.0),
        )
        .select(weighed.columns)
    )  # fmt: skip


def _facts(inside: pl.DataFrame) -> pl.DataFrame:
    """What is compared of each record: core, record_key, position, numbers, birth date, name, is_confirmed."""
    facts = inside.select(
        "core", "record_key", "position", "sector", "ssn", "student_id_state", "birth_date", "given_root",
        "common_given",
    )  # fmt: skip
    confirmed = _confirmed(facts)
    return facts.join(confirmed, on=["core", "ssn"], how="left", maintain_order="left").with_columns(
        pl.col("is_confirmed").fill_null(False)
    )


PLACE = ("record_key_a", "record_key_b", "position_a", "position_b", "core")


def _facts_against(
    every: pl.DataFrame, facts: pl.DataFrame, evidence: pl.DataFrame, policy: IdentityPolicy
) -> dict[str, pl.Series]:
    """Of each pair: reason and kin ('' where none), and is_answered, whether a steward said of two records of the core
    with the same two birth dates that they are one person: the dates speak no more against anyone of it.

    facts: as `_facts` gives them, of every record of the cores.
    """
    answered = _answered(every, facts, evidence)
    return {
        "reason": _contradiction(every, policy.generation_years, answered),
        "kin": _like_kin(every),
        "is_answered": answered,
    }


def _answered(every: pl.DataFrame, facts: pl.DataFrame, evidence: pl.DataFrame) -> pl.Series:
    """Whether a steward's 'same' was said of two records of the core with the two birth dates of the pair."""
    dates = facts.select("record_key", "core", "birth_date")
    judged = (
        evidence.filter(pl.col("verdict") == "same")
        .join(dates, left_on="record_key_a", right_on="record_key")
        .join(dates.drop("core"), left_on="record_key_b", right_on="record_key", suffix="_b")
        .select(
            "core", low=pl.min_horizontal("birth_date", "birth_date_b"),
            high=pl.max_horizontal("birth_date", "birth_date_b"), is_answered=pl.lit(True),
        )
        .filter(pl.col("low") != pl.col("high"))
        .unique()
    )  # fmt: skip
    found = every.select(
        "core", low=pl.min_horizontal("birth_date_a", "birth_date_b"),
        high=pl.max_horizontal("birth_date_a", "birth_date_b"),
    ).join(judged, on=["core", "low", "high"], how="left", maintain_order="left")  # fmt: skip
    return found["is_answered"].fill_null(False)


def _confirmed(facts: pl.DataFrame) -> pl.DataFrame:
    """SSNs of a core that two sectors delivered: a second source confirms, a format rule does not."""
    return (
        facts.filter(pl.col("ssn").is_not_null())
        .group_by("core", "ssn")
        .agg(is_confirmed=pl.col("sector").n_unique() > 1)
        .filter("is_confirmed")
    )


FACTS = ("ssn", "student_id_state", "birth_date", "given_root", "birth_month", "postal_code")
# What two records must both have, any of it, beside a name: a name alone, however rare, makes nobody one person.
BESIDE_A_NAME = ("ssn", "student_id_state", "birth_month", "postal_code")


def _far_ssns(every: pl.DataFrame) -> pl.Series:
    """Whether the two records of each pair bear SSNs that are neither equal nor nearly."""
    ssns = every.filter(pl.col("ssn_a") != pl.col("ssn_b")).select("ssn_a", "ssn_b").unique()
    far = [not numbers_agree_nearly(x, y) for x, y in ssns.iter_rows()]
    far_ssns = ssns.filter(pl.Series(far, dtype=pl.Boolean)).with_columns(is_far=pl.lit(True))
    joined = every.select("ssn_a", "ssn_b").join(far_ssns, on=["ssn_a", "ssn_b"], how="left", maintain_order="left")
    return joined["is_far"].fill_null(False)


def _years_apart(years: int) -> pl.Expr:
    born_a, born_b = (pl.col(f"birth_date_{end}").dt.year() for end in "ab")
    return ((born_a - born_b).abs() > years).fill_null(False)


# Given names that are neither equal, but for nicknames, nor one the beginning of the other.
GIVEN_DIFFER = (
    (pl.col("given_root_a") != pl.col("given_root_b"))
    & ~pl.col("given_root_a").str.starts_with(pl.col("given_root_b"))
    & ~pl.col("given_root_b").str.starts_with(pl.col("given_root_a"))
).fill_null(False)


def _like_kin(every: pl.DataFrame) -> pl.Series:
    """Why the two of each pair may be kin however much else agrees; '' where nothing says so.

    Twins and siblings have two given names and two numbers of one kind. Or each is known to one agency, and two given
    names that many bear are spelled alike: what else agrees, surname, birth date and address, is the family's.
    """
    two_ids = (pl.col("student_id_state_a") != pl.col("student_id_state_b")).fill_null(False)
    same_number = pl.any_horizontal(
        (pl.col(f"{name}_a") == pl.col(f"{name}_b")).fill_null(False) for name in ("ssn", "student_id_state")
    )
    return every.select(
        pl.when(GIVEN_DIFFER & (two_ids | pl.lit(_far_ssns(every))))
        .then(pl.lit("two_numbers_and_given_names"))
        .when(GIVEN_DIFFER & pl.lit(_alike_and_common(every)) & ~same_number)
        .then(pl.lit(OTHER_NAME))
        .otherwise(pl.lit(""))
    ).to_series()


def _alike_and_common(every: pl.DataFrame) -> pl.Series:
    """Whether the given names of each pair are common ones that the model would take for spellings of one name."""
    columns = ["common_given_a", "common_given_b"]
    names = every.select(columns).drop_nulls().unique().filter(pl.col(columns[0]) != pl.col(columns[1]))
    written = conditions("given", "common_{}_a", "common_{}_b")
    with duckdb.connect(config={"threads": 1}) as con:
        con.register("name", names.to_arrow())
        alike = con.execute(f"SELECT *, true AS is_alike FROM name WHERE {written['near']}").pl()
    return every.select(columns).join(alike, on=columns, how="left", maintain_order="left")["is_alike"].fill_null(False)


def _contradiction(every: pl.DataFrame, generation_years: int, answered: pl.Series | None = None) -> pl.Series:
    """Why the two records of each pair cannot be one person; '' where they can. answered: pairs whose birth dates a
    steward took for one person's.

    Two full birth dates that are no spelling of one another speak against one person by themselves: a number may be a
    parent's, a name is a father's and a son's. What else differs says more of why.
    """
    parts = [
        (getattr(pl.col("birth_date_a").dt, part)() == getattr(pl.col("birth_date_b").dt, part)()).cast(pl.Int8)
        for part in ("year", "month", "day")
    ]
    swapped = (
        (pl.col("birth_date_a").dt.year() == pl.col("birth_date_b").dt.year())
        & (pl.col("birth_date_a").dt.month() == pl.col("birth_date_b").dt.day())
        & (pl.col("birth_date_a").dt.day() == pl.col("birth_date_b").dt.month())
    )
    both_known = pl.col("birth_date_a").is_not_null() & pl.col("birth_date_b").is_not_null()
    neighbors = (pl.col("birth_date_a") - pl.col("birth_date_b")).dt.total_days().abs() <= 1
    far_parts = ((pl.sum_horizontal(parts) < 2) & ~swapped & ~neighbors).fill_null(False)
    generation_apart = _years_apart(generation_years)
    dates_differ = both_known & (far_parts | generation_apart)
    if answered is not None:
        dates_differ = dates_differ & ~pl.lit(answered)
    far_ssn = pl.lit(_far_ssns(every))
    two_ids = (pl.col("student_id_state_a") != pl.col("student_id_state_b")).fill_null(False)
    return every.select(
        pl.when(far_ssn & pl.col("is_confirmed_a") & pl.col("is_confirmed_b"))
        .then(pl.lit("two_confirmed_ssns"))
        .when(dates_differ & far_ssn)
        .then(pl.lit("two_ssns_and_birth_dates"))
        .when(dates_differ & two_ids)
        .then(pl.lit("two_student_ids_and_birth_dates"))
        .when(dates_differ & GIVEN_DIFFER)
        .then(pl.lit("two_given_names_and_birth_dates"))
        .when(dates_differ & generation_apart)
        .then(pl.lit("birth_dates_a_generation_apart"))
        .when(dates_differ)
        .then(pl.lit("irreconcilable_birth_dates"))
        .otherwise(pl.lit(""))
        .alias("reason")
    )["reason"]


def _conflicts(weighed: pl.DataFrame, close: np.ndarray, loose: np.ndarray) -> pl.DataFrame:
    """Of each two close groups of a core with evidence between them, the strongest pair and why they are two."""
    between = weighed.with_columns(
        close_a=pl.Series(close[weighed["position_a"].to_numpy()]),
        close_b=pl.Series(close[weighed["position_b"].to_numpy()]),
        held=pl.Series(loose[weighed["position_a"].to_numpy()] == loose[weighed["position_b"].to_numpy()]),
    ).filter(pl.col("close_a") != pl.col("close_b"))
    between = between.with_columns(
        first=pl.min_horizontal("close_a", "close_b"), second=pl.max_horizontal("close_a", "close_b")
    )
    spoken_for = pl.col("tier").is_not_null() & (pl.col("tier") > VERDICT_TIER)
    told = between.group_by("first", "second").agg(
        fact=pl.col("reason").filter(pl.col("reason") != "").sort().first(), held=pl.col("held").first()
    )
    return (
        between.filter(spoken_for)
        .sort("first", "second", "tier", "record_key_a", "record_key_b")
        .unique(["first", "second"], keep="first", maintain_order=True)
        .drop("held")
        .join(told, on=["first", "second"])
        .select(
            "record_key_a", "record_key_b", "rule",
            pl.coalesce(
                "fact", pl.when("held").then(pl.lit("between_thresholds")).otherwise(pl.lit("weak_bridge"))
            ).alias("reason"),
            pl.col("bits").alias("weight"),
        )
    )  # fmt: skip


def _follows(keys: np.ndarray, pairs: pl.DataFrame) -> pl.DataFrame:
    """Pairs in which one record follows: record_key (follower), anchor, a, b (their positions), tier, rule."""
    attach = _placed(keys, pairs.filter(pl.col("joins") == "attach"))
    is_first = pl.col("follower") == pl.col("record_key_a")
    return attach.select(
        pl.col("follower").alias("record_key"),
        pl.when(is_first).then("record_key_b").otherwise("record_key_a").alias("anchor"),
        pl.when(is_first).then("a").otherwise("b").alias("a"),
        pl.when(is_first).then("b").otherwise("a").alias("b"),
        pl.col("tier").cast(pl.Int64),
        "rule",
    ).sort("record_key", "anchor", "tier")


def _refusals(keys: np.ndarray, refused: pl.DataFrame | None) -> pl.DataFrame:
    """Refused wages and their anchors that are present: record_key, anchor_record_key, is_crowded, a, b (positions)."""
    if refused is None:
        refused = pl.DataFrame(schema={"record_key": pl.Int64, "anchor_record_key": pl.Int64})
    if "is_crowded" not in refused.columns:
        refused = refused.with_columns(is_crowded=pl.lit(False))
    named = refused.select("is_crowded", record_key_a="record_key", record_key_b="anchor_record_key")
    return _placed(keys, named).rename({"record_key_a": "record_key", "record_key_b": "anchor_record_key"})


def _attach(
    keys: np.ndarray, label: np.ndarray, follows: pl.DataFrame, told_apart: pl.DataFrame
) -> tuple[np.ndarray, np.ndarray, pl.DataFrame, pl.DataFrame]:
    """Let groups of records with few identifiers follow the one group that they point to.

    A group that points to two persons follows none: its records are undetermined for both. Nobody follows into a group
    from which a steward told them apart. Returns the labels, the label of the group that leads each, the undetermined,
    and the pairs by which records follow.
    """
    apart = pl.concat(
        [
            pl.DataFrame(
                {"own": label[told_apart[x].to_numpy()], "target": label[told_apart[y].to_numpy()]},
                schema={"own": pl.Int64, "target": pl.Int64},
            )
            for x, y in ("ab", "ba")
        ]
    )
    pointed = (
        follows.with_columns(
            own=pl.Series(label[follows["a"].to_numpy()]), target=pl.Series(label[follows["b"].to_numpy()])
        )
        .filter(pl.col("own") != pl.col("target"))
        .join(apart, on=["own", "target"], how="anti")
        # The strongest tier decides: a number one digit off says nothing against the number itself.
        .filter(pl.col("tier") == pl.col("tier").min().over("own"))
    )
    targets = pointed.group_by("own").agg(targets=pl.col("target").n_unique(), target=pl.col("target").min())
    one = targets.filter(pl.col("targets") == 1)
    names = np.unique(label)

    def joined(steps: pl.DataFrame) -> np.ndarray:
        # A target may itself follow (a bare number behind another bare number), so followers and targets are joined
        # as a graph of groups; every group follows at most one, hence no two persons meet in it by accident.
        ends = (np.searchsorted(names, steps[end].to_numpy()) for end in ("own", "target"))
        return components(len(names), *ends)[np.searchsorted(names, label)]

    met = joined(one)
    meeting = told_apart.filter(pl.Series(met[told_apart["a"].to_numpy()] == met[told_apart["b"].to_numpy()]))
    if meeting.height:  # both follow one person and were told apart: neither follows
        ends = np.concatenate([label[meeting[end].to_numpy()] for end in "ab"])
        one = one.filter(~pl.col("own").is_in(ends.tolist()))
        met = joined(one)
    final = _smallest(keys, met)
    leads = (
        pl.DataFrame({"own": names})
        .join(one, on="own", how="left")
        .select("own", follows=pl.col("target").is_not_null())
    )
    group_of = pl.DataFrame({"record_key": keys, "own": label, "final": final})
    # Of groups that only point at each other the one with the smallest key leads.
    leader = (
        group_of.join(leads, on="own", how="left", maintain_order="left")
        .with_columns(leader=pl.col("own").sort_by("follows", "own").first().over("final"))
        .get_column("leader")
        .to_numpy()
    )
    doubtful = pointed.join(targets.filter(pl.col("targets") > 1), on="own", how="semi")
    waiting = (
        group_of.join(doubtful.group_by("own", "target").agg(anchor_record_key=pl.col("anchor").min()), on="own")
        .select("record_key", "anchor_record_key", reason=pl.lit("two_persons_carry_the_number"))
        .cast(UNDETERMINED)
    )
    attached = (
        pointed.join(one, on="own", how="semi")
        .group_by("own")
        .agg(pl.col("anchor", "tier", "rule").sort_by("tier", "rule", "anchor").first())
        .join(group_of, on="own")
        .select("tier", "rule", record_key_a="record_key", record_key_b="record_key", bits=pl.lit(None, pl.Float64))
        .select("record_key_a", "record_key_b", "tier", "rule", "bits")
    )
    return final, leader, waiting, attached


def _explained(
    keys: np.ndarray,
    block: np.ndarray,
    close: np.ndarray,
    loose: np.ndarray,
    ties: pl.DataFrame,
    conflicts: pl.DataFrame,
    tier_weight: dict[int, float],
) -> pl.DataFrame:
    """Members with the strongest rule that ties each record to its close group, and why it was kept from others."""
    label = pl.DataFrame({"record_key": keys, "close": close})
    kept = (
        ties.join(label, left_on="record_key_a", right_on="record_key")
        .join(label.rename({"close": "other"}), left_on="record_key_b", right_on="record_key")
        .filter(pl.col("close") == pl.col("other"))
    )
    ends = pl.concat(
        [
            kept.select(pl.col(end).alias("record_key"), "tier", "rule", "bits")
            for end in ("record_key_a", "record_key_b")
        ]
    ).with_columns(bits=pl.coalesce("bits", _bits(tier_weight)))
    best = ends.group_by("record_key").agg(
        pl.col("rule", "bits").sort_by(pl.col("tier"), -pl.col("bits"), "rule").first()
    )
    apart = (
        pl.concat(
            [conflicts.select(pl.col(end).alias("record_key"), "reason") for end in ("record_key_a", "record_key_b")]
        )
        .group_by("record_key")
        .agg(pl.col("reason").sort().first())
    )
    return (
        label.with_columns(block=pl.Series(block), loose=pl.Series(loose))
        .join(best, on="record_key", how="left")
        .join(apart, on="record_key", how="left")
        .select(
            "record_key", "block", "loose", "close", pl.col("rule").fill_null("alone"), pl.col("bits").alias("weight"),
            pl.col("reason").fill_null(""),
        )
        .cast(MEMBER)
        .sort("record_key")
    )  # fmt: skip
