"""The K-12 years of one region: enrollment spells, attendance, programs, tests, completions.

What belongs here: what happens to students, year by year. What does not: files, identifiers and their errors.
One call of `school_years` walks the years in order and yields one SchoolYear at a time, so that only one is in memory.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

import numpy as np

from pipelines.demo_state.childhood import Table, foster_in_year
from pipelines.demo_state.geography import FIRST_K12_YEAR, FIRST_YEAR, LAST_YEAR
from pipelines.demo_state.people import EPOCH, People, day

ACTIVE, GONE, DROPPED = 0, 1, 2
NEVER = 10**6
DISABILITIES = {  # IDEA category: share of children with a disability
    "specific_learning_disability": 0.35,
    "speech_or_language_impairment": 0.19,
    "other_health_impairment": 0.16,
    "autism": 0.12,
    "developmental_delay": 0.06,
    "emotional_disturbance": 0.05,
    "intellectual_disability": 0.04,
    "multiple_disabilities": 0.015,
    "hearing_impairment": 0.007,
    "visual_impairment": 0.004,
    "orthopedic_impairment": 0.004,
}
# Absence runs higher in the two years after 2020 and falls slowly.
YEAR_EFFECT = {2019: 0.0, 2020: -0.05, 2021: 0.15, 2022: 0.30, 2023: 0.24, 2024: 0.16, 2025: 0.12, 2026: 0.08}


@cache
def calendar(year: int) -> np.ndarray:
    """The 180 instructional days of a school year, as days since 1970-01-01, in order."""
    start = date(year - 1, 8, 20)
    closed: set[date] = set()
    thanksgiving = next(date(year - 1, 11, d) for d in range(22, 29) if date(year - 1, 11, d).weekday() == 3)
    closed |= {thanksgiving, thanksgiving + timedelta(1)}
    closed |= {date(year - 1, 12, 21) + timedelta(n) for n in range(14)}
    closed |= {date(year, 3, 18) + timedelta(n) for n in range(7)}
    days: list[int] = []
    current = start
    while len(days) < 180:
        if current.weekday() < 5 and current not in closed:
            days.append(current.toordinal() - EPOCH)
        current += timedelta(1)
    return np.array(days)


@dataclass
class SchoolYear:
    """One school year of a region; each table is a dictionary of equally long arrays."""

    year: int
    students: Table  # who, lea, state_id: one row a student and district
    spells: Table  # who, lea, school, entry, exit (-1 open), entry_type, exit_code, documentation, grade, state_id
    attendance: Table  # spell row, term, membership, absence (thousandths of a day)
    programs: Table  # who, lea, state_id, program, begin, end (-1 open), detail
    tests: Table  # who, lea, school, state_id, grade, subject, day, score, level
    completions: Table  # who, lea, school, state_id, diploma, day
    kindergartners: Table  # who, lea, school, state_id


@dataclass
class Outcome:
    """What each person leaves school with: day and kind of diploma (NEVER and '' for none), last school and state
    id."""

    day: np.ndarray
    diploma: np.ndarray
    school: np.ndarray
    state_id: np.ndarray
    was_enrolled: np.ndarray
    dead_on: np.ndarray


def school_years(people: People, removals: Table, seed: int, outcome: Outcome) -> Iterator[SchoolYear]:
    """Walk the K-12 years; fills `outcome` on the way (final after the last year)."""
    walk = _Walk(people, removals, seed, outcome)
    for year in range(FIRST_K12_YEAR, LAST_YEAR + 1):
        yield walk.run(year)


def new_outcome(people: People, seed: int) -> Outcome:
    """Outcomes with the classes before the first K-12 year already decided."""
    rng = np.random.default_rng([seed, 8, people.region.number])
    n = people.count
    out = Outcome(
        np.full(n, NEVER),
        np.full(n, "", dtype=object),
        np.full(n, -1),
        people.state_id.copy(),
        np.zeros(n, bool),
        np.full(n, NEVER),
    )
    older = np.flatnonzero(people.ky + 12 < FIRST_K12_YEAR)
    done = older[rng.random(len(older)) < 0.86]
    for ky in np.unique(people.ky[done]):
        rows = done[people.ky[done] == ky]
        out.day[rows] = day(int(ky) + 12, 5, 29)
    out.diploma[done] = "00806"
    return out


class _Walk:
    def __init__(self, people: People, removals: Table, seed: int, outcome: Outcome):
        self.people, self.removals, self.outcome, self.seed = people, removals, outcome, seed
        rng = np.random.default_rng([seed, 9, people.region.number])
        n = people.count
        families = len(people.homes.lea)
        self.status = np.full(n, ACTIVE)
        self.lag = np.zeros(n, int)
        self.cohort_year = np.zeros(n, int)
        self.first_nine = np.zeros(n, int)
        self.state_id = people.state_id.copy()
        self.last_lea = np.full(n, -1)
        self.last_school = np.full(n, -1)
        self.ged_day = np.full(n, NEVER)
        self.seen = np.zeros(n, bool)
        self.returned = np.zeros(n, bool)
        grade = FIRST_K12_YEAR - people.ky
        draw = rng.random((n, 6))
        self.lag[(grade >= 1) & (grade <= 13) & (draw[:, 0] < np.where(grade >= 10, 0.05, 0.025))] = 1
        grade_now = grade - self.lag
        self.status[grade_now > 12] = GONE
        self.status[(grade_now >= 10) & (draw[:, 1] < 0.02 * (grade_now - 9))] = GONE
        self.status[(rng.random(families) < 0.035)[people.family]] = GONE  # families that use private schools only
        self.status[outcome.diploma != ""] = GONE
        self.skips_kindergarten = draw[:, 2] < 0.02
        kinds, shares = list(DISABILITIES), np.array(list(DISABILITIES.values()))
        self.disability = rng.choice(len(kinds), n, p=shares / shares.sum())
        has = rng.random(n) < np.where(people.is_female, 0.11, 0.185)
        onset = rng.integers(-1, 8, n)
        self.disability_from = np.where(has, people.ky + np.maximum(onset, 0), 9999)
        speech = self.disability == kinds.index("speech_or_language_impairment")
        self.disability_to = np.where(speech, self.disability_from + rng.integers(2, 6, n), 9999)
        self.severe = has & np.isin(
            self.disability, [kinds.index("intellectual_disability"), kinds.index("multiple_disabilities")]
        )
        english = people.home_language & (rng.random(n) < 0.75)
        self.el_from = np.where(english, people.ky, 9999)
        self.el_to = np.where(english, people.ky + 2 + rng.geometric(0.16, n), 9999)
        self.migrant_family = (rng.random(families) < 0.012)[people.family]
        self.absence = rng.normal(0, 1, n)
        self.gifted = people.ability + rng.normal(0, 0.6, n) > 2.0
        self.section_504 = rng.random(n) < 0.025
        self.homeless_risk = np.where(people.poor, 0.055, 0.004)

    def run(self, year: int) -> SchoolYear:
        people, homes = self.people, self.people.homes
        rng = np.random.default_rng([self.seed, 10, people.region.number, year])
        days = calendar(year)
        first_day, last_day = int(days[0]), int(days[-1])
        column = year - FIRST_YEAR
        grade = year - people.ky - self.lag
        family = people.family
        lea_now, lea_before = homes.lea[family, column], homes.lea[family, column - 1]
        moved_on = homes.move_day[family, column]
        moved = moved_on > 0
        back = (
            (self.status == DROPPED)
            & (self.ged_day == NEVER)
            & (rng.random(people.count) < 0.3)
            & ~self.returned
            & (grade <= 13)
        )
        self.lag[back & (rng.random(people.count) < 0.6)] += 1
        grade = np.minimum(year - people.ky - self.lag, 12)
        self.status[back] = ACTIVE
        self.returned |= back
        age = (first_day - people.birth) / 365.25
        able = (self.status == ACTIVE) & (grade >= 0) & (age < 21.5)
        able &= ~((grade == 0) & self.skips_kindergarten & (self.lag == 0))
        first_lea = np.where(moved, lea_before, lea_now)
        who = np.flatnonzero(able & ((first_lea >= 0) | (moved & (lea_now >= 0))))
        n = len(who)
        g, f = grade[who], family[who]

        # --- where: one or two places in the year ---------------------------------------------------------
        place_now, place_before = homes.place[f, column], homes.place[f, column - 1]
        one_lea = first_lea[who]
        one_place = np.where(moved[who], place_before, place_now)
        two_lea = np.where(moved[who], lea_now[who], -1)
        one_school = people.region.school_at(one_lea, g, one_place)
        two_school = people.region.school_at(two_lea, g, place_now)
        two_lea = np.where(two_school == one_school, -1, two_lea)
        stays_put = moved[who] & (two_school == one_school)
        two_school = np.where(two_lea < 0, -1, two_school)
        leaves_state_now = moved[who] & (lea_now[who] < 0) & (one_lea >= 0)
        change = np.where(moved[who] & ~stays_put, moved_on[who], 0)
        change = np.where(change > 0, days[np.minimum(np.searchsorted(days, change), 178)], 0)

        # --- how the year ends -----------------------------------------------------------------------------
        kind = self._ends(year, who, g, age[who], rng)
        last_lea = np.where((two_lea >= 0), two_lea, one_lea)
        next_lea = homes.lea[f, column + 1]
        summer_move = homes.move_day[f, column + 1] == 0
        kind["leave_day"] = np.where(change > 0, np.maximum(kind["leave_day"], change + 5), kind["leave_day"])
        kind["leave_day"] = np.minimum(kind["leave_day"], last_day - 1)
        early = kind["code"] != ""
        graduates = kind["diploma"] != ""
        stays_to_end = ~early & ~leaves_state_now
        leaves_state_summer = (
            stays_to_end & ~graduates & summer_move & (next_lea < 0) & (last_lea >= 0) & (year < LAST_YEAR + 1)
        )
        changes_lea_summer = stays_to_end & ~graduates & summer_move & (next_lea >= 0) & (next_lea != last_lea)

        code = np.where(stays_to_end, kind["end_code"], kind["code"]).astype(object)
        documentation = kind["documentation"].copy()
        finish = np.where(early, kind["leave_day"], -1)
        finish = np.where(stays_to_end & (code != ""), last_day, finish)
        gone = leaves_state_now & ~early
        early_before_move = early & (change > 0) & (two_lea < 0)
        finish = np.where(early_before_move, np.minimum(finish, np.maximum(change - 1, first_day)), finish)
        documents = rng.choice(["receiving_school_record", "transcript_request", "none"], n, p=[0.72, 0.14, 0.14])
        out = gone | leaves_state_summer
        unknown = rng.random(n) < 0.1
        code[out] = np.where(unknown[out], "01931", "01909")
        documentation[out] = np.where(unknown[out], "none", documents[out])
        finish = np.where(gone, change, np.where(leaves_state_summer, last_day, finish))
        code[changes_lea_summer] = "01908"
        documentation[changes_lea_summer] = documents[changes_lea_summer]
        finish = np.where(changes_lea_summer, last_day, finish)
        # A few students said to move inside the state are never found again.
        vanish = stays_to_end & ~graduates & (code == "") & (g >= 6) & (rng.random(n) < 0.002)
        code[vanish], documentation[vanish] = "01908", "transcript_request"
        finish = np.where(vanish, last_day, finish)

        # --- identifiers: a second state id is given to a few students at a move ---------------------------
        first_id = self.state_id[who].copy()
        new_here = self.seen[who] & (self.last_lea[who] != one_lea) & (one_lea >= 0)
        second = new_here & (rng.random(n) < 0.02)
        first_id = np.where(second, people.second_state_id[who], first_id)
        second_id = np.where(
            (two_lea >= 0) & (two_lea != one_lea) & (one_lea >= 0) & (rng.random(n) < 0.02),
            people.second_state_id[who],
            first_id,
        )
        self.state_id[who] = np.where(two_lea >= 0, second_id, first_id)

        # --- spells ------------------------------------------------------------------------------------------
        has_one, has_two = one_lea >= 0, two_lea >= 0
        late = rng.random(n) < 0.03
        begin = np.where(late, days[rng.integers(1, 40, n)], first_day)
        begin = np.where(has_one & (change > 0), np.minimum(begin, np.maximum(change - 10, first_day)), begin)
        begin = np.where(has_one & (finish >= 0), np.minimum(begin, np.maximum(finish - 3, first_day)), begin)
        ended_before = has_one & has_two & early & (finish >= 0) & (finish <= change)
        has_two &= ~ended_before
        new_to_state = ~self.seen[who] & (g > 0)
        entry_type = np.where(
            back[who],
            "01836",
            np.where(
                new_to_state & (year > FIRST_K12_YEAR),
                "01823",
                np.where(~self.seen[who], "01838", np.where(new_here, "01822", "")),
            ),
        ).astype(object)
        same_lea = one_lea == two_lea
        one_exit = np.where(has_two, np.maximum(change - 1, begin), finish)
        one_code = np.where(has_two, np.where(same_lea, "01907", "01908"), code)
        one_doc = np.where(has_two, "receiving_school_record", documentation)
        two_type = np.where(has_one, np.where(same_lea, "01821", "01822"), "01823")
        pick = np.concatenate([np.flatnonzero(has_one), np.flatnonzero(has_two)])
        is_two = np.concatenate([np.zeros(has_one.sum(), bool), np.ones(has_two.sum(), bool)])

        def both(one: np.ndarray, two: np.ndarray) -> np.ndarray:
            return np.where(is_two, two[pick], one[pick])

        spells = {
            "who": who[pick],
            "lea": both(one_lea, two_lea),
            "school": both(one_school, two_school),
            "entry": both(begin, np.maximum(change, first_day)),
            "exit": both(one_exit, finish),
            "entry_type": both(entry_type, two_type),
            "exit_code": both(one_code, code),
            "documentation": both(one_doc, documentation),
            "grade": g[pick],
            "state_id": both(first_id, second_id),
            "row": pick,
        }
        wrong = (spells["exit"] >= 0) & (spells["exit"] < spells["entry"])
        spells["exit"] = np.where(wrong, spells["entry"], spells["exit"])
        order = np.lexsort((spells["entry"], spells["who"], spells["lea"]))
        spells = {key: value[order] for key, value in spells.items()}

        # --- after the year ----------------------------------------------------------------------------------
        nine = (g == 9) & (self.first_nine[who] == 0)
        self.first_nine[who[nine]] = year
        placed = (g >= 9) & (self.cohort_year[who] == 0)
        held_back = np.where(year == FIRST_K12_YEAR, self.lag[who], 0)
        self.cohort_year[who[placed]] = (year + 12 - g - np.where(g > 9, held_back, 0))[placed]
        final_lea, final_school = np.where(has_two, two_lea, one_lea), np.where(has_two, two_school, one_school)
        self.seen[who] = True
        self.outcome.was_enrolled[who] = True
        self.last_lea[who], self.last_school[who] = final_lea, final_school
        completions = self._complete(year, who, kind, stays_to_end, final_lea, final_school, first_id, second_id, rng)
        left = early | vanish | (stays_to_end & kind["ends_school"])
        self.status[who[left]] = GONE
        dropped = early & kind["drops"]
        self.status[who[dropped]] = DROPPED
        takes_ged = dropped & (rng.random(n) < 0.18)
        self.ged_day[who[takes_ged]] = (kind["leave_day"] + rng.integers(120, 700, n))[takes_ged]
        self.outcome.dead_on[who[early & (kind["code"] == "01923")]] = kind["leave_day"][
            early & (kind["code"] == "01923")
        ]
        self.lag[who[stays_to_end & kind["repeats"]]] += 1

        key = spells["who"].astype(np.int64) * 16 + spells["lea"]
        _, unique_rows = np.unique(key * 2 + (spells["state_id"] != people.state_id[spells["who"]]), return_index=True)
        students = {
            name: spells[name][unique_rows] for name in ("who", "lea", "state_id", "entry", "exit", "grade", "school")
        }
        students["cohort_year"] = self.cohort_year[students["who"]]
        students["first_nine"] = self.first_nine[students["who"]]
        attendance = self._attend(year, spells, days, rng)
        programs = self._programs(year, students, rng)
        tests = self._tests(year, spells, days, rng)
        new_kindergartners = (
            (spells["grade"] == 0) & (spells["entry"] < first_day + 45) & (self.lag[spells["who"]] == 0)
        )
        new_kindergartners |= (
            (spells["grade"] == 0) & (people.ky[spells["who"]] == year) & (spells["entry"] < first_day + 45)
        )
        _, once = np.unique(spells["who"][new_kindergartners], return_index=True)
        rows = np.flatnonzero(new_kindergartners)[once]
        kindergartners = {name: spells[name][rows] for name in ("who", "lea", "school", "state_id")}
        return SchoolYear(year, students, spells, attendance, programs, tests, completions, kindergartners)

    def _ends(self, year: int, who: np.ndarray, g: np.ndarray, age: np.ndarray, rng: np.random.Generator) -> Table:
        """What each student's year comes to: an exit during the year, or the result of its end."""
        people = self.people
        n = len(who)
        days = calendar(year)
        code = np.full(n, "", dtype=object)
        documentation = np.full(n, "", dtype=object)
        poor, ability = people.poor[who], people.ability[who]
        draw = rng.random(n)
        hazard = (0.014 + 0.026 * poor + 0.04 * (self.lag[who] > 0) - 0.012 * (ability > 0.3)).clip(0.002)
        hazard = np.where((g >= 9) & (age >= 15.4), hazard * np.where(g == 12, 0.7, 1.0), 0)
        drops = draw < hazard
        how = rng.choice(["01927", "01931", "73060", "01925", "03504"], n, p=[0.52, 0.25, 0.12, 0.05, 0.06])
        code[drops] = how[drops]
        documentation[drops] = "none"
        edges = np.cumsum([0.0003, 0.0035, 0.0035, 0.0006])
        other = rng.random(n)
        exits = (
            ("01923", "other"),
            ("01910", "receiving_school_record"),
            ("01918", "home_school_letter"),
            ("01917", "other"),
        )
        previous = 0.0
        for edge, (exit_code, proof) in zip(edges, exits, strict=True):
            rows = ~drops & (other >= previous) & (other < edge)
            code[rows] = exit_code
            unproved = rng.random(n) < (0.0 if exit_code == "01923" else 0.16)
            documentation[rows] = np.where(unproved[rows], "transcript_request", proof)
            previous = edge
        abroad = (code == "") & people.home_language[who] & (rng.random(n) < 0.004)
        code[abroad] = "01916"
        documentation[abroad] = np.where(rng.random(abroad.sum()) < 0.8, "receiving_school_record", "none")
        leave_day = days[rng.integers(15, 170, n)]

        diploma = np.full(n, "", dtype=object)
        end_code = np.full(n, "", dtype=object)
        chance = rng.random(n)
        senior, junior = g == 12, g == 11
        good = (0.94 - 0.06 * poor + 0.03 * (ability > 0)).clip(0, 0.99)
        severe = self.severe[who]
        diploma[senior & ~severe & (chance < good)] = "00806"
        diploma[senior & ~severe & (chance < good) & (ability > 0.9)] = "00807"
        diploma[junior & (ability > 1.2) & (chance < 0.08)] = "00806"
        rest = senior & ~severe & (chance >= good)
        fate = rng.random(n)
        summer = rest & (fate < 0.28)
        fifth = rest & (fate >= 0.28) & (fate < 0.72) & (self.lag[who] < 2)
        certificate = rest & (fate >= 0.72) & (fate < 0.80)
        unmet = rest & ~summer & ~fifth & ~certificate
        diploma[summer] = "00806"
        diploma[certificate] = "00814"
        alternate = senior & severe & (fate < 0.6)
        diploma[alternate] = "00812"
        stays_on = senior & severe & ~alternate & (age < 20)
        aged_out = senior & severe & ~alternate & ~stays_on
        diploma[aged_out] = "00813"
        end_code[(diploma == "00806") | (diploma == "00807") | (diploma == "00812")] = "01921"
        end_code[summer | unmet] = "01928"
        end_code[certificate | aged_out] = "01922"
        documentation[(end_code != "") & (code == "")] = "none"
        repeats = fifth | stays_on
        chance_repeat = np.select([g == 0, g == 9, g == 10, g < 9], [0.02, 0.035 + 0.035 * poor, 0.02, 0.006], 0.008)
        repeats |= (g < 12) & (diploma == "") & (rng.random(n) < chance_repeat)
        return {
            "code": code,
            "documentation": documentation,
            "leave_day": leave_day,
            "drops": drops,
            "diploma": diploma,
            "end_code": end_code,
            "summer": summer,
            "repeats": repeats,
            "ends_school": (end_code != ""),
        }

    def _complete(self, year, who, kind, stays, lea, school, first_id, second_id, rng) -> Table:  # noqa: PLR0913
        """Diplomas of the year (summer ones with their July or August date) and equivalency diplomas of leavers."""
        last_day = int(calendar(year)[-1])
        rows = np.flatnonzero(stays & (kind["diploma"] != ""))
        when = np.full(len(rows), last_day + 1)
        when = np.where(kind["summer"][rows], day(year, 7, 8) + rng.integers(0, 45, len(rows)), when)
        ids = self.state_id[who[rows]]
        people_rows, kinds = who[rows], kind["diploma"][rows]
        places, schools = lea[rows], school[rows]
        inside = (self.ged_day >= day(year - 1, 7, 1)) & (self.ged_day <= day(year, 6, 30)) & (self.status == DROPPED)
        ged = np.flatnonzero(inside & (self.last_lea >= 0))
        self.status[ged] = GONE
        table = {
            "who": np.concatenate([people_rows, ged]),
            "lea": np.concatenate([places, self.last_lea[ged]]),
            "school": np.concatenate([schools, self.last_school[ged]]),
            "state_id": np.concatenate([ids, self.state_id[ged]]),
            "diploma": np.concatenate([kinds, np.full(len(ged), "00816", dtype=object)]),
            "day": np.concatenate([when, self.ged_day[ged]]),
        }
        out = self.outcome
        out.day[table["who"]] = table["day"]
        out.diploma[table["who"]] = table["diploma"]
        out.school[table["who"]] = table["school"]
        out.state_id[table["who"]] = table["state_id"]
        return table

    def _attend(self, year: int, spells: Table, days: np.ndarray, rng: np.random.Generator) -> Table:
        """Membership and absence of each spell and term, in thousandths of a day; halves of days occur."""
        people = self.people
        who = spells["who"]
        spread = rng.normal(0, 1, people.count)[who]  # one draw a person and year, shared by the spells
        grade_effect = np.select([spells["grade"] == 0, spells["grade"] >= 9], [0.25, 0.22], 0.0)
        poor = people.poor[who]
        mean = -3.33 + 0.55 * self.absence[who] + 0.3 * spread + 0.42 * poor + grade_effect + YEAR_EFFECT[year]
        rate = np.exp(mean).clip(0.002, 0.75)
        finish = np.where(spells["exit"] < 0, days[-1], spells["exit"])
        parts: list[Table] = []
        exact = rng.random(len(who)) < 0.015
        for term, (low, high) in enumerate(((0, 90), (90, 180))):
            block = days[low:high]
            members = np.searchsorted(block, finish, side="right") - np.searchsorted(
                block, spells["entry"], side="left"
            )
            members = members.clip(0)
            absent = rng.binomial(members, rate) * 1000
            half = (rng.random(len(who)) < 0.25) & (absent + 500 <= members * 1000)
            absent = absent + 500 * half
            # Exactly one tenth of the days: the boundary that a strict comparison gets wrong.
            absent = np.where(exact & (members % 10 == 0), members * 100, absent)
            rows = np.flatnonzero(members > 0)
            parts.append(
                {
                    "spell": rows,
                    "term": np.full(len(rows), term),
                    "membership": members[rows] * 1000,
                    "absence": absent[rows],
                }
            )
        table = {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
        # A student who left a school and came back in the same year has one row for school and term.
        key = np.stack([spells["state_id"][table["spell"]], spells["school"][table["spell"]], table["term"]])
        _, first, inverse = np.unique(key, axis=1, return_index=True, return_inverse=True)
        inverse = inverse.reshape(-1)
        return {
            "spell": table["spell"][first],
            "term": table["term"][first],
            "membership": np.bincount(inverse, table["membership"]).astype(int),
            "absence": np.bincount(inverse, table["absence"]).astype(int),
        }

    def _programs(self, year: int, students: Table, rng: np.random.Generator) -> Table:
        """Program and characteristic rows of one year: one row a student, district and program."""
        people, who = self.people, students["who"]
        region = people.region
        n = people.count
        per_person = rng.random((n, 6))[who]
        eligible_school = np.array([school.community_eligible for school in region.schools])[students["school"]]
        poor = people.poor[who]
        economic = np.where(poor, per_person[:, 0] < 0.93, per_person[:, 0] < 0.05) | eligible_school
        direct = poor & (people.number[who] % 20 < 9)
        detail = np.where(
            direct, "direct_certification", np.where(eligible_school, "community_eligibility", "application")
        )
        disabled = (self.disability_from[who] <= year) & (year < self.disability_to[who])
        learner = (self.el_from[who] <= year) & (year < self.el_to[who])
        former = (self.el_to[who] <= year) & (year < self.el_to[who] + 4)
        foster = foster_in_year(people, self.removals, year)[who] & (per_person[:, 1] < 0.72)
        homeless = per_person[:, 2] < self.homeless_risk[who]
        migrant = self.migrant_family[who] & (per_person[:, 3] < 0.7)
        career = (students["grade"] >= 10) & (per_person[:, 4] < 0.22)
        kinds = np.array(list(DISABILITIES), dtype=object)
        nothing = np.full(len(who), "", dtype=object)
        parts = []
        for program, mask, detail_code in (
            ("special_education", disabled, kinds[self.disability[who]]),
            ("section_504", self.section_504[who] & ~disabled, nothing),
            ("english_learner", learner, nothing),
            ("former_english_learner", former, nothing),
            ("economic_disadvantage", economic, detail.astype(object)),
            ("homeless", homeless, np.where(per_person[:, 5] < 0.7, "doubled_up", "shelter").astype(object)),
            ("foster", foster, nothing),
            ("migrant", migrant, nothing),
            ("cte", career, nothing),
            ("gifted_talented", self.gifted[who] & (students["grade"] >= 3), nothing),
        ):
            rows = np.flatnonzero(mask)
            begin = students["entry"][rows].copy()
            end = students["exit"][rows].copy()
            if program in ("homeless", "migrant"):
                begin = begin + rng.integers(0, 60, len(rows))
                end = np.where(end >= 0, np.maximum(end, begin), end)
            parts.append(
                {
                    "who": who[rows],
                    "lea": students["lea"][rows],
                    "state_id": students["state_id"][rows],
                    "program": np.full(len(rows), program, dtype=object),
                    "begin": begin,
                    "end": end,
                    "detail": detail_code[rows],
                }
            )
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}

    def _tests(self, year: int, spells: Table, days: np.ndarray, rng: np.random.Generator) -> Table:
        """State tests in grades 3-8 and 11: reading and mathematics of whoever is enrolled in April."""
        people = self.people
        when = int(days[np.searchsorted(days, day(year, 4, 8))])
        open_then = (spells["entry"] <= when) & ((spells["exit"] < 0) | (spells["exit"] >= when))
        graded = np.isin(spells["grade"], (3, 4, 5, 6, 7, 8, 11))
        rows = np.flatnonzero(open_then & graded)
        parts = []
        for subject, shift in (("ela", 0.05), ("mathematics", -0.1)):
            took = rows[rng.random(len(rows)) < 0.965]
            who = spells["who"][took]
            skill = people.ability[who] + shift + rng.normal(0, 0.55, len(took))
            grade = spells["grade"][took]
            score = np.round(2_300 + 30 * grade + 55 * skill).astype(int)
            cut = 2_300 + 30 * grade
            level = np.select([score < cut - 45, score < cut, score < cut + 50], [1, 2, 3], 4)
            parts.append(
                {
                    "spell": took,
                    "who": who,
                    "lea": spells["lea"][took],
                    "school": spells["school"][took],
                    "state_id": spells["state_id"][took],
                    "grade": grade,
                    "score": score,
                    "level": level,
                    "subject": np.full(len(took), subject, dtype=object),
                    "day": np.full(len(took), when) + rng.integers(0, 12, len(took)),
                }
            )
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0]}
