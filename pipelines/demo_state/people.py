"""Families and persons of one region, their homes over the years, and how each agency has written them down.

What belongs here: who exists, who is whose twin or sibling, where the family lives, which names a person bears when,
and the identifiers (with their errors) that each agency holds. What does not: school, college or work.

Times: `ky` is the spring year of the school year in which a person is due in kindergarten; days are days since
1970-01-01.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date

import numpy as np
import polars as pl

from pipelines.demo_state import names
from pipelines.demo_state.geography import FIRST_YEAR, LAST_YEAR, Region

EPOCH = date(1970, 1, 1).toordinal()
FIRST_KY, LAST_KY = 1998, LAST_YEAR + 2  # oldest: high school class of 2010; youngest: three years old in the last year
REGION_SPACE = 1_000_000  # person numbers set aside for each region
YEARS = np.arange(FIRST_YEAR, LAST_YEAR + 2)  # one year more, so that a summer move out of the last year is known

# One home of every agency's errors: (name typo, birth date slip, SSN slip, nickname, middle name missing)
ERRORS = {
    "head_start": (0.012, 0.010, 0.010, 0.020, 0.30),
    "state_prek": (0.010, 0.008, 0.010, 0.010, 0.25),
    "subsidy": (0.015, 0.012, 0.010, 0.020, 0.55),
    "readiness": (0.006, 0.005, 0.0, 0.006, 0.40),
    "k12_first": (0.005, 0.004, 0.0, 0.006, 0.15),
    "k12_later": (0.006, 0.005, 0.0, 0.008, 0.15),
    "assessment": (0.004, 0.003, 0.0, 0.004, 0.40),
    "nsc": (0.006, 0.004, 0.0, 0.010, 0.30),
    "college": (0.006, 0.005, 0.005, 0.015, 0.20),
    "child_welfare": (0.015, 0.012, 0.012, 0.025, 0.45),
    "wage": (0.012, 0.0, 0.008, 0.025, 0.50),
}


def day(year: int, month: int, dom: int) -> int:
    """Days since 1970-01-01."""
    return date(year, month, dom).toordinal() - EPOCH


def _scatter(serial: np.ndarray, prime: int, offset: int, modulus: int) -> np.ndarray:
    """Distinct numbers below `modulus` in no visible order; `prime` shares no factor with `modulus`."""
    return ((serial.astype(object) * prime + offset) % modulus).astype(np.int64)


def social_security_numbers(serial: np.ndarray) -> np.ndarray:
    """Distinct nine-digit numbers that pass the validity rules (area 001–665 or 667–899, group and serial not zero)."""
    span = 898 * 99 * 9_999
    mixed = _scatter(serial, 7_368_787, 4_111_117, span)
    area = mixed // (99 * 9_999) + 1
    area = np.where(area >= 666, area + 1, area)
    rest = mixed % (99 * 9_999)
    return area * 1_000_000 + (rest // 9_999 + 1) * 10_000 + rest % 9_999 + 1


@dataclass
class Homes:
    """Homes of families: arrays of shape families × YEARS. `lea` is -1 where the family lives outside the state."""

    lea: np.ndarray
    zip_code: np.ndarray  # index into the region's flat list of ZIP codes
    place: np.ndarray  # 0..1, decides the school inside the district
    move_day: np.ndarray  # day inside that school year when the move happened; 0 = in the summer before it, or no move


@dataclass
class People:
    """Persons of one region as parallel arrays; names are codes into `words`."""

    region: Region
    number: np.ndarray  # true person number, unique in the state
    family: np.ndarray
    ky: np.ndarray
    birth: np.ndarray
    is_female: np.ndarray
    twin: np.ndarray  # number of the twin group, 0 for none
    given: np.ndarray
    middle: np.ndarray  # -1 for none
    surname: np.ndarray
    adopted_surname: np.ndarray
    adopted_day: np.ndarray  # far in the future for most
    married_surname: np.ndarray
    married_day: np.ndarray
    suffix: np.ndarray  # -1 or index into names.SUFFIXES
    race: np.ndarray  # persons × 7 booleans: hispanic, american indian, asian, black, pacific islander, white, mena
    ssn: np.ndarray  # 0 for none
    state_id: np.ndarray
    second_state_id: np.ndarray
    poor: np.ndarray
    ability: np.ndarray
    home_language: np.ndarray  # family speaks another language at home
    homes: Homes
    zips: np.ndarray
    words: list[str] = field(default_factory=list)
    _views: dict[str, dict[str, np.ndarray]] = field(default_factory=dict)
    _seed: tuple[int, ...] = ()

    @property
    def count(self) -> int:
        return len(self.number)

    def word(self, text: str) -> int:
        """Code of a new spelling."""
        self.words.append(text)
        return len(self.words) - 1

    def surname_on(self, who: np.ndarray, days: np.ndarray | int) -> tuple[np.ndarray, np.ndarray]:
        """Surname codes of persons on given days, and which of their names it is (0 birth, 1 adopted, 2 married)."""
        days = np.broadcast_to(np.asarray(days), who.shape)
        stage = np.where(days >= self.married_day[who], 2, np.where(days >= self.adopted_day[who], 1, 0))
        table = np.stack([self.surname, self.adopted_surname, self.married_surname])
        return table[stage, who], stage

    def home(self, who: np.ndarray, year: np.ndarray | int) -> np.ndarray:
        """Index into `zips` of the family's home in a school year (the last known one when they have left)."""
        column = np.clip(np.asarray(year) - FIRST_YEAR, 0, len(YEARS) - 1)
        return self.homes.zip_code[self.family[who], np.broadcast_to(column, who.shape)]

    def errors(self, source: str) -> dict[str, np.ndarray]:
        """How one agency holds every person: given, middle, surname patch, birth, ssn. Drawn once, so errors last."""
        if source not in self._views:
            self._views[source] = self._draw_errors(source)
        return self._views[source]

    def _draw_errors(self, source: str) -> dict[str, np.ndarray]:
        rng = np.random.default_rng([*self._seed, 40 + list(ERRORS).index(source)])
        name_rate, birth_rate, ssn_rate, nickname_rate, middle_rate = ERRORS[source]
        n = self.count
        given, middle = self.given.copy(), self.middle.copy()
        birth, ssn = self.birth.copy(), self.ssn.copy()
        draw = rng.random((n, 6))
        for i in np.flatnonzero(draw[:, 0] < nickname_rate):
            short = names.NICKNAMES.get(self.words[given[i]])
            if short:
                given[i] = self.word(short)
        for i in np.flatnonzero(draw[:, 1] < name_rate / 2):
            given[i] = self.word(names.typo(self.words[given[i]], rng))
        middle[draw[:, 2] < middle_rate] = -1
        for i in np.flatnonzero(draw[:, 3] < birth_rate):
            birth[i] = _slip_birth(int(birth[i]), rng)
        for i in np.flatnonzero((draw[:, 4] < ssn_rate) & (ssn > 0)):
            ssn[i] = _slip_number(int(ssn[i]), rng)
        # A wrong surname is a wrong spelling of the name the person then bears: kept per name stage.
        surname = np.stack([self.surname, self.adopted_surname, self.married_surname])
        for i in np.flatnonzero(draw[:, 5] < name_rate / 2):
            for stage in range(3):
                if stage == 0 or surname[stage, i] != surname[0, i]:
                    surname[stage, i] = self.word(names.rewrite_surname(self.words[surname[stage, i]], rng))
        return {"given": given, "middle": middle, "surname": surname, "birth": birth, "ssn": ssn, "draw": draw}


def _slip_birth(days: int, rng: np.random.Generator) -> int:
    """Day and month swapped where that is a date, else a day, month or year off by one."""
    born = date.fromordinal(days + EPOCH)
    if born.day <= 12 and born.day != born.month and rng.random() < 0.5:
        return date(born.year, born.day, born.month).toordinal() - EPOCH
    return days + (1, -1, 10, -10, 365, -365)[int(rng.integers(6))]


def _slip_number(number: int, rng: np.random.Generator) -> int:
    """One digit changed, or two neighbors swapped; the area stays valid."""
    digits = list(f"{number:09d}")
    at = int(rng.integers(4, 9))
    if rng.random() < 0.4 and digits[at] != digits[at - 1]:
        digits[at], digits[at - 1] = digits[at - 1], digits[at]
    else:
        digits[at] = str((int(digits[at]) + int(rng.integers(1, 10))) % 10)
    return int("".join(digits))


def _pick(rng: np.random.Generator, count: int, size: int) -> np.ndarray:
    """Codes 0..count-1 with unequal chances, as names have."""
    weight = 1 / (np.arange(count) + 12) ** 0.75
    order = np.random.default_rng(count).permutation(count)
    return order[rng.choice(count, size, p=weight / weight.sum())]


def make_people(region: Region, seed: int) -> People:
    """All persons of a region who are due in kindergarten from FIRST_KY to LAST_KY, with families and homes."""
    rng = np.random.default_rng([seed, 3, region.number])
    cohort = region.students / 13 * 1.185  # births a year: some families live outside the state at any time
    family_count = round(cohort / 1.98 * (LAST_KY - FIRST_KY + 13))
    children = rng.choice([1, 2, 3, 4], family_count, p=[0.34, 0.41, 0.18, 0.07])
    first_ky = rng.integers(FIRST_KY - 12, LAST_KY + 1, family_count)
    family = np.repeat(np.arange(family_count), children)
    order = np.arange(len(family)) - np.repeat(np.cumsum(children) - children, children)
    gap = np.where(order > 0, rng.choice([1, 2, 3, 4, 5], len(family), p=[0.10, 0.35, 0.28, 0.17, 0.10]), 0)
    twin_with_elder = (order > 0) & (rng.random(len(family)) < 0.033)
    gap[twin_with_elder] = 0
    starts = np.repeat(np.cumsum(children) - children, children)
    running = np.cumsum(gap)
    ky = first_ky[family] + running - running[starts]
    keep = (ky >= FIRST_KY) & (ky <= LAST_KY)
    # Twins stay together because they share ky.
    index = np.flatnonzero(keep)
    twin_group = np.zeros(len(family), dtype=np.int64)
    for i in np.flatnonzero(twin_with_elder):
        group = twin_group[i - 1] or i
        twin_group[i] = twin_group[i - 1] = group
    family, ky, twin_group = family[index], ky[index], twin_group[index]
    n = len(index)

    offset = rng.integers(0, 365, n)
    for i in np.flatnonzero((twin_group > 0) & (np.concatenate([[0], twin_group[:-1]]) == twin_group)):
        offset[i] = offset[i - 1]
    first_birth = np.array([day(int(y), 9, 2) for y in range(FIRST_KY - 7, LAST_KY - 5)])
    birth = first_birth[ky - FIRST_KY] + offset
    is_female = rng.random(n) < 0.488
    words = [*names.FEMALE, *names.MALE, *names.SURNAMES]
    females, males = len(names.FEMALE), len(names.MALE)
    given = np.where(is_female, _pick(rng, females, n), females + _pick(rng, males, n))
    middle = np.where(is_female, _pick(rng, females, n), females + _pick(rng, males, n))
    middle[rng.random(n) < 0.12] = -1

    def surname_codes(size: int) -> np.ndarray:
        return females + males + _pick(rng, len(names.SURNAMES), size)

    people = People(
        region=region,
        number=region.number * REGION_SPACE + index + 1,
        family=family,
        ky=ky,
        birth=birth,
        is_female=is_female,
        twin=np.where(twin_group > 0, region.number * REGION_SPACE + twin_group, 0),
        given=given,
        middle=middle,
        surname=np.zeros(n, int),
        adopted_surname=np.zeros(n, int),
        adopted_day=np.full(n, 10**6),
        married_surname=np.zeros(n, int),
        married_day=np.full(n, 10**6),
        suffix=np.full(n, -1),
        race=np.zeros((n, 7), bool),
        ssn=np.zeros(n, np.int64),
        state_id=np.zeros(n, np.int64),
        second_state_id=np.zeros(n, np.int64),
        poor=np.zeros(n, bool),
        ability=rng.normal(0, 1, n),
        home_language=np.zeros(n, bool),
        homes=_homes(region, family_count, rng),
        zips=np.array([code for group in region.zips for code in group], dtype=object),
        words=words,
        _seed=(seed, 4, region.number),
    )

    # Family names: some with two surnames, some hyphenated; a few children bear the other parent's name.
    father, mother = surname_codes(family_count), surname_codes(family_count)
    style = rng.random(family_count)
    family_surname = father.copy()
    for i in np.flatnonzero(style < 0.06):
        joined = "-" if style[i] < 0.025 else " "
        family_surname[i] = people.word(words[father[i]] + joined + words[mother[i]])
    own = np.where(rng.random(n) < 0.06, mother[family], family_surname[family])
    people.surname = own
    people.suffix = np.where(~is_female & (rng.random(n) < 0.02), rng.integers(0, 3, n), -1)
    _similar_twins(people, rng)
    people.adopted_surname = people.surname.copy()
    people.married_surname = people.surname.copy()
    _marry(people, rng, surname_codes)
    _race(people, rng, family_count)

    poverty = region.poverty[np.maximum(people.homes.lea[:, 0], 0)]
    poor_family = rng.random(family_count) < poverty
    people.poor = poor_family[family]
    people.home_language = (rng.random(family_count) < 0.13)[family]
    people.ability += np.where(people.poor, -0.45, 0.3)
    serial = region.number * REGION_SPACE + index
    people.ssn = np.where(rng.random(n) < 0.975, social_security_numbers(serial), 0)
    people.state_id = 1_000_000_000 + _scatter(serial, 2_654_435_761, 97_531, 8_999_999_989)
    people.second_state_id = 1_000_000_000 + _scatter(serial + 500_000_000_000, 2_654_435_761, 97_531, 8_999_999_989)
    return people


def _homes(region: Region, families: int, rng: np.random.Generator) -> Homes:
    """Homes over the years: about 8% of families move in a year, a third of them to another district; 12% come late."""
    years = len(YEARS)
    counts = [len(group) for group in region.zips]
    first_zip = np.cumsum([0, *counts[:-1]])
    lea = np.zeros((families, years), np.int8)
    zip_code = np.zeros((families, years), np.int32)
    place = np.zeros((families, years), np.float32)
    move_day = np.zeros((families, years), np.int32)
    arrive = np.where(rng.random(families) < 0.115, rng.integers(1, years, families), 0)
    leave = 1 + rng.geometric(0.0085, families)
    here = rng.choice(len(counts), families, p=region.shares)
    where = rng.random(families)
    code = first_zip[here] + (where * np.array(counts)[here]).astype(int)
    for column, year in enumerate(YEARS):
        draw = rng.random(families)
        away = draw < 0.026 if column else np.zeros(families, bool)
        near = (draw >= 0.026) & (draw < 0.085) if column else away
        here = np.where(away, rng.choice(len(counts), families, p=region.shares), here)
        where = np.where(away | near, rng.random(families), where)
        code = np.where(away | near, first_zip[here] + (where * np.array(counts)[here]).astype(int), code)
        middle = (rng.random(families) < 0.4) & (away | near | (arrive == column) | (leave == column)) & (column > 0)
        lea[:, column] = np.where((column >= arrive) & (column < leave), here, -1)
        zip_code[:, column] = code
        place[:, column] = where
        move_day[:, column] = np.where(
            middle, rng.integers(day(int(year) - 1, 9, 20), day(int(year), 4, 25), families), 0
        )
    return Homes(lea, zip_code, place, move_day)


def _similar_twins(people: People, rng: np.random.Generator) -> None:
    """Twins share surname; half of the same-sex pairs get given names with the same first letter."""
    at = {}
    for i in np.flatnonzero(people.twin > 0):
        elder = at.setdefault(int(people.twin[i]), int(i))
        if elder == i:
            continue
        people.surname[i] = people.surname[elder]
        if rng.random() < 0.3:
            people.is_female[i] = people.is_female[elder]
        pool = names.FEMALE if people.is_female[i] else names.MALE
        start = 0 if people.is_female[i] else len(names.FEMALE)
        letter = people.words[people.given[elder]][0]
        options = [start + k for k, name in enumerate(pool) if name[0] == letter and start + k != people.given[elder]]
        if options and people.is_female[i] == people.is_female[elder] and rng.random() < 0.5:
            people.given[i] = options[int(rng.integers(len(options)))]
        else:
            people.given[i] = start + int(rng.integers(len(pool)))
        if people.given[i] == people.given[elder]:
            people.given[i] = start + (people.given[i] - start + 1) % len(pool)


def _marry(people: People, rng: np.random.Generator, surname_codes) -> None:
    """A third of people marry between 21 and 32; two thirds of the women and a few men take another surname."""
    n = people.count
    marries = rng.random(n) < 0.38
    when = people.birth + rng.integers(21 * 365, 32 * 365, n)
    changes = marries & (rng.random(n) < np.where(people.is_female, 0.66, 0.03)) & (when < day(LAST_YEAR, 12, 31))
    partner = surname_codes(n)
    people.married_day = np.where(changes, when, 10**6)
    for i in np.flatnonzero(changes):
        new = int(partner[i])
        if rng.random() < 0.15:
            new = people.word(people.words[people.surname[i]] + "-" + people.words[new])
        people.married_surname[i] = new


def _race(people: People, rng: np.random.Generator, families: int) -> None:
    """Multi-select race and ethnicity by family, some children of two parents' races; Middle Eastern kept apart."""
    kinds = rng.choice(7, families, p=[0.24, 0.025, 0.055, 0.12, 0.008, 0.53, 0.022])
    other = rng.choice(7, families, p=[0.24, 0.025, 0.055, 0.12, 0.008, 0.53, 0.022])
    mixed = rng.random(families) < 0.07
    race = np.zeros((families, 7), bool)
    race[np.arange(families), kinds] = True
    race[np.flatnonzero(mixed), other[mixed]] = True
    hispanic_white = (kinds == 0) & (rng.random(families) < 0.6)
    race[hispanic_white, 5] = True
    people.race = race[people.family]


def words_frame(people: People, codes: np.ndarray) -> pl.Series:
    """Spellings of name codes; -1 gives null."""
    table = pl.Series(people.words)
    picked = table.gather(pl.Series(np.maximum(codes, 0)))
    return pl.select(pl.when(pl.Series(codes >= 0)).then(picked).otherwise(None)).to_series()
