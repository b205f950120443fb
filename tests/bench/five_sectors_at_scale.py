"""A made-up state of any size for measuring: five sectors with what each has and has not, and the true person.

What belongs here: people, families, their records, and the errors in them, drawn from one seed. What does not: links,
and the demo state, which agencies' formats are tried on.

Names come from a vocabulary with a long tail, made of syllables, so that most people bear a common name and most names
are rare, as in a real state. Shares of sectors and of identifiers follow the identifier table of the linkage design.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import polars as pl

PEOPLE_PER_RECORD = 0.48
COLUMNS = {
    "record_id": "record",
    "source": "sector",
    "given_name": "first_name",
    "middle_name": "middle_name",
    "surname": "last_name",
    "birth_date": "birth_date",
    "sex": "sex",
    "ssn": "ssn",
    "state_id": "student_id",
    "number": "local_id",
    "postal_code": "zip",
}
CONSONANTS = "b c d f g h j k l m n p r s t v w br ch cl dr gr kr sh st th tr"
ENDINGS = "n r s l m nd rt ck ld ng ston ley man ez er son ski ini off berg well ford wood ham"
LETTERS = np.array(list("abcdefghijklmnopqrstuvwxyz"))


def state(people: int, seed: int = 1, surnames: int = 60_000, givens: int = 3_000) -> pl.DataFrame:
    """Records of `people` persons, about 1 / PEOPLE_PER_RECORD each, in random order; columns as in COLUMNS, with the
    truth in `person`. surnames, givens: sizes of the vocabularies."""
    rng = np.random.default_rng(seed)
    who = _people(people, rng, surnames, givens)
    frames = [
        _sector(rng, who, "early_childhood", rng.random(people) < 0.30, ssn=0.10, zip_code=True, error=1.3),
        _sector(rng, who, "k12", rng.random(people) < 0.70, state_id=1.0, sex=True, middle=0.8, zip_code=True),
        _sector(rng, who, "k12", rng.random(people) < 0.10, state_id=0.97, sex=True, middle=0.8, zip_code=True),
        _sector(rng, who, "postsecondary", who["college"], ssn=0.85, state_id=0.30, middle=0.6, error=0.8),
        _wages(rng, who, rng.random(people) < np.where(who["college"], 0.75, 0.42)),
        _sector(rng, who, "child_welfare", rng.random(people) < 0.07, ssn=0.60, state_id=0.10, error=1.6),
        _wages(rng, who, rng.random(people) < 0.04),
    ]
    frame = pl.concat(frames).sample(fraction=1.0, shuffle=True, seed=seed)
    return frame.with_columns(record=pl.format("R{}", pl.int_range(pl.len()).cast(pl.String).str.zfill(8)))


def _words(rng: np.random.Generator, count: int, most: int) -> np.ndarray:
    """`count` different names of two to `most` syllables, the commonest first."""
    begins = [consonant + vowel for consonant in CONSONANTS.split() for vowel in "aeiou"]
    ends = [*ENDINGS.split(), ""]
    found: dict[str, None] = {}
    while len(found) < count:
        size = int(rng.integers(1, most))
        middle = "".join(begins[i] for i in rng.integers(0, len(begins), size))
        found.setdefault((middle + ends[int(rng.integers(len(ends)))]).capitalize())
    return np.array([name for name in found if len(name) > 1] + ["Li"], dtype=object)[:count]


def _draw(rng: np.random.Generator, count: int, size: int, flat: float, power: float) -> np.ndarray:
    weight = 1 / (np.arange(count) + flat) ** power
    return rng.choice(count, size, p=weight / weight.sum())


def _people(n: int, rng: np.random.Generator, surnames: int, givens: int) -> dict[str, np.ndarray]:
    last_names, first_names = _words(rng, surnames, 4), _words(rng, givens, 3)
    sibling = rng.random(n) < 0.35  # of the person before
    family = np.cumsum(~sibling) - 1
    last = last_names[_draw(rng, surnames, n, 40, 0.95)][family]
    double = (rng.random(n) < 0.05)[family]
    other = last_names[_draw(rng, surnames, n, 40, 0.95)][family]
    last = np.where(double, last + "-" + other, last)
    female = rng.random(n) < 0.5
    # Half of the given names are women's, half men's.
    first_code = _draw(rng, givens // 2, n, 15, 0.9) * 2 + female
    first = first_names[first_code]
    birth = rng.integers(0, 365 * 24, n)
    area = rng.integers(10_000, 10_600, n)[family]
    twin = sibling & (rng.random(n) < 0.06)
    for i in np.flatnonzero(twin):  # in order: triplets follow the second
        birth[i] = birth[i - 1]
        if first[i] == first[i - 1]:
            first[i] = first_names[(first_code[i] + 2) % givens]
    # Different, thinly spread: a wrong digit seldom makes another person's number. Serials stay above 0.
    drawn = rng.permutation(np.unique(rng.integers(1, 665 * 99 * 9_999, n + n // 8 + 10)))[:n]
    area_group, serial = np.divmod(drawn, 9_999)
    ssn = (area_group // 99 + 1) * 1_000_000 + (area_group % 99 + 1) * 10_000 + serial + 1
    state_id = 1_000_000_000 + rng.permutation(n * 3)[:n]
    state_id[twin] = state_id[np.flatnonzero(twin) - 1] + 1
    return {
        "person": np.arange(n),
        "first": first,
        "middle": first_names[_draw(rng, givens // 2, n, 15, 0.9) * 2 + female],
        "last": last,
        "married": last_names[_draw(rng, surnames, n, 40, 0.95)],
        "marries": rng.random(n) < np.where(female, 0.14, 0.02),
        "birth": np.datetime64("1988-01-01") + birth,
        "sex": np.where(female, "F", "M"),
        "zip": area,
        "moved": rng.integers(10_000, 10_600, n),
        "ssn": ssn,
        "state_id": state_id,
        "college": rng.random(n) < 0.34,
    }


def _typos(rng: np.random.Generator, values: np.ndarray, share: float) -> np.ndarray:
    """One letter dropped, changed, added or exchanged with the next in `share` of the values."""
    values = values.copy()
    for i in np.flatnonzero(rng.random(len(values)) < share):
        text = str(values[i])
        if len(text) < 3:
            continue
        at, kind, letter = int(rng.integers(len(text) - 1)), int(rng.integers(4)), str(rng.choice(LETTERS))
        keep = {0: text[at + 1 :], 1: letter + text[at + 1 :], 2: text[at + 1] + text[at] + text[at + 2 :]}
        values[i] = text[:at] + keep.get(kind, letter + text[at:])
    return values


def _digit(rng: np.random.Generator, numbers: np.ndarray, share: float) -> np.ndarray:
    """One digit changed in `share` of the numbers."""
    at = 10 ** rng.integers(0, 6, len(numbers))
    old = numbers // at % 10
    new = (old + rng.integers(1, 10, len(numbers))) % 10
    return np.where(rng.random(len(numbers)) < share, numbers + (new - old) * at, numbers)


def _kept(rng: np.random.Generator, values: np.ndarray, share: float) -> pl.Series:
    """As text, null but for `share`."""
    text = pl.Series(values.astype(str) if values.dtype != object else values.tolist(), dtype=pl.String)
    return pl.select(pl.when(pl.Series(rng.random(len(values)) < share)).then(text)).to_series()


def _sector(
    rng, who, sector, chosen, ssn=0.0, state_id=0.0, sex=False, middle=0.3, zip_code=False, error=1.0
) -> pl.DataFrame:
    at = np.flatnonzero(chosen)
    n = len(at)
    first, last = who["first"][at].copy(), who["last"][at].copy()
    short = rng.random(n) < 0.03 * error
    first[short] = [name[: max(3, len(name) - 3)] for name in first[short]]
    late = (rng.random(n) < {"postsecondary": 0.5}.get(sector, 0.05)) & who["marries"][at]
    last[late] = who["married"][at][late]
    one = rng.random(n) < 0.2
    last[one] = [name.split("-")[-1] for name in last[one]]
    swapped = rng.random(n) < 0.002 * error
    first[swapped], last[swapped] = last[swapped], first[swapped]
    birth = who["birth"][at].copy()
    off = rng.random(n) < 0.008 * error
    birth[off] = birth[off] + rng.choice([-365, -31, -10, -1, 1, 10, 30, 365], off.sum())
    text = birth.astype(str).astype(object)
    for i in np.flatnonzero(rng.random(n) < 0.004 * error):
        if int(text[i][8:]) <= 12:
            text[i] = text[i][:5] + text[i][8:] + "-" + text[i][5:7]
    home = np.where(rng.random(n) < 0.25, who["moved"][at], who["zip"][at])
    local = rng.permutation(n * 2)[:n]
    return pl.DataFrame(
        {
            "sector": [sector] * n,
            "first_name": _kept(rng, _typos(rng, first, 0.012 * error), 0.997),
            "middle_name": _kept(rng, who["middle"][at], middle),
            "last_name": _kept(rng, _typos(rng, last, 0.012 * error), 0.998),
            "birth_date": _kept(rng, text, 0.985),
            "sex": _kept(rng, who["sex"][at], 0.99 if sex else 0.0),
            "ssn": _kept(rng, np.char.zfill(_digit(rng, who["ssn"][at], 0.01 * error).astype(str), 9), ssn),
            "student_id": _kept(rng, _digit(rng, who["state_id"][at], 0.005 * error), state_id),
            "local_id": _kept(rng, (np.char.add(sector[0].upper(), local.astype(str))).astype(object), 1.0),
            "zip": _kept(rng, home, 0.95 if zip_code else 0.0),
            "person": who["person"][at].astype(str),
        }
    )


def _wages(rng, who, chosen) -> pl.DataFrame:
    at = np.flatnonzero(chosen)
    n = len(at)
    frame = _sector(rng, who, "workforce", chosen, ssn=0.999, middle=0.0, error=1.0)
    last = who["last"][at].copy()
    late = who["marries"][at] & (rng.random(n) < 0.8)
    last[late] = who["married"][at][late]
    initial = pl.Series(rng.random(n) < 0.15)
    return frame.with_columns(
        first_name=pl.when(initial).then(pl.col("first_name").str.slice(0, 1)).otherwise("first_name").str.slice(0, 15),
        last_name=pl.Series(_typos(rng, last, 0.012).tolist()).str.slice(0, 20),
        birth_date=pl.lit(None, pl.String),
        local_id=pl.lit(None, pl.String),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path, help="Parquet file to write; the column map goes beside it")
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--surnames", type=int, default=60_000)
    parser.add_argument("--givens", type=int, default=3_000)
    given = parser.parse_args()
    frame = state(round(given.records * PEOPLE_PER_RECORD), given.seed, given.surnames, given.givens)
    frame.write_parquet(given.out)
    given.out.with_suffix(".yml").write_text("".join(f"{role}: {name}\n" for role, name in COLUMNS.items()))
    print(f"{frame.height} records of {frame['person'].n_unique()} people")


if __name__ == "__main__":
    main()
