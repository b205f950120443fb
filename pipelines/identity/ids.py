"""Lasting ids: a fold of today's partition over the links that earlier nights left.

Belongs here: keep, mint, merge and split, and who survives. Does not belong here: which records are one person
(partition.py) and reading or writing tables (registry.py).

Hysteresis lives here and nowhere else: people become one only where the partition's close groups say so, and stay one
as long as its loose groups do. So the partition stays a pure function, and an id does not move to and fro where the
evidence stands near a threshold.

Laws, tested: nothing changed gives no event; the order of rows is irrelevant; records that vanish and come back get
their ids back; a part of the people, folded alone, gets what it gets among all.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import polars as pl

LINK = {"record_key": pl.Int64, "person_key": pl.Int64, "rule": pl.String}
EVENT = {"event": pl.String, "person_key": pl.Int64, "other_person_key": pl.Int64, "evidence": pl.String}
REDIRECT = {"old_person_key": pl.Int64, "person_key": pl.Int64}


@dataclass(frozen=True)
class Fold:
    """What tonight appends: links (record_key, person_key, rule) that are new or moved, events (event, person_key,
    other_person_key, evidence), redirects (old_person_key, person_key; to itself = the id is in use again), and the
    keys of persons minted."""

    links: pl.DataFrame
    events: pl.DataFrame
    redirects: pl.DataFrame
    minted: list[int]


def hold(members: pl.DataFrame, history: pl.DataFrame) -> pl.DataFrame:
    """Tonight's people: close groups, and those of one loose group that already are one person.

    members: record_key, loose, close and further columns; history as in `fold`. Returns members with `component`, the
    smallest `close` of the person. Close groups whose records mostly bear the same id stay together; one without an
    id joins nobody.
    """
    borne = (
        members.join(_present(history), on="record_key")
        .group_by("loose", "close", "person_key")
        .agg(records=pl.len())
        .sort(["close", "records", "person_key"], descending=[False, True, False])
        .unique("close", keep="first", maintain_order=True)
    )
    together = borne.with_columns(component=pl.col("close").min().over("loose", "person_key"))
    return members.join(together.select("close", "component"), on="close", how="left").with_columns(
        pl.coalesce("component", "close").alias("component")
    )


def fold(
    members: pl.DataFrame, history: pl.DataFrame, persons: pl.DataFrame, mint: Callable[[int], Sequence[int]]
) -> Fold:
    """Give every component of `members` (record_key, component, sector, rule) a person_key.

    history: record_key, person_key, link_number of every link ever made; the highest link_number of a record is its
    present link. persons: person_key, age_rank (smaller = minted earlier). `mint(n)` returns n unused random keys.

    A component keeps the id of most of its records; of several ids that it owns, the one with most records, then
    most sectors, then the oldest survives and the others redirect to it (merge). An id spread over several
    components stays where most of its records are; the rest get a former id of theirs that nobody uses, else a new
    one (split).
    """
    first = history.sort("link_number").group_by("record_key", maintain_order=True).first()
    linked = members.join(_present(history), on="record_key", how="left").join(
        first.select("record_key", first_key="person_key"), on="record_key", how="left"
    )
    overlap = (
        linked.filter(pl.col("person_key").is_not_null())
        .group_by("component", "person_key")
        .agg(
            records=pl.len(),
            sectors=pl.col("sector").n_unique(),
            native=(pl.col("first_key") == pl.col("person_key")).sum(),
        )
        .join(persons.select("person_key", "age_rank"), on="person_key", how="left")
    )
    # Who owns an id: the component with most of its records. Among equals, the one whose records had it first, so that
    # a merge undone gives both their own; then the smallest record key, never the order of rows.
    owned = overlap.sort(
        ["person_key", "records", "sectors", "native", "component"], descending=[False, True, True, True, False]
    ).unique("person_key", keep="first", maintain_order=True)
    survivor = owned.sort(
        ["component", "records", "sectors", "age_rank", "person_key"], descending=[False, True, True, False, False]
    ).unique("component", keep="first", maintain_order=True)
    chosen = dict(survivor.select("component", "person_key").iter_rows())
    merged = owned.join(survivor.select("component", survivor="person_key"), on="component").filter(
        pl.col("person_key") != pl.col("survivor")
    )
    redirects = [(old, new) for old, new in merged.sort("person_key").select("person_key", "survivor").iter_rows()]
    events = [("merge", new, old, "components_joined") for old, new in redirects]

    # Parts that own no id: split off from one, or new.
    waiting = overlap.filter(~pl.col("component").is_in(survivor["component"].implode()))
    origin = dict(
        waiting.sort(["component", "records", "person_key"], descending=[False, True, False])
        .unique("component", keep="first", maintain_order=True)
        .select("component", "person_key")
        .iter_rows()
    )
    in_use = set(chosen.values()) | {old for old, _ in redirects} | set(owned["person_key"])
    former = _former(linked, history, set(origin))
    for component in sorted(origin):
        returned = next((key for key in former.get(component, []) if key not in in_use), None)
        if returned is not None:
            chosen[component] = returned
            in_use.add(returned)
            redirects.append((returned, returned))
            events.append(("split", returned, origin[component], "former_id_returned"))
    nameless = sorted(set(members["component"].unique()) - set(chosen))
    minted = [int(key) for key in mint(len(nameless))] if nameless else []
    for component, key in zip(nameless, minted, strict=True):
        chosen[component] = key
        if component in origin:
            events.append(("split", key, origin[component], "new_id"))
        else:
            events.append(("mint", key, None, "new_person"))

    names = pl.DataFrame(
        {"component": list(chosen), "chosen": list(chosen.values())}, schema={"component": pl.Int64, "chosen": pl.Int64}
    )
    changed = linked.join(names, on="component").filter(
        pl.col("person_key").is_null() | (pl.col("person_key") != pl.col("chosen"))
    )
    known = {(new, old) for event, new, old, _ in events if event in ("merge", "split")}
    moves = (
        changed.filter(pl.col("person_key").is_not_null())
        .select(new="chosen", old="person_key")
        .unique()
        .sort("new", "old")
    )
    events += [("move", new, old, "records_moved") for new, old in moves.iter_rows() if (new, old) not in known]
    return Fold(
        changed.select("record_key", person_key="chosen", rule="rule").sort("record_key").cast(LINK),
        pl.DataFrame(events, schema=EVENT, orient="row"),
        pl.DataFrame(redirects, schema=REDIRECT, orient="row"),
        minted,
    )


def _present(history: pl.DataFrame) -> pl.DataFrame:
    """record_key, person_key of each record's newest link."""
    newest = history.sort("link_number").group_by("record_key", maintain_order=True).last()
    return newest.select("record_key", "person_key")


def _former(linked: pl.DataFrame, history: pl.DataFrame, components: set[int]) -> dict[int, list[int]]:
    """For each component that needs a name, the ids its records ever had, most records first."""
    if not components:
        return {}
    wanted = linked.filter(pl.col("component").is_in(list(components))).select("record_key", "component")
    counted = (
        wanted.join(history.select("record_key", "person_key").unique(), on="record_key")
        .group_by("component", "person_key")
        .agg(records=pl.len())
        .sort(["component", "records", "person_key"], descending=[False, True, False])
    )
    found: dict[int, list[int]] = {}
    for component, key, _ in counted.iter_rows():
        found.setdefault(component, []).append(key)
    return found
