"""Early childhood programs, readiness at kindergarten and foster care of one region.

What belongs here: what happens to children before and beside school. What does not: how it is written to files.
All results are dictionaries of equally long arrays; `who` is an index into People.
"""

from __future__ import annotations

import numpy as np

from pipelines.demo_state.geography import FIRST_K12_YEAR, LAST_YEAR
from pipelines.demo_state.people import People, day

FIRST_EARLY_YEAR = 2016
Table = dict[str, np.ndarray]


def in_state(people: People, who: np.ndarray, year: int) -> np.ndarray:
    """Whether the family lives in the state in a school year."""
    column = year - 2013
    return people.homes.lea[people.family[who], column] >= 0


def foster_care(people: People, seed: int) -> tuple[Table, Table]:
    """(removals, placements). A child may be removed twice; siblings are mostly removed together; some are adopted.

    Adoption changes People.adopted_surname and adopted_day, so this runs before anything that writes names.
    """
    rng = np.random.default_rng([seed, 5, people.region.number])
    families = len(people.homes.lea)
    start, end = day(FIRST_K12_YEAR - 1, 7, 1), day(LAST_YEAR, 6, 30)
    hit = np.flatnonzero(rng.random(families) < 0.032)
    removed_on = dict(zip(hit.tolist(), rng.integers(start - 300, end - 20, len(hit)).tolist(), strict=True))
    by_family = np.flatnonzero(np.isin(people.family, hit))
    who, begin, finish, reason, began_with = [], [], [], [], []
    for i in by_family:
        first = removed_on[int(people.family[i])]
        for _ in range(2):
            age = (first - people.birth[i]) / 365.25
            if not 0 < age < 17.5 or rng.random() < 0.12 or first >= end:
                break
            length = int(rng.gamma(1.3, 330)) + 5
            kind = rng.choice(
                ["reunification", "relative", "adoption", "guardianship", "emancipation"],
                p=[0.52, 0.1, 0.24, 0.13, 0.01],
            )
            adult = int(people.birth[i] + 18 * 365.25)
            if first + length >= adult:
                length, kind = adult - first, "emancipation"
            if first + length > start:
                who.append(i)
                began_with.append(rng.choice(["parent", "relative", "other"], p=[0.85, 0.1, 0.05]))
                begin.append(first)
                finish.append(first + length)
                reason.append(str(kind))
                if kind == "adoption" and first + length <= end:
                    people.adopted_day[i] = first + length
            if kind != "reunification" or rng.random() > 0.2:
                break
            first = first + length + int(rng.integers(60, 500))
    adopted = np.flatnonzero(people.adopted_day < 10**6)
    surnames = np.unique(people.surname)
    for i in adopted:
        people.adopted_surname[i] = surnames[int(rng.integers(len(surnames)))]
    removals = {
        "who": np.array(who, int),
        "begin": np.array(begin, int),
        "finish": np.array(finish, int),
        "reason": np.array(reason, dtype=object),
        "environment": np.array(began_with, dtype=object),
    }
    place_who, place_begin, place_end, living, home_type, episode = [], [], [], [], [], []
    for row in range(len(who)):
        at = begin[row]
        while at < finish[row]:
            last = min(finish[row], at + int(rng.gamma(1.2, 260)) + 3)
            family_home = rng.random() < 0.82
            place_who.append(who[row])
            place_begin.append(at)
            place_end.append(last)
            living.append(
                "foster_family_home" if family_home else rng.choice(["group_home", "institution", "trial_home_visit"])
            )
            home_type.append(
                rng.choice(["relative", "licensed", "therapeutic"], p=[0.4, 0.5, 0.1]) if family_home else None
            )
            episode.append(row)
            at = last + 1
    placements = {
        "who": np.array(place_who, int),
        "begin": np.array(place_begin, int),
        "finish": np.array(place_end, int),
        "living": np.array(living, dtype=object),
        "home_type": np.array(home_type, dtype=object),
        "episode": np.array(episode, int),
    }
    return removals, placements


def foster_in_year(people: People, removals: Table, year: int) -> np.ndarray:
    """Per person: in foster care on at least one day of the school year."""
    flags = np.zeros(people.count, bool)
    inside = (removals["begin"] <= day(year, 6, 30)) & (removals["finish"] >= day(year - 1, 7, 1))
    flags[removals["who"][inside]] = True
    return flags


def early_programs(people: People, seed: int) -> Table:
    """Spells in Head Start, state pre-K and subsidized care at ages three and four: one row a child, program and
    year."""
    rng = np.random.default_rng([seed, 6, people.region.number])
    parts: list[Table] = []
    poor = people.poor
    rates = {  # program: (age three, age four) for poor and other children
        "head_start": ((0.22, 0.02), (0.27, 0.02)),
        "state_prek": ((0.08, 0.04), (0.38, 0.26)),
        "subsidy": ((0.24, 0.03), (0.22, 0.03)),
    }
    for year in range(FIRST_EARLY_YEAR, LAST_YEAR + 1):
        for years_before, column in ((2, 0), (1, 1)):
            children = np.flatnonzero(people.ky == year + years_before)
            children = children[in_state(people, children, year)]
            for program, table in rates.items():
                chance = np.where(poor[children], table[column][0], table[column][1])
                who = children[rng.random(len(children)) < chance]
                begin = day(year - 1, 9, 1) + rng.integers(0, 14, len(who))
                late = rng.random(len(who)) < (0.5 if program == "subsidy" else 0.12)
                begin = np.where(late, day(year - 1, 7, 3) + rng.integers(60, 300, len(who)), begin)
                last = np.full(len(who), day(year, 5, 28))
                leaves = rng.random(len(who)) < 0.14
                last = np.where(leaves, np.minimum(begin + rng.integers(6, 200, len(who)), last), last)
                begin = np.minimum(begin, last - 5)
                parts.append(
                    {
                        "who": who,
                        "year": np.full(len(who), year),
                        "begin": begin,
                        "finish": last,
                        "program": np.full(len(who), program, dtype=object),
                        "draw": rng.random((len(who), 4)),
                    }
                )
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}


def readiness(people: People, kindergartners: np.ndarray, attended: np.ndarray, year: int, seed: int) -> Table:
    """Kindergarten readiness results of one fall; `attended` marks children with a program the year before."""
    rng = np.random.default_rng([seed, 7, people.region.number, year])
    n = len(kindergartners)
    ability = people.ability[kindergartners] + 0.35 * attended + rng.normal(0, 0.6, n)
    score = np.round(266 + 9 * ability).clip(202, 298).astype(int)
    domains = np.round(score[:, None] + rng.normal(0, 4, (n, 4))).clip(202, 298).astype(int)
    level = np.where(score >= 270, "demonstrating", np.where(score >= 258, "approaching", "emerging")).astype(object)
    complete = rng.random(n) < 0.975
    taken = rng.random(n) < 0.965
    return {
        "who": kindergartners,
        "taken": taken,
        "score": score,
        "domains": domains,
        "level": level,
        "complete": complete,
        "day": day(year - 1, 9, 1) + rng.integers(0, 35, n),
    }
