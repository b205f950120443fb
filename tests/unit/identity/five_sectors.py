"""Small synthetic populations with what each sector has and has not (the identifier table of the linkage design).

Every row carries its true person, so that tests can judge links. Errors: nicknames, typing slips, exchanged day and
month, one wrong SSN digit, married surnames, moves, twins with neighboring numbers, one student id given to two.
"""

from __future__ import annotations

import numpy as np
import polars as pl

GIVEN = [
    "Adelina", "Aisha", "Brianna", "Camila", "Celeste", "Daisy", "Deborah", "Elena", "Esther", "Fatima",
    "Gabriela", "Hannah", "Ingrid", "Jasmine", "Katherine", "Layla", "Margaret", "Naomi", "Olivia", "Priya",
    "Rebecca", "Samantha", "Teresa", "Valeria", "Yasmin", "Aaron", "Benjamin", "Carlos", "Daniel", "Edward",
    "Fernando", "Gregory", "Hassan", "Isaac", "James", "Kenji", "Leonardo", "Matthew", "Nicholas", "Oscar",
    "Patrick", "Quentin", "Robert", "Samuel", "Thomas", "Victor", "William", "Xavier", "Yusuf", "Zachary",
    "Jaden", "Jayden", "Christopher", "Alexander", "Elizabeth", "Jennifer", "Jessica", "Anthony",
]  # fmt: skip
SHORT = {
    "Deborah": "Debbie", "Katherine": "Katie", "Margaret": "Maggie", "Rebecca": "Becky", "Robert": "Bob",
    "William": "Bill", "James": "Jim", "Thomas": "Tom", "Matthew": "Matt", "Nicholas": "Nick", "Jennifer": "Jenny",
    "Christopher": "Chris", "Elizabeth": "Beth", "Anthony": "Tony", "Edward": "Ted",
}  # fmt: skip
SYLLABLES = "ba be bi bo da de di do fa fe ga go ha ka ke la le li lo ma me mo na ne ni pa ra re ri ro sa so ta te va"


def linkable_groups(rows: pl.DataFrame) -> pl.Series:
    """A number for each row: rows of one person with one number are joined by a path in which each step shares a
    number that both collected, or two of name, birth date and ZIP including the name, before any slip.

    rows: of `state`, with record_key. Rows of one record share everything.
    """
    group: dict = {}

    def root(node):
        while group.setdefault(node, node) != node:
            node = group[node]
        return node

    places = rows.select(
        "true_person", "record_key", "true_ssn", "true_student_id", "true_name", "true_birth", "true_zip",
        local=pl.concat_str("sector", "local_id_issuer", "local_id", separator="|"),
    )  # fmt: skip
    for person, record, ssn, student, name, birth, zip_code, local in places.iter_rows():
        shared = [("ssn", ssn), ("student", student), ("local", local), ("birth", name, birth), ("zip", name, zip_code)]
        for token in shared:
            if None not in token:
                group[root((person, *token))] = root(("record", record))
    found = [root(("record", record)) for record in places["record_key"]]
    number = {node: place for place, node in enumerate(dict.fromkeys(found))}
    return pl.Series([number[node] for node in found])


def state(people: int, seed: int = 1) -> pl.DataFrame:
    """Identifier rows of `people` persons over five sectors, about eight a person, with the column true_person; the
    other columns true_* hold what the row would say without a slip (linkable_groups)."""
    rng = np.random.default_rng(seed)
    syllables = SYLLABLES.split()
    surnames = np.array(["".join(rng.choice(syllables, 3)).capitalize() for _ in range(1500)])
    weight = 1 / (np.arange(1500) + 20)
    surname = rng.choice(surnames, people, p=weight / weight.sum()).astype(object)
    double = rng.random(people) < 0.06
    surname[double] = surname[double] + "-" + rng.choice(surnames, double.sum())
    given = rng.choice(GIVEN, people).astype(object)
    middle = rng.choice(GIVEN, people).astype(object)
    days = rng.integers(0, 365 * 25, people)
    zip_code = 20000 + rng.integers(0, 60, people)
    student = 3_000_000_000 + rng.permutation(people * 3)[:people] * 10
    ssn = 100_000_000 + rng.permutation(450_000_000 // 7)[:people] * 7 + 1_010_101
    sex = rng.choice(["F", "M"], people)
    twins = np.flatnonzero(rng.random(people // 2) < 0.015) * 2
    surname[twins + 1], days[twins + 1], zip_code[twins + 1] = surname[twins], days[twins], zip_code[twins]
    student[twins + 1] = student[twins] + 1
    given[twins + 1] = np.where(given[twins] == given[twins + 1], "Zelma", given[twins + 1])
    married = rng.choice(surnames, people).astype(object)
    marries = rng.random(people) < 0.12
    frames = []

    def before_errors(who, base):
        """What the row would say without a slip, of what its sector collects: TRUE columns; None where it has none."""

        def collected(column, values):
            held = base.get(column)
            if held is None:
                return None
            return [None if each is None else f"{value}" for each, value in zip(held, values, strict=True)]

        name = [f"{first} {last}" for first, last in zip(given[who], surname[who], strict=True)]
        return {
            "true_ssn": collected("ssn", ssn[who]),
            "true_student_id": collected("student_id_state", student[who]),
            "true_name": collected("given_name", name),
            "true_birth": collected("birth_date", days[who]) or collected("birth_month", days[who]),
            "true_zip": collected("postal_code", zip_code[who]),
        }

    def rows(sector, issuer, who, **columns):
        n = len(who)
        birth = np.datetime64("1995-01-01") + days[who]
        wrong = rng.random(n) < 0.008
        birth[wrong] = birth[wrong] + rng.integers(1, 5, wrong.sum())
        text = birth.astype(str).astype(object)
        swap = (rng.random(n) < 0.004) & (np.array([int(b[8:]) <= 12 for b in text], dtype=bool))
        text[swap] = [b[:5] + b[8:] + "-" + b[5:7] for b in text[swap]]
        first = given[who].copy()
        nick = rng.random(n) < 0.02
        first[nick] = [SHORT.get(name, name) for name in first[nick]]
        slip = rng.random(n) < 0.008
        first[slip] = [name[:2] + name[3:] for name in first[slip]]
        last = surname[who].copy()
        slip = rng.random(n) < 0.006
        last[slip] = [name[:-2] + name[-1] + name[-2] for name in last[slip]]
        mid = middle[who].copy()
        mid[rng.random(n) < 0.3] = None
        base = {
            "true_person": who, "sector": sector, "local_id_issuer": issuer, "given_name": first, "middle_name": mid,
            "surname": last, "birth_date": text, "sex_code": sex[who], "postal_code": zip_code[who].astype(str),
        }  # fmt: skip
        base |= columns
        base |= before_errors(who, base)
        base = {name: values for name, values in base.items() if values is not None}
        frames.append(
            pl.DataFrame(
                {
                    name: pl.Series(
                        [None if value is None else str(value) for value in values]
                        if not isinstance(values, str)
                        else [values] * n,
                        dtype=pl.String,
                    )
                    for name, values in base.items()
                }
            ).with_columns(pl.col("true_person").cast(pl.Int64))
        )

    def some(share):
        return np.flatnonzero(rng.random(people) < share)

    def held(who, values, share):
        return [value if keep else None for value, keep in zip(values[who], rng.random(len(who)) < share, strict=True)]

    def ssns(who, share):
        numbers = held(who, ssn, share)
        return [
            int(str(number)[:6] + str((int(str(number)[6]) + 1) % 10) + str(number)[7:])
            if number and rng.random() < 0.008
            else number
            for number in numbers
        ]

    young = some(0.35)
    rows("early_childhood", "oel", young, local_id=[f"C{p}" for p in young], ssn=ssns(young, 0.1))
    subsidy = some(0.2)
    rows(
        "early_childhood", "dhs", subsidy, local_id=[f"S{p}" for p in subsidy], sex_code=None, birth_date=None,
        birth_month=(np.datetime64("1995-01-01") + days[subsidy]).astype("datetime64[M]").astype(str),
    )  # fmt: skip
    for _ in range(2):
        k12 = some(0.8)
        rows("k12", "sea", k12, student_id_state=student[k12])
        moved = some(0.15)
        zip_code[moved] = 20000 + rng.integers(0, 60, len(moved))
    nameless = dict.fromkeys(
        ("given_name", "middle_name", "surname", "birth_date", "sex_code", "postal_code", "local_id_issuer")
    )
    enrolled = some(0.8)
    rows("k12", None, enrolled, student_id_state=student[enrolled], **nameless)
    care = some(0.04)
    rows("child_welfare", "dhs", care, local_id=[f"R{p}" for p in care], ssn=ssns(care, 0.6),
         student_id_state=held(care, student, 0.1))  # fmt: skip
    surname[marries] = married[marries]
    for college in ("001001", "001002"):
        students = some(0.3)
        rows("postsecondary", college, students, local_id=[f"{college}-{p}" for p in students],
             ssn=ssns(students, 0.85), student_id_state=held(students, student, 0.3), postal_code=None)  # fmt: skip
    for _ in range(2):
        workers = some(0.6)
        rows(
            "workforce", None, workers, ssn=ssns(workers, 1.0), birth_date=None, sex_code=None, postal_code=None,
            given_name=[name[:15] if rng.random() < 0.7 else name[0] for name in given[workers]],
            surname=[name[:20] for name in surname[workers]], middle_name=None, local_id_issuer=None,
        )  # fmt: skip
    return pl.concat(frames, how="diagonal").sample(fraction=1.0, shuffle=True, seed=seed)
