"""Two records side by side with the evidence: what a steward looks at.

Belongs here: writing the look into the log before anything is read, the fields and whether they agree, the evidence in
words, and the same as text for a terminal. Does not belong here: the page (page.py), and any way for an identifier to
get elsewhere: what this module returns is for the eyes of the steward and is written nowhere.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from datetime import date

import duckdb

from pipelines.identity.partition import dates_agree_nearly, numbers_agree_nearly
from pipelines.identity.policy import load_policy, tiers_in_force
from pipelines.identity.score import waterfall
from pipelines.identity.steward import queue
from pipelines.identity.steward.desk import StewardError, now, system_user
from pipelines.settings import Settings

# Column of identity_record, what it is called, how two values of it are compared.
FIELDS = (
    ("sector", "Sector", "context"),
    ("given_name", "Given name", "given"),
    ("middle_name", "Middle name", "name"),
    ("surname", "Surname", "surname"),
    ("name_suffix", "Suffix", "code"),
    ("birth_date", "Birth date", "date"),
    ("birth_month", "Month of birth", "code"),
    ("sex_code", "Sex", "code"),
    ("ssn", "Social Security number", "number"),
    ("student_id_state", "State student id", "number"),
    ("local_id", "Local number", "local"),
    ("local_id_issuer", "Issuer of the local number", "context"),
    ("postal_code", "ZIP code", "code"),
)
SECTORS = {
    "early_childhood": "Early childhood",
    "k12": "K–12",
    "postsecondary": "Postsecondary",
    "workforce": "Workforce",
    "child_welfare": "Child welfare",
}
KIND_WORDS = {
    "overlay": "One person who may be two",
    "possible_match": "Two persons who may be one",
    "duplicate_id": "State student ids",
    queue.SAMPLE: "A pair drawn to estimate errors",
}
QUESTIONS = {
    "overlay": "Are both records of the same person, or of two who were taken for one?",
    "possible_match": "Are both records of the same person, or of two distinct people?",
    "duplicate_id": "Are both records of the same person, or of two distinct people?",
    queue.SAMPLE: "Are both records of the same person, or of two distinct people? Judge by the records alone: how "
    "they are linked now is not shown, so that the estimate stays fair.",
}
REASON_WORDS = {
    "two_confirmed_ssns": "two Social Security numbers, each from more than one sector, that are not near each other",
    "two_birth_dates": "birth dates that differ in more than one part",
    "two_student_ids": "two state student ids",
    "student_id_in_two_persons": "one state student id with two persons",
    "scored": "the comparison of names, dates and places",
    "weak_bridge": "a tie that most of their other records do not support",
    "between_thresholds": "a tie too weak for a new person, strong enough to keep one",
    "wage_name_differs": "wages under the Social Security number of the other, with another name",
    "wage_number_of_a_crowd": "wages under the Social Security number of the other, which too many records bear to be"
    " anybody's",
    "two_ssns_and_birth_dates": "a tie, against two Social Security numbers and two birth dates",
    "two_student_ids_and_birth_dates": "a tie, against two state student ids and two birth dates",
    "two_given_names_and_birth_dates": "a tie, against two given names and two birth dates",
    "two_numbers_and_given_names": "much that agrees, against two numbers and two given names, as of twins or siblings",
    "two_common_given_names": "much that agrees, against two given names spelled alike that many bear, as of twins",
    "irreconcilable_birth_dates": "much that agrees, against two birth dates that differ in more than one part",
    "birth_dates_a_generation_apart": "much that agrees, against birth dates a generation apart, as of father and son",
}
AGREEMENTS = {
    "agree": "agree",
    "short": "agree: short form or nickname",
    "initial": "agree: initial",
    "similar": "similar",
    "part": "share a part",
    "near_number": "one digit apart, or two exchanged",
    "near_date": "nearly: one part or one day differs, or day and month exchanged",
    "issuer": "not comparable: other issuer",
    "differ": "differ",
    "one": "one record only",
    "none": "in neither",
    "unusable": "not usable: a placeholder or malformed",
    "context": "not compared",
}
# Comparisons of the model, as they are called on a sheet.
COMPARISONS = {
    "all pairs": "Before comparing",
    "twin": "Twins",
    "given": "Given name",
    "middle": "Middle name",
    "surname": "Surname",
    "birth": "Birth date",
    "ssn": "Social Security number",
    "state_id": "State student id",
    "number": "Local number",
    "sex": "Sex",
    "postal": "ZIP code",
}
WIDTH = 100  # of sentences on a terminal
SIMILAR = 0.88  # Jaro–Winkler from which two spellings are called similar


@dataclass(frozen=True)
class Sheet:
    """What is shown of an item. fields: (name, value of A, value of B, agreement in words); people: a sentence for the
    person of either record; evidence: sentences; steps: (comparison, level in words, bits) that sum to `bits`."""

    item_id: int
    kind: str
    title: str
    question: str
    state: str
    fields: list[tuple[str, str, str, str]]
    people: tuple[str, str]
    evidence: list[str]
    steps: list[tuple[str, str, float]]

    @property
    def bits(self) -> float:
        return sum(bits for _, _, bits in self.steps)


def look(con: duckdb.DuckDBPyConnection, settings: Settings, item_id: int, who: str, how: str, today: date) -> Sheet:
    """Log that `who` looks at an item, then read what it shows. `how`: by which way, for example 'page'.

    `con`: the open vault of the desk. Errors: StewardError for an unknown item, or one whose records are not kept in
    the vault any more.
    """
    asked = queue.item(con, item_id)
    a, b = asked["record_key_a"], asked["record_key_b"]
    policy = load_policy(settings.seeds / "policy" / "identity_parameter.csv", today)
    con.execute("INSERT INTO vault.look VALUES (?, ?, ?, ?, ?, ?, ?)", [who, system_user(), now(), item_id, a, b, how])
    is_blind = asked["kind"] == queue.SAMPLE
    queue.persons_around(con, f"SELECT unnest([{int(a)}, {int(b)}]) AS record_key")
    steps = [] if is_blind else waterfall(con, a, b, settings, today)
    return Sheet(
        item_id=item_id,
        kind=asked["kind"],
        title=KIND_WORDS[asked["kind"]],
        question=QUESTIONS[asked["kind"]],
        state=_state(asked),
        fields=_fields(con, item_id, a, b, policy.generation_years),
        people=("", "") if is_blind else (_person(con, a), _person(con, b)),
        evidence=[] if is_blind else _evidence(con, settings, asked, today),
        steps=[(COMPARISONS.get(name, name.replace("_", " ")), said, bits) for name, _, said, bits in steps],
    )


def _state(asked: dict) -> str:
    opened = asked["opened_build"]
    told = f"Opened on {opened[:4]}-{opened[4:6]}-{opened[6:8]}"
    if asked["state"] == "closed":
        return f"{told}, closed: {asked['because'].replace('_', ' ')}."
    return f"{told}, deferred until {asked['deferred_until']}." if asked["state"] == "deferred" else f"{told}, waiting."


def _fields(
    con: duckdb.DuckDBPyConnection, item_id: int, a: int, b: int, generation_years: int
) -> list[tuple[str, str, str, str]]:
    delivered = _rows(con, "vault.identity_record", a, b)
    staged = _rows(con, "vault.staging.stg_identity__record", a, b)
    if a not in delivered or b not in delivered:
        raise StewardError(
            f"Item {item_id} names a record that the vault does not hold any more. The next night closes it."
        )
    found = []
    for column, title, kind in FIELDS:
        x, y = (_text(column, delivered[key][column]) for key in (a, b))
        agreement = _agreement(con, column, kind, x, y, staged.get(a), staged.get(b), generation_years)
        found.append((title, x, y, AGREEMENTS[agreement]))
    return found


def _rows(con: duckdb.DuckDBPyConnection, table: str, a: int, b: int) -> dict[int, dict]:
    cursor = con.execute(f"SELECT * FROM {table} WHERE record_key IN (?, ?)", [a, b])
    names = [column[0] for column in cursor.description]
    rows = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
    return {row["record_key"]: row for row in rows}


def _text(column: str, value: object) -> str:
    """A delivered value as it reads, without signs that would steer a terminal."""
    text = "" if value is None else str(value)
    text = "".join(sign if sign.isprintable() else " " for sign in text).strip()
    return SECTORS.get(text, text) if column == "sector" else text


def _agreement(
    con: duckdb.DuckDBPyConnection,
    column: str,
    kind: str,
    x: str,
    y: str,
    a: dict | None,
    b: dict | None,
    generation_years: int,
) -> str:
    """How two values agree: a key of AGREEMENTS. x, y: as delivered; a, b: the staged records."""
    if not x and not y:
        return "none"
    if kind == "context":
        return "context"
    if not x or not y:
        return "one"
    if a is None or b is None or column not in a:  # not current any more, or not staged
        return "agree" if x.casefold() == y.casefold() else "differ"
    first, second = a[column], b[column]
    if first is None or second is None:
        return "unusable"
    if kind == "local" and a["local_id_issuer"] != b["local_id_issuer"]:
        return "issuer"
    if first == second:
        return "agree"
    if kind in ("number", "local"):
        return "near_number" if numbers_agree_nearly(first, second) else "differ"
    if kind == "date":
        return "near_date" if dates_agree_nearly(first, second, generation_years) else "differ"
    if kind == "given" and a["given_root"] is not None and a["given_root"] == b["given_root"]:
        return "short"
    if kind == "surname" and set(a["surname_tokens"] or ()) & set(b["surname_tokens"] or ()):
        return "part"
    if kind in ("given", "name") and min(len(first), len(second)) == 1 and first[0] == second[0]:
        return "initial"
    if kind in ("given", "surname", "name"):
        close = con.execute("SELECT jaro_winkler_similarity(?, ?)", [first, second]).fetchone()[0]
        return "similar" if close >= SIMILAR else "differ"
    return "differ"


def _person(con: duckdb.DuckDBPyConnection, record_key: int) -> str:
    """How many records the person of a record has, by sector."""
    rows = con.execute(
        "SELECT record.sector, count(*) FROM steward_person AS person"
        " JOIN vault.staging.stg_identity__record AS record USING (record_key)"
        " WHERE person.person_key = (SELECT person_key FROM steward_person WHERE record_key = ?)"
        " GROUP BY record.sector ORDER BY record.sector",
        [record_key],
    ).fetchall()
    if not rows:
        return "This record is not among the present ones."
    total = sum(count for _, count in rows)
    parts = ", ".join(f"{SECTORS.get(sector, sector)} {count}" for sector, count in rows)
    return f"The person of this record has {total} record{'s' if total > 1 else ''}: {parts}."


def _evidence(con: duckdb.DuckDBPyConnection, settings: Settings, asked: dict, today: date) -> list[str]:
    """Why the item is asked, and what ties the two records: the rule of the policy, the model's weight."""
    a, b = sorted((asked["record_key_a"], asked["record_key_b"]))
    reason = REASON_WORDS.get(asked["reason"], asked["reason"].replace("_", " "))
    one = con.execute("SELECT count(DISTINCT person_key) FROM steward_person WHERE record_key IN (?, ?)", [a, b])
    told = [
        f"Asked because of {reason}.",
        "Now both are the same person." if one.fetchone()[0] == 1 else "Now they are two persons.",
    ]
    tier = con.execute(
        "SELECT CAST(tier AS INTEGER) FROM vault.linkage.int_linkage__pair"
        " WHERE least(record_key_a, record_key_b) = ? AND greatest(record_key_a, record_key_b) = ?",
        [a, b],
    ).fetchone()
    if tier is None:
        told.append("No rule of the match policy ties the two records.")
    else:
        tiers = tiers_in_force(settings.seeds / "policy" / "match_tier.csv", today)
        rule = next((row for row in tiers if int(row["tier"]) == tier[0]), None)
        if rule is not None:
            told.append(
                f"Rule {tier[0]} of the match policy ties them ({float(rule['weight']):g} bits): {rule['reason']}"
            )
    for (why,) in con.execute(
        "SELECT reason FROM vault.conflict WHERE least(record_key_a, record_key_b) = ?"
        " AND greatest(record_key_a, record_key_b) = ? AND reason <> ? ORDER BY reason",
        [a, b, asked["reason"]],
    ).fetchall():
        told.append(f"Kept apart because of {REASON_WORDS.get(why, why.replace('_', ' '))}.")
    return told


def as_text(sheet: Sheet) -> str:
    """The sheet for a terminal."""
    rows = [("", "Record A", "Record B", "Agreement"), *sheet.fields]
    widths = [max(len(row[place]) for row in rows) for place in range(4)]
    lines = [f"Item {sheet.item_id}: {sheet.title}. {sheet.state}", sheet.question, ""]
    lines += ["  ".join(value.ljust(width) for value, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    if any(sheet.people):
        lines += ["", *(f"Record {name}: {text}" for name, text in zip("AB", sheet.people, strict=True))]
    if sheet.evidence:
        lines += ["", *(textwrap.fill(sentence, WIDTH) for sentence in sheet.evidence)]
    if sheet.steps:
        width = max(len(name) for name, _, _ in sheet.steps)
        lines += ["", "What the model adds, in bits (above 0 speaks for one person):"]
        lines += [f"  {name.ljust(width)}  {bits:+7.2f}  {said}" for name, said, bits in sheet.steps]
        lines += [f"  {'sum'.ljust(width)}  {sheet.bits:+7.2f}"]
    elif sheet.kind != queue.SAMPLE:
        lines += ["", "The model compares no two records of which one is a wage or a number alone."]
    lines += ["", f"Answer: p20w steward same|distinct|defer {sheet.item_id} --why TEXT  (no names or numbers in TEXT)"]
    return "\n".join(lines)
