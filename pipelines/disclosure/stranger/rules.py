"""The rules of protection that everyone may know: they are published with each release.

What belongs here: which figures are tied and how, and what counts as giving someone away. What does not: figures.
"""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

from pipelines.disclosure.bands import load_bands
from pipelines.disclosure.linked import NESTING, OVERLAP, codes
from pipelines.disclosure.policy import load_policy
from pipelines.errors import MissingFileError, P20wError
from pipelines.settings import Settings

FILE = "disclosure_rules.json"
# What a published column may say of people: nothing (the first six), or a number whose limits are known.
SAYS = ("measure", "time", "place", "group", "status", "provenance", "count", "part", "share", "band", "amount")
LEVELS = ("state", "lea", "school", "institution", "provider")
ADDS_UP = "one_school"


@dataclass(frozen=True)
class Rules:
    """minimum: no count of 1 to minimum - 1 may be known; interval: least number of values that a hidden small count
    must leave open; zeros: shown or hideable. indicators: by official indicator code its `attribution` (level -> what
    a person counts for there; a level adds up to the one above where it is one_school), and the codes in which it is
    `nested_in` and with which its numerator `overlaps` (their denominators count nearly the same people). policy,
    bands: the parameters of the suppressor and the columns of its rate bands, for whoever runs it again; releases of
    before have none.
    """

    minimum: int
    interval: int
    zeros: str
    indicators: dict[str, dict]
    statistics: list[list[str]]
    policy: dict | None = None
    bands: list[list[int]] | None = None

    def says(self, table: str) -> dict[str, str]:
        """Column -> what it says of people, of one table."""
        return {column: said for pattern, column, said in self.statistics if fnmatch.fnmatchcase(table, pattern)}

    def adds_up(self, code: str, level: str) -> bool:
        """Whether the figures of that level add up to those of the level above."""
        return self.indicators.get(code, {}).get("attribution", {}).get(level) == ADDS_UP

    def pairs(self, kind: str) -> list[tuple[str, str]]:
        """(indicator, the other) by `nested_in` or `overlaps`, what follows from them included."""
        direct = {code: set(said[kind]) for code, said in self.indicators.items()}
        if kind == "nested_in":
            for _ in direct:
                direct = {
                    code: others | {far for other in others for far in direct.get(other, ())}
                    for code, others in direct.items()
                }
        return sorted((code, other) for code, others in direct.items() for other in others)


def rules_of(
    settings: Settings, registered: list[Mapping[str, str]], declared: list[Mapping[str, str]], day: date
) -> Rules:
    """The rules in force on `day`. registered: rows of registers/indicator.csv; declared: of registers/statistic.csv.
    Errors: P20wError for a statistic that says what nobody knows how to protect, or that states no constraint."""
    policy = load_policy(settings.seeds / "policy" / "protection.csv", day)
    bands = load_bands(settings.seeds / "policy" / "rate_band.csv", policy, day)
    return Rules(
        policy.minimum_count,
        policy.interval_width,
        policy.zero_rule,
        {
            row["indicator_code"]: {
                "attribution": _attribution(row.get("attribution") or ""),
                "nested_in": codes(row, NESTING),
                "overlaps": codes(row, OVERLAP),
            }
            for row in registered
            if row.get("protection") == "official"
        },
        [_statistic(row, number) for number, row in enumerate(declared, start=2)],
        asdict(policy),
        [[int(each) for each in column] for column in asdict(bands).values()],
    )


def write_rules(rules: Rules, folder: Path) -> None:
    """Put the rules beside the tables that they are about."""
    (folder / FILE).write_text(json.dumps(asdict(rules), indent=1) + "\n")


def ask_more(rules: Rules, folder: Path) -> bool:
    """Whether `rules` ask more than the rules published in `folder` did: what stands there may be too small by them.

    Zeros that are always shown ask more than those that may be hidden: what is hidden is then known to be no zero.
    Reads nothing else of the file, so that a release of other code can be asked too. Errors: P20wError as read_rules.
    """
    try:
        before = json.loads((folder / FILE).read_text())
        minimum, interval, zeros = (before[name] for name in ("minimum", "interval", "zeros"))
    except (OSError, ValueError, KeyError, TypeError):
        raise P20wError(f"{folder / FILE} is not a file of rules as p20w publishes it: restore the release.") from None
    return rules.minimum > minimum or rules.interval > interval or (rules.zeros == "shown" != zeros)


def read_rules(folder: Path) -> Rules:
    """The rules published with a release. Errors: P20wError where the file is absent or is none."""
    path = folder / FILE
    if not path.exists():
        raise MissingFileError(f"{folder} holds no {FILE}: name the folder of a release of p20w.")
    try:
        return Rules(**json.loads(path.read_text()))
    except (ValueError, TypeError):
        raise P20wError(f"{path} is not a file of rules as p20w publishes it: take the release's own.") from None


def _statistic(row: Mapping[str, str], number: int) -> list[str]:
    if row["says"] not in SAYS or not row["constraint"].strip():
        raise P20wError(
            f"registers/statistic.csv, line {number}: `says` of {row['table_name']}.{row['column_name']} must be one "
            f"of {', '.join(SAYS)}, and `constraint` must state what follows from the column for the people counted."
        )
    return [row["table_name"], row["column_name"], row["says"]]


def _attribution(text: str) -> dict[str, str]:
    """'school=each_school;lea=once_per_level' -> {'school': 'each_school', ...}; one word holds for every level."""
    if text.strip() and "=" not in text:
        return dict.fromkeys(LEVELS, text.strip())
    return dict(part.strip().split("=", 1) for part in text.split(";") if "=" in part)
