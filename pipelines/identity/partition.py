"""The canonical partition: which records are one person, as a pure function of records, pairs and verdicts.

Belongs here: connected components, the repair of components that hold two persons, and records with few identifiers
that follow one person. Does not belong here: comparing identifiers (dbt, inside the vault) and ids (ids.py).

The result depends on no order of its inputs: edges are taken in the order of tier and record keys, and a component is
named by its smallest record key.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import numpy as np
import polars as pl
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

# A steward's verdict outranks every tier of the policy.
VERDICT_TIER = 0


@dataclass(frozen=True)
class Partition:
    """`members`: record_key, component (smallest record key in it), rule, tier, one row per record.

    `conflicts`: record_key_a, record_key_b, rule, reason: pairs that would have joined two persons, for the steward.
    `undetermined`: record_key, component, reason: records that would have followed `component` but follow nobody.
    """

    members: pl.DataFrame
    conflicts: pl.DataFrame
    undetermined: pl.DataFrame


CONFLICT = {"record_key_a": pl.Int64, "record_key_b": pl.Int64, "rule": pl.String, "reason": pl.String}
UNDETERMINED = {"record_key": pl.Int64, "component": pl.Int64, "reason": pl.String}


def partition(
    records: pl.DataFrame,
    pairs: pl.DataFrame,
    verdicts: pl.DataFrame | None = None,
    refused: pl.DataFrame | None = None,
) -> Partition:
    """Group records into persons.

    records: record_key, sector, ssn, student_id_state, birth_date (nulls allowed), one row per record.
    pairs: record_key_a, record_key_b, tier, rule, joins ('link' or 'attach').
    verdicts: record_key_a, record_key_b, verdict ('same' or 'distinct'), the newest per pair.
    refused: record_key, anchor_record_key: a wage record and a record with its SSN whose names do not agree.
    """
    records = records.sort("record_key")
    keys = records["record_key"].to_numpy()
    verdicts = verdicts if verdicts is not None else _none(pairs).with_columns(verdict=pl.lit(""))
    distinct = {
        (min(a, b), max(a, b))
        for a, b, verdict in verdicts.select("record_key_a", "record_key_b", "verdict").iter_rows()
        if verdict == "distinct"
    }
    same = verdicts.filter(pl.col("verdict") == "same").select(
        "record_key_a", "record_key_b", tier=pl.lit(VERDICT_TIER, pl.Int64), rule=pl.lit("verdict")
    )
    known = pl.Series(keys)
    links = (
        pl.concat(
            [
                pairs.filter(pl.col("joins") == "link").select(
                    "record_key_a", "record_key_b", pl.col("tier").cast(pl.Int64), "rule"
                ),
                same,
            ]
        )
        .filter(pl.col("record_key_a").is_in(known.implode()) & pl.col("record_key_b").is_in(known.implode()))
        .with_columns(
            record_key_a=pl.min_horizontal("record_key_a", "record_key_b"),
            record_key_b=pl.max_horizontal("record_key_a", "record_key_b"),
        )
        .filter(pl.col("record_key_a") != pl.col("record_key_b"))
        .sort("tier", "record_key_a", "record_key_b", "rule")
        .unique(["record_key_a", "record_key_b"], keep="first", maintain_order=True)
    )
    component = _components(keys, links)
    component, conflicts = _repair(records, links, component, distinct)
    component, attached, undetermined = _attach(keys, component, pairs, distinct, refused)
    members = _named(records, links, component, attached)
    return Partition(
        members,
        pl.DataFrame(conflicts, schema=CONFLICT, orient="row").sort("record_key_a", "record_key_b"),
        undetermined,
    )


def dates_agree_nearly(first: date | None, second: date | None) -> bool:
    """True unless two full dates differ by more than one part (year, month, day) and are no swap of day and month."""
    if first is None or second is None:
        return True
    equal = (first.year == second.year) + (first.month == second.month) + (first.day == second.day)
    return equal >= 2 or (first.year == second.year and (first.month, first.day) == (second.day, second.month))


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


def _none(pairs: pl.DataFrame) -> pl.DataFrame:
    return pairs.clear().select("record_key_a", "record_key_b")


def _components(keys: np.ndarray, links: pl.DataFrame) -> np.ndarray:
    """Smallest record key of every record's connected component; `keys` is sorted."""
    a = np.searchsorted(keys, links["record_key_a"].to_numpy())
    b = np.searchsorted(keys, links["record_key_b"].to_numpy())
    graph = coo_array((np.ones(len(a), dtype=np.int8), (a, b)), shape=(len(keys), len(keys)))
    _, labels = connected_components(graph, directed=False)
    # Keys are sorted, so the first position of a label is its smallest key.
    _, first = np.unique(labels, return_index=True)
    return keys[first[labels]]


def _repair(
    records: pl.DataFrame, links: pl.DataFrame, component: np.ndarray, distinct: set[tuple[int, int]]
) -> tuple[np.ndarray, list[tuple[int, int, str, str]]]:
    """Join again, strongest tier first, every component that may hold two persons, and leave out the links that
    would put contradicting records together."""
    frame = records.with_columns(component=pl.Series(component))
    summary = frame.group_by("component").agg(
        ssns=pl.col("ssn").n_unique() - pl.col("ssn").is_null().any().cast(pl.UInt32),
        ids=pl.col("student_id_state").n_unique() - pl.col("student_id_state").is_null().any().cast(pl.UInt32),
    )
    suspect = summary.filter((pl.col("ssns") > 1) | (pl.col("ids") > 1))["component"]
    told_apart = pl.Series([key for pair in distinct for key in pair], dtype=pl.Int64)
    suspect = pl.concat([suspect, frame.filter(pl.col("record_key").is_in(told_apart.implode()))["component"]]).unique()
    if not len(suspect):
        return component, []
    inside = frame.filter(pl.col("component").is_in(suspect.implode()))
    confirmed = _confirmed_ssns(records)
    facts = {
        key: (ssn if ssn in confirmed else None, ssn, student_id, born)
        for key, ssn, student_id, born in inside.select(
            "record_key", "ssn", "student_id_state", "birth_date"
        ).iter_rows()
    }
    cluster = {key: [key] for key in facts}
    conflicts = []
    edges = links.filter(pl.col("record_key_a").is_in(inside["record_key"].implode()))
    for a, b, rule in edges.select("record_key_a", "record_key_b", "rule").iter_rows():
        first, second = cluster[a], cluster[b]
        if first is second:
            continue
        reason = next((why for x in first for y in second if (why := _contradiction(x, y, facts, distinct))), "")
        if reason:
            conflicts.append((a, b, rule, reason))
            continue
        if len(first) < len(second):
            first, second = second, first
        first.extend(second)
        for key in second:
            cluster[key] = first
    names = {id(group): min(group) for group in cluster.values()}
    keys = records["record_key"].to_numpy()
    repaired = component.copy()
    for key, group in cluster.items():
        repaired[np.searchsorted(keys, key)] = names[id(group)]
    # A link left out whose ends met by another way is no conflict.
    return repaired, [item for item in conflicts if cluster[item[0]] is not cluster[item[1]]]


def _confirmed_ssns(records: pl.DataFrame) -> set[str]:
    """SSNs that two different sectors delivered: a second source confirms, a format rule does not."""
    seen = records.filter(pl.col("ssn").is_not_null()).group_by("ssn").agg(pl.col("sector").n_unique().alias("sectors"))
    return set(seen.filter(pl.col("sectors") > 1)["ssn"])


def _contradiction(x: int, y: int, facts: dict, distinct: set[tuple[int, int]]) -> str:
    """Why records x and y cannot be one person; empty when they can."""
    if (min(x, y), max(x, y)) in distinct:
        return "verdict_distinct"
    confirmed_x, ssn_x, id_x, born_x = facts[x]
    confirmed_y, ssn_y, id_y, born_y = facts[y]
    if confirmed_x and confirmed_y and not numbers_agree_nearly(confirmed_x, confirmed_y):
        return "two_confirmed_ssns"
    if dates_agree_nearly(born_x, born_y):
        return ""
    if ssn_x and ssn_y and not numbers_agree_nearly(ssn_x, ssn_y):
        return "two_ssns_and_birth_dates"
    if id_x and id_y and id_x != id_y:
        return "two_student_ids_and_birth_dates"
    return ""


def _attach(
    keys: np.ndarray,
    component: np.ndarray,
    pairs: pl.DataFrame,
    distinct: set[tuple[int, int]],
    refused: pl.DataFrame | None,
) -> tuple[np.ndarray, pl.DataFrame, pl.DataFrame]:
    """Let components of records with few identifiers follow the one component that they point to.

    The column `follower` of `pairs` says which end follows. A component that points to two persons follows none.
    `refused` wages are listed as undetermined for the person whose SSN they carry, wherever they ended up.
    """
    attach = pairs.filter(pl.col("joins") == "attach")
    label = pl.DataFrame({"record_key": keys, "component": component})
    follows = (
        attach.select(
            record_key=pl.col("follower"),
            anchor=pl.when(pl.col("follower") == pl.col("record_key_a"))
            .then(pl.col("record_key_b"))
            .otherwise(pl.col("record_key_a")),
            tier=pl.col("tier").cast(pl.Int64),
            rule=pl.col("rule"),
        )
        .join(label, on="record_key")
        .join(label.rename({"record_key": "anchor", "component": "target"}), on="anchor")
        .filter(pl.col("component") != pl.col("target"))
    )
    if distinct:
        told_apart = pl.DataFrame(sorted(distinct), schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
        both = pl.concat([told_apart, told_apart.select(a="b", b="a")])
        follows = follows.join(both, left_on=["record_key", "anchor"], right_on=["a", "b"], how="anti")
    chosen = follows.group_by("component").agg(
        targets=pl.col("target").n_unique(), target=pl.col("target").min(), tier=pl.col("tier").min(),
        rule=pl.col("rule").sort_by("tier", "rule").first(),
    )  # fmt: skip
    one = chosen.filter(pl.col("targets") == 1).select("component", "target", "tier", "rule")
    ambiguous = follows.join(chosen.filter(pl.col("targets") > 1), on="component", how="semi")
    undetermined = [
        label.join(ambiguous.select("component", "target").unique(), on="component").select(
            "record_key", component="target", reason=pl.lit("two_persons_carry_the_number")
        )
    ]
    moved = label.join(one, on="component", how="left")
    # A target may itself follow (a bare number behind another bare number), so followers and targets are joined as
    # a graph of components; every component follows at most one, hence no two persons meet in it by accident.
    labels = np.unique(component)
    steps = one.select(record_key_a="component", record_key_b="target")
    result = _components(labels, steps)[np.searchsorted(labels, component)]
    attached = moved.filter(pl.col("target").is_not_null()).select("record_key", "tier", "rule")
    final = pl.DataFrame({"record_key": keys, "component": result})
    undetermined = [
        listed.join(
            pl.DataFrame({"component": labels, "now": _components(labels, steps)}), on="component", how="left"
        ).select("record_key", component="now", reason="reason")
        for listed in undetermined
    ]
    if refused is not None and refused.height:
        undetermined.append(
            refused.join(final.rename({"component": "own"}), on="record_key")
            .join(
                final.rename({"record_key": "anchor_record_key", "component": "anchor_component"}),
                on="anchor_record_key",
            )
            .filter(pl.col("own") != pl.col("anchor_component"))
            .select("record_key", component="anchor_component", reason=pl.lit("names_do_not_agree"))
        )
    waiting = (
        pl.concat(undetermined)
        .select(*UNDETERMINED)
        .cast(UNDETERMINED)
        .unique()
        .sort("record_key", "component", "reason")
    )
    return result, attached, waiting


def _named(records: pl.DataFrame, links: pl.DataFrame, component: np.ndarray, attached: pl.DataFrame) -> pl.DataFrame:
    """Members with the strongest rule that ties each record to its component; 'alone' where none does."""
    label = pl.DataFrame({"record_key": records["record_key"], "component": component})
    kept = (
        links.join(label, left_on="record_key_a", right_on="record_key")
        .join(label.rename({"component": "other"}), left_on="record_key_b", right_on="record_key")
        .filter(pl.col("component") == pl.col("other"))
    )
    ends = pl.concat(
        [kept.select(pl.col(end).alias("record_key"), "tier", "rule") for end in ("record_key_a", "record_key_b")]
        + [attached.select("record_key", "tier", "rule")]
    )
    best = ends.group_by("record_key").agg(
        rule=pl.col("rule").sort_by("tier", "rule").first(), tier=pl.col("tier").min()
    )
    return (
        label.join(best, on="record_key", how="left")
        .with_columns(pl.col("rule").fill_null("alone"))
        .sort("record_key")
        .select("record_key", "component", "rule", "tier")
    )
