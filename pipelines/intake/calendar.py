"""When which delivery is due, and what is expected, received, late, rejected or certified today.

What belongs here: the calendar register's rules and the status of each expected delivery. What does not: taking
deliveries in (run) and deciding what lateness, or data that nobody certified, does to a release.

Which deliveries are expected: a line of `collection_calendar.csv` applies to an installation once its submitter has
a folder for the package in landing (the account that an agency gets), or has ever delivered it. From the first
period that anybody delivered (or the register's `first_period`) to the newest one that has opened, every period is
expected. `every_lea` stands for each local education agency in the organization directory of that school year, once
any of them has delivered the package.

Which deliveries are certified: those of a line with `certified_due`. Where it is empty, as for wages and for the
answers of a college search, nobody certifies the package, and what came last is all that there will be.
"""

from __future__ import annotations

import csv
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from pipelines.errors import P20wError
from pipelines.intake import ledger
from pipelines.intake.deliveries import CERTIFICATION_FILE, package_folders
from pipelines.intake.packages import packages
from pipelines.settings import Settings

EVERY_LEA = "every_lea"
LEA_PREFIX = "lea_"
_SCHOOL_YEAR = re.compile(r"^(\d{4})$")
_QUARTER = re.compile(r"^(\d{4})Q([1-4])$")


@dataclass(frozen=True)
class CalendarRule:
    """One line of the register. Dates are rules: `+30` days after the period's last day, `08-15` the first such day
    after it, or a date."""

    package: str
    submitter: str
    period_rule: str
    first_period: str
    opens: str
    due: str
    grace_days: int
    certified_due: str

    def is_for(self, submitter: str, package: str) -> bool:
        """Whether the line speaks of this submitter's deliveries of the package."""
        is_sender = submitter.startswith(LEA_PREFIX) if self.submitter == EVERY_LEA else submitter == self.submitter
        return is_sender and package == self.package

    def certification_day(self, end: date) -> date | None:
        """The day by which data of a period that ends on `end` are to be certified; None where nobody certifies."""
        return resolve_date(self.certified_due, end) if self.certified_due else None

    def longest_wait(self) -> timedelta:
        """The longest time between two deliveries in time: one on the day its period opens, the next on its last day
        of grace. Taken over ten years, as quarters and years differ in length.
        """
        period = "2021" if self.period_rule == "school_year" else "2021Q1"
        waits = []
        while (end := period_end(period)).year <= 2031:
            period = next_period(period)
            last = resolve_date(self.due, period_end(period)) + timedelta(days=self.grace_days)
            waits.append(last - resolve_date(self.opens, end))
        return max(waits)


@dataclass(frozen=True)
class StatusRow:
    """One expected or delivered (submitter, package, period) and where it stands on a day.

    has_news: a delivery is in use, but a later one was refused, or it should have been certified by now.
    """

    submitter: str
    package: str
    period: str
    collections: tuple[str, ...]
    school_year: int | None
    status: str
    opens: date | None
    due: date | None
    late_after: date | None
    certified_due: date | None
    received_build: str | None
    message: str
    is_overdue: bool = False
    has_news: bool = False

    @property
    def is_late(self) -> bool:
        """Past due and grace without an accepted file, whether nothing came or all that came was refused."""
        return self.is_overdue


def read_calendar(settings: Settings) -> list[CalendarRule]:
    """The register's lines. Raises ValueError with a sentence that names the line when one cannot be used."""
    rules = []
    with (settings.seeds / "registers" / "collection_calendar.csv").open(encoding="utf-8", newline="") as handle:
        for number, row in enumerate(csv.DictReader(handle), start=2):
            place = f"collection_calendar.csv, line {number} ({row['submitter']}, {row['package']})"
            if row["period_rule"] not in ("school_year", "quarter"):
                raise P20wError(f"{place}: period_rule must be school_year or quarter.")
            for name in ("opens", "due", "certified_due"):
                if row[name] or name != "certified_due":
                    try:
                        resolve_date(row[name], date(2000, 6, 30))
                    except ValueError:
                        raise P20wError(f"{place}: {name} must be +days, MM-DD or YYYY-MM-DD.") from None
            rules.append(
                CalendarRule(
                    *(row[name] for name in ("package", "submitter", "period_rule", "first_period", "opens", "due")),
                    grace_days=int(row["grace_days"] or 0),
                    certified_due=row["certified_due"],
                )
            )
    return rules


def resolve_date(rule: str, period_end: date) -> date:
    """The day that a date rule means for a period that ends on `period_end`."""
    if rule.startswith("+"):
        return period_end + timedelta(days=int(rule[1:]))
    if re.fullmatch(r"\d{2}-\d{2}", rule):
        month, day = int(rule[:2]), int(rule[3:])
        same_year = date(period_end.year, month, day)
        return same_year if same_year > period_end else date(period_end.year + 1, month, day)
    return date.fromisoformat(rule)


def period_end(period: str) -> date | None:
    """Last day of a school year (`2024` ends June 30, 2024) or quarter (`2024Q3`); None for any other text."""
    if match := _SCHOOL_YEAR.match(period):
        return date(int(match[1]), 6, 30)
    if match := _QUARTER.match(period):
        year, quarter = int(match[1]), int(match[2])
        return date(year + (quarter == 4), quarter * 3 % 12 + 1, 1) - timedelta(days=1)
    return None


def period_school_year(period: str) -> int | None:
    """Spring year of the July to June that holds the period; None for a period that is neither year nor quarter."""
    end = period_end(period)
    return None if end is None else end.year + (end.month > 6)


def next_period(period: str) -> str:
    """The school year or quarter after this one."""
    if match := _QUARTER.match(period):
        year, quarter = int(match[1]), int(match[2])
        return f"{year + quarter // 4}Q{quarter % 4 + 1}"
    return str(int(period) + 1)


def freshness_windows(settings: Settings) -> dict[str, timedelta]:
    """Collection → how long it may go without a delivery before it is stale, by the register's lines that feed it.

    The most frequent of its packages counts. A collection that no line promises has no window.
    """
    rules = read_calendar(settings)
    windows: dict[str, timedelta] = {}
    for package, lines in packages(settings).items():
        for wait in (rule.longest_wait() for rule in rules if rule.package == package):
            for line in lines:
                windows[line.collection] = min(wait, windows.get(line.collection, wait))
    return windows


def status(settings: Settings, today: date) -> list[StatusRow]:
    """Where every expected and every delivered (submitter, package, period) stands on `today`, in a fixed order."""
    delivered = _delivered(settings)
    waiting = _waiting(settings)
    known = set(delivered) | waiting
    feeds = {name: tuple(sorted({line.collection for line in lines})) for name, lines in packages(settings).items()}
    accounts = package_folders(settings) | {place[:2] for place in known}
    expected: dict[tuple[str, str, str], CalendarRule] = {}
    for rule in read_calendar(settings):
        for submitter, period in _expected_periods(settings, rule, known, accounts, today):
            expected.setdefault((submitter, rule.package, period), rule)
    rows = []
    for place in sorted(known | set(expected)):
        rows.append(_row(place, expected.get(place), delivered.get(place), place in waiting, today, feeds))
    return rows


def _row(place, rule, line, is_waiting, today, feeds) -> StatusRow:
    submitter, package, period = place
    end = period_end(period)
    opens = due = late_after = certified_due = None
    if rule is not None and end is not None:
        opens, due = resolve_date(rule.opens, end), resolve_date(rule.due, end)
        late_after = due + timedelta(days=rule.grace_days)
        certified_due = rule.certification_day(end)
    past = late_after is not None and today > late_after
    overdue, has_news, build = False, False, None
    if line is not None and line["is_in_use"]:
        status = "certified" if line["certification"] == "certified" else "received"
        build = line["received_build"]
        message = f"{line['accepted_files']} of {line['files']} files accepted."
        if line["newest_refused"]:
            has_news = True
            message += f" A later delivery was refused, so this one stays in use: {line['reason']}"
        if status == "received" and certified_due is not None and today > certified_due:
            message += f" Certified data were due on {certified_due}. Ask {submitter} to certify it."
            has_news = True
    elif line is not None:
        status, overdue = "rejected", past
        message = f"Refused: {line['reason']} Correct it and send it again."
    elif is_waiting:
        status, message = "received", "In landing, taken in by the next night."
    elif past:
        status, overdue = "late", True
        message = f"Was due on {due}, with {rule.grace_days} days of grace. Ask {submitter} to send it."
    else:
        status, message = "expected", f"Due on {due}."
    return StatusRow(
        submitter,
        package,
        period,
        feeds.get(package, ()),
        period_school_year(period),
        status,
        opens,
        due,
        late_after,
        certified_due,
        build,
        message,
        overdue,
        has_news,
    )


def _delivered(settings: Settings) -> dict[tuple[str, str, str], dict]:
    """(submitter, package, period) → what is in use of it, and whether its newest delivery was refused."""
    book = ledger.read(settings)
    taken = book.filter(pl.col("status").is_in(ledger.TAKEN)).select("delivery_id").unique()
    # A file or delivery that only repeats one taken in says nothing about where the period stands.
    is_repeat = pl.col("status") == "duplicate_delivery"
    lines = pl.concat([book.filter(~is_repeat), book.filter(is_repeat).join(taken, on="delivery_id", how="anti")])
    refused = pl.col("status").is_in(["refused", "duplicate_delivery"])
    in_use = pl.col("status").is_in(["accepted", "destroyed"])
    found = (
        lines.sort("received_build", "file_name", maintain_order=True)
        .with_columns(newest=pl.col("received_build").max().over("submitter", "package", "period"))
        .group_by("submitter", "package", "period", maintain_order=True)
        .agg(
            is_in_use=in_use.any(),
            accepted_files=in_use.sum(),
            files=(pl.col("delivery_id") == pl.col("delivery_id").filter(in_use).last()).sum(),
            certification=pl.col("certification").filter(in_use).last(),
            received_build=pl.col("received_build").filter(in_use).last(),
            newest_refused=refused.filter(pl.col("received_build") == pl.col("newest")).all(),
            reason=pl.col("refusal_reason").filter(refused).last(),
        )
    )
    return {(row["submitter"], row["package"], row["period"]): row for row in found.iter_rows(named=True)}


def _waiting(settings: Settings) -> set[tuple[str, str, str]]:
    """What lies in landing, read or not: a night may not have come by yet."""
    places = set()
    for submitter, package in package_folders(settings):
        for period in (settings.landing / submitter / package).iterdir():
            is_named = period.is_dir() and not period.name.startswith(".")
            if is_named and any(p.name != CERTIFICATION_FILE and p.name[0] != "." for p in period.iterdir()):
                places.add((submitter, package, period.name))
    return places


def _expected_periods(settings, rule, known, accounts, today) -> list[tuple[str, str]]:
    """The (submitter, period) pairs that one line of the register expects by `today`."""
    is_every_lea = rule.submitter == EVERY_LEA
    senders = {submitter for submitter, package in accounts if rule.is_for(submitter, package)}
    if not senders:
        return []
    periods = [p for s, package, p in known if package == rule.package and s in senders and period_end(p)]
    first = rule.first_period or min(periods, default="")
    if not first:
        return []
    pattern = _QUARTER if rule.period_rule == "quarter" else _SCHOOL_YEAR
    if not pattern.match(first):
        return []
    directory = _directory_leas(settings) if is_every_lea else {}
    found, period = [], first
    while resolve_date(rule.opens, period_end(period)) <= today:
        if is_every_lea:
            years = [year for year in directory if year <= period_school_year(period)]
            found += [(f"{LEA_PREFIX}{lea}", period) for lea in sorted(directory[max(years)] if years else ())]
        else:
            found.append((rule.submitter, period))
        if re.fullmatch(r"\d{4}-\d{2}-\d{2}", rule.opens):
            break
        period = next_period(period)
    return found


def _directory_leas(settings: Settings) -> dict[int, set[str]]:
    """School year → state ids of the local education agencies in the accepted organization directory."""
    from pipelines.intake.views import active_files

    frame = pl.concat(
        pl.read_parquet(path, columns=["school_year", "organization_level_code", "organization_id_state"])
        for path in active_files(settings)["shared__organization"]
    ).filter(pl.col("organization_level_code").str.to_lowercase() == "lea")
    found: dict[int, set[str]] = {}
    for year, _, identifier in frame.unique().iter_rows():
        found.setdefault(year, set()).add(identifier)
    return found


def print_status(settings: Settings, today: date) -> int:
    """Print what is expected, received, late, rejected and certified; returns 1 when anything is late, else 0.

    Deliveries that are in are counted by submitter and package. Every other one has a line of its own, and so has one
    of which a later delivery was refused or that should have been certified by now.
    """
    rows = status(settings, today)
    if not rows:
        print(f"Nothing is expected and nothing has been delivered: {settings.landing} holds no package folder.")
        return 0
    done: Counter[tuple[str, str, str]] = Counter()
    for row in rows:
        if row.status in ("received", "certified") and not row.has_news:
            done[(row.submitter, row.package, row.status)] += 1
    for (submitter, package, state), count in sorted(done.items()):
        print(f"{state:<10}{submitter} {package}: {count} period{'s' if count > 1 else ''}")
    for row in rows:
        if row.status not in ("received", "certified") or row.has_news:
            print(f"{row.status:<10}{row.submitter} {row.package} {row.period}: {row.message}")
    late = sum(row.is_late for row in rows)
    print(f"On {today}: {late or 'no'} delivery is late." if late <= 1 else f"On {today}: {late} deliveries are late.")
    return 1 if late else 0
