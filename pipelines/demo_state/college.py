"""College years of one region's people: terms, transfers, stop-outs, awards and course results.

What belongs here: who studies where in which term. What does not: files, identifiers and their errors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from pipelines.demo_state.childhood import Table
from pipelines.demo_state.geography import FIRST_YEAR, IN_STATE, LAST_YEAR, OUT_OF_STATE
from pipelines.demo_state.people import People, day
from pipelines.demo_state.schooling import NEVER, Outcome

INSTITUTIONS = (*IN_STATE, *(row[:4] + ("", "3" if row[2] == "4-year" else "2", 0.0) for row in OUT_OF_STATE))
IS_FOUR_YEAR = np.array([row[2] == "4-year" for row in INSTITUTIONS])
IS_IN_STATE = np.arange(len(INSTITUTIONS)) < len(IN_STATE)
FIRST_TERM_YEAR = 2011  # people who began before the first delivered year are in the middle of their studies then
CIP = ("11.0701", "13.1210", "14.0801", "24.0101", "26.0101", "42.0101", "45.0601", "51.3801", "52.0201", "47.0604")
COURSES = ("ENGL101", "MATH090", "MATH110", "BIOL101", "HIST110", "PSYC101", "ACCT201", "NURS120", "COMP105", "WELD101")


@dataclass
class College:
    """`terms`: who, institution, year, term (0 fall, 1 spring), status, progress, cip; `awards`: who, institution, day,
    level, cip; `courses`: who, institution, year, term, course, result; `enrolled`: persons × quarters since 2013Q1,
    and `away`: likewise, at a college outside the state."""

    terms: Table
    awards: Table
    courses: Table
    enrolled: np.ndarray
    away: np.ndarray
    level: np.ndarray  # highest award: 0 none, 1 certificate, 2 associate, 3 bachelor, 4 master
    level_day: np.ndarray


def term_dates(year: int, term: int) -> tuple[int, int]:
    """First and last day of a term of a school year."""
    return (day(year - 1, 8, 22), day(year - 1, 12, 14)) if term == 0 else (day(year, 1, 14), day(year, 5, 9))


def college_years(people: People, outcome: Outcome, seed: int) -> College:
    """Walk the terms from FIRST_TERM_YEAR to the last school year."""
    rng = np.random.default_rng([seed, 11, people.region.number])
    n = people.count
    graduated = outcome.day < NEVER
    regular = np.isin(outcome.diploma, ("00806", "00807"))
    chance = np.where(regular, 0.71 + 0.14 * people.ability - 0.08 * people.poor, 0.12).clip(0.02, 0.96)
    goes = graduated & (rng.random(n) < chance)
    # Students from elsewhere: persons whose family left or never lived here as a child.
    absent = (people.homes.lea[people.family, 5] < 0) & ~graduated & (people.ky + 12 <= LAST_YEAR - 1)
    goes |= absent & (rng.random(n) < 0.25)
    finished = np.where(graduated, outcome.day, [day(int(ky) + 12, 5, 29) for ky in people.ky])
    grad_year = 1970 + (finished / 365.2425).astype(int)
    delay = rng.choice([0, 1, 2, 3, 4, 6], n, p=[0.80, 0.055, 0.065, 0.02, 0.03, 0.03])
    start = np.where(
        goes, (grad_year + 1 - FIRST_TERM_YEAR) * 2 + delay, 10**6
    )  # term counted from fall of FIRST_TERM_YEAR-1

    home_weights = np.array([row[6] for row in INSTITUTIONS[: len(IN_STATE)]])
    fours, twos = home_weights * IS_FOUR_YEAR[: len(IN_STATE)], home_weights * ~IS_FOUR_YEAR[: len(IN_STATE)]
    wants_four = rng.random(n) < (0.50 + 0.2 * people.ability).clip(0.05, 0.95)
    leaves = rng.random(n) < np.where(wants_four, 0.24 + 0.05 * people.ability, 0.05).clip(0, 0.6)
    leaves &= ~absent
    out_four = np.flatnonzero(IS_FOUR_YEAR & ~IS_IN_STATE)
    out_two = np.flatnonzero(~IS_FOUR_YEAR & ~IS_IN_STATE)
    pick_four = rng.choice(len(IN_STATE), n, p=fours / fours.sum())
    pick_two = rng.choice(len(IN_STATE), n, p=twos / twos.sum())
    first = np.where(
        leaves,
        np.where(
            wants_four, out_four[rng.integers(len(out_four), size=n)], out_two[rng.integers(len(out_two), size=n)]
        ),
        np.where(wants_four, pick_four, pick_two),
    )
    cip = rng.integers(len(CIP), size=n)
    place = np.full(n, -1)
    target = first.copy()
    progress = np.zeros(n)
    resume = np.full(n, -1)
    level = np.zeros(n, int)
    level_day = np.full(n, NEVER)
    quarters = (LAST_YEAR - 2013) * 4 + 2
    enrolled = np.zeros((n, quarters), bool)
    away = np.zeros((n, quarters), bool)
    terms: list[Table] = []
    awards: list[Table] = []
    courses: list[Table] = []
    for index in range((LAST_YEAR - FIRST_TERM_YEAR + 1) * 2):
        year, term = FIRST_TERM_YEAR + index // 2, index % 2
        begin, end = term_dates(year, term)
        starts = (start == index) | (resume == index)
        place[starts] = target[starts]
        resume[starts] = -1
        place[outcome.dead_on <= begin] = -1
        here = np.flatnonzero(place >= 0)
        if not len(here):
            continue
        where = place[here]
        status = rng.choice(["F", "Q", "H", "L", "W"], len(here), p=[0.74, 0.07, 0.11, 0.06, 0.02]).astype(object)
        progress[here] += np.select([status == "F", status == "Q", status == "H"], [1.0, 0.75, 0.5], 0.25)
        if year >= FIRST_YEAR:
            quarter = (begin_year(begin) - 2013) * 4 + (3 if term == 0 else 0)
            for q in (quarter, quarter + (0 if term == 0 else 1)):
                if 0 <= q < quarters:
                    enrolled[here, q] = True
                    away[here[~IS_IN_STATE[where]], q] = True
            terms.append(
                {
                    "who": here,
                    "institution": where,
                    "year": np.full(len(here), year),
                    "term": np.full(len(here), term),
                    "status": status,
                    "progress": progress[here].copy(),
                    "cip": cip[here],
                }
            )
            home = IS_IN_STATE[where] & (status != "W") & (where != 3)
            for slot in range(3):
                taken = here[home & (rng.random(len(here)) < (0.7 if slot else 0.95))]
                draw = rng.random(len(taken)) - 0.05 * people.ability[taken]
                result = np.select(
                    [draw < 0.12, draw < 0.80, draw < 0.89, draw < 0.98],
                    ["distinction", "pass", "fail", "withdrawn"],
                    "incomplete",
                )
                courses.append(
                    {
                        "who": taken,
                        "institution": place[taken],
                        "year": np.full(len(taken), year),
                        "term": np.full(len(taken), term),
                        "course": (cip[taken] + slot * 3 + (progress[taken] * 2).astype(int)) % len(COURSES),
                        "result": result.astype(object),
                    }
                )
        # --- what follows the term ------------------------------------------------------------------------
        four = IS_FOUR_YEAR[where]
        draw = rng.random(len(here))
        done = progress[here]
        gets = np.full(len(here), "", dtype=object)
        gets[four & (level[here] < 3) & (done >= 7.5) & (draw < 0.55) & (term == 1)] = "bachelor"
        gets[four & (level[here] == 3) & (done >= 11) & (draw < 0.6)] = "master"
        gets[~four & (level[here] < 2) & (done >= 4) & (draw < 0.28)] = "associate"
        gets[~four & (level[here] == 0) & (done >= 1.75) & (done < 4) & (draw > 0.95)] = "certificate"
        won = gets != ""
        if won.any():
            rows = here[won]
            level[rows] = np.maximum(
                level[rows], [("certificate", "associate", "bachelor", "master").index(g) + 1 for g in gets[won]]
            )
            level_day[rows] = end + 6
            if year >= FIRST_YEAR:
                awards.append(
                    {
                        "who": rows,
                        "institution": place[rows],
                        "day": np.full(len(rows), end + 6),
                        "level": gets[won],
                        "cip": cip[rows],
                    }
                )
        after = rng.random(len(here))
        goes_on = (gets == "associate") & (after < 0.45)
        graduate = (gets == "bachelor") & (after < 0.10)
        ends = (won & ~goes_on & ~graduate & (gets != "certificate")) | (done > 14)
        moves_up = goes_on | (~four & ~won & (done >= 2) & (after > 0.955))
        moves_back = four & ~won & (after > 0.985)
        ends |= ~won & (after < np.where(four, 0.022, 0.055) * (1.3 - 0.4 * people.ability[here]).clip(0.3, 2.2))
        stops = ~won & ~ends & ~moves_up & (after > 0.90) & (after < np.where(four, 0.925, 0.95))
        place[here[moves_up]] = np.where(rng.random(moves_up.sum()) < 0.12, out_four[0], pick_four[here[moves_up]])
        progress[here[moves_up]] = np.maximum(progress[here[moves_up]], 2)
        place[here[moves_back]] = pick_two[here[moves_back]]
        target[here[stops]] = place[here[stops]]
        resume[here[stops]] = index + 2 + rng.integers(0, 4, stops.sum())
        place[here[stops | ends]] = -1
    table = _together(courses)
    key = np.stack([table["who"], table["institution"], table["year"] * 2 + table["term"], table["course"]])
    _, once = np.unique(key, axis=1, return_index=True)
    table = {name: value[np.sort(once)] for name, value in table.items()}
    return College(_together(terms), _together(awards), table, enrolled, away, level, level_day)


def begin_year(days: int) -> int:
    """Calendar year of a day since 1970-01-01."""
    return int(np.datetime64(days, "D").astype("datetime64[Y]").astype(int)) + 1970


def _together(parts: list[Table]) -> Table:
    return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
