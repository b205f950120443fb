"""Quarterly jobs and wages of one region's people.

What belongs here: who works for whom in which quarter and for how much. What does not: files and identifiers.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from pipelines.demo_state.childhood import Table
from pipelines.demo_state.college import College
from pipelines.demo_state.geography import LAST_YEAR, Employers
from pipelines.demo_state.people import People, day
from pipelines.demo_state.schooling import Outcome

FIRST_WAGE_YEAR = 2013
QUARTERS = (LAST_YEAR - FIRST_WAGE_YEAR) * 4 + 2  # 2013Q1 to 2026Q2


def quarter_of(index: int) -> tuple[int, int]:
    """Calendar year and quarter of a quarter number."""
    return FIRST_WAGE_YEAR + index // 4, index % 4 + 1


def wage_quarters(
    people: People, outcome: Outcome, college: College, employers: Employers, seed: int
) -> Iterator[tuple[int, Table]]:
    """For each quarter the jobs held in it: who, employer, amount in whole dollars (above 0)."""
    rng = np.random.default_rng([seed, 12, people.region.number])
    n = people.count
    main, second = np.full(n, -1), np.full(n, -1)
    skill = rng.normal(0, 0.28, n) + 0.08 * people.ability
    attached = rng.random(n) > 0.05
    left_state = np.zeros(n, bool)
    studied_away = np.zeros(n, bool)
    stays_away = rng.random(n) < 0.55
    factor = np.array([0.92, 1.02, 1.15, 1.5, 1.75])
    for index in range(QUARTERS):
        year, quarter = quarter_of(index)
        begin = day(year, quarter * 3 - 2, 1)
        age = (begin - people.birth) / 365.25
        adult = age >= 18.5
        column = min(year - FIRST_WAGE_YEAR + (quarter >= 3), people.homes.lea.shape[1] - 1)
        resident = np.where(
            adult, people.homes.lea[people.family, min(column, 13)] >= 0, people.homes.lea[people.family, column] >= 0
        )
        resident |= college.enrolled[:, index] & ~college.away[:, index]
        studied_away |= college.away[:, index]
        left_state |= adult & (rng.random(n) < 0.0035)
        here = resident & ~left_state & ~college.away[:, index] & ~(studied_away & stays_away)
        able = here & (age >= 16) & attached & (outcome.dead_on > begin) & (people.ssn > 0)
        studies = college.enrolled[:, index]
        in_school = (age < 18.4) & (outcome.day > begin)
        likely = np.select([in_school, studies], [0.20, 0.48], 0.76)
        leave = np.select([in_school, studies], [0.25, 0.16], 0.055)
        enter = (leave * likely / (1 - likely)).clip(0, 0.9)
        if index == 0:
            enter, leave = likely, leave
        draw = rng.random(n)
        stops = (main >= 0) & ((draw < leave) | ~able)
        starts = (main < 0) & able & (draw < enter)
        changes = (main >= 0) & ~stops & (draw > 0.93)
        new = starts | changes
        before = main.copy()
        main[new] = rng.choice(len(employers.size), int(new.sum()), p=employers.size)
        second = np.where(
            (main >= 0) & (rng.random(n) < 0.045), rng.choice(len(employers.size), n, p=employers.size), second
        )
        second = np.where((main < 0) | stops | (rng.random(n) < 0.35), -1, second)
        education = np.where(college.level_day < begin, college.level, 0)
        base = 6_600 * np.exp(skill) * factor[education] * (1 + 0.028 * (age - 18).clip(0, 15)) * 1.028 ** (year - 2013)
        base = base * np.select([in_school, studies], [0.28, 0.45], 1.0)
        noise = np.exp(rng.normal(0, 0.08, n))
        part = np.where(new | stops, rng.uniform(0.15, 0.95, n), 1.0)
        jobs = []
        holds = main >= 0
        jobs.append((holds & ~changes, main, base * part * noise))
        jobs.append((changes, main, base * part * noise))
        jobs.append((changes & (before != main), before, base * (1 - part) * noise))
        jobs.append(
            ((second >= 0) & holds & (second != main) & ~(changes & (second == before)), second, base * 0.3 * noise)
        )
        who = np.concatenate([np.flatnonzero(mask) for mask, _, _ in jobs])
        employer = np.concatenate([place[mask] for mask, place, _ in jobs])
        amount = np.concatenate([money[mask] for mask, _, money in jobs])
        amount = np.maximum(np.round(amount * employers.pay[employer]), 25).astype(int)
        main[stops] = -1
        order = np.lexsort((who, employer))
        yield index, {"who": who[order], "employer": employer[order], "amount": amount[order]}
