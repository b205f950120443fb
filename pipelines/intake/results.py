"""What intake has to say about everything in use, as check results.

What belongs here: turning ledger, calendar and agreements into rows of evidence, night after night the same for the
same content. What does not: storing them (quality) and deciding what they mean for a release (gate).
"""

from __future__ import annotations

from datetime import date
from fnmatch import fnmatchcase

import polars as pl

from pipelines.intake import agreements, ledger
from pipelines.intake.calendar import period_end, period_school_year, read_calendar, status
from pipelines.intake.deliveries import (
    CERTIFICATION_FILE,
    CERTIFICATION_NOTE,
    read_certification,
    received_folder,
)
from pipelines.intake.packages import packages
from pipelines.registers import rows_in_force
from pipelines.settings import Settings
from schemas import collections


def maximum_share(settings: Settings, check_id: str, today: date) -> float:
    """The share that may fail before a check fails, from `check_threshold.csv` as it stands today: the first line whose
    pattern fits."""
    for _, row in rows_in_force(settings.seeds / "policy" / "check_threshold.csv", "check_id", today):
        if fnmatchcase(check_id, row["check_id"]):
            return float(row["maximum_share"])
    return 0.0


def intake_results(settings: Settings, today: date) -> tuple[list[dict], dict]:
    """Rows for `check_result.record`, and a state that changes when something becomes late, refused or in order."""
    book = ledger.read(settings)
    in_use = book.filter(pl.col("status") == "accepted")
    places = in_use.select("delivery_id", "file_name", "submitter", "package", "period")
    years = {period: period_school_year(period) for period in set(places["period"])}
    places = places.with_columns(
        school_year=pl.col("period").replace_strict(years, default=None, return_dtype=pl.Int64)
    )
    shares = _share_rows(settings, places, today)
    calendar, missing = _calendar_rows(settings, today)
    files = _file_rows(settings, book)
    rows = [*shares, *_rule_rows(settings, places), *calendar, *files]
    rows += _certified_rows(settings, in_use)
    rows += _note_rows(settings, in_use)
    rows += _agreement_rows(settings, in_use, today)
    rows += _balance_rows(settings, in_use)
    state = {
        "missing": missing,
        "refused": sorted(
            [row["check_id"], row["submitter"], row["message"]] for row in files if row["status"] == "fail"
        ),
    }
    return rows, state


def _row(check_id: str, category: str, severity: str, status: str, **values) -> dict:
    return {
        "check_id": check_id,
        "layer": "intake",
        "category": category,
        "severity": severity,
        "status": status,
        **values,
    }


def _groups(settings: Settings, places: pl.DataFrame, table: str) -> pl.DataFrame:
    """Lines of a ledger table that are in use, with submitter, package, period and school year."""
    return ledger.read(settings, table).join(places, on=["delivery_id", "file_name"])


def _share_rows(settings: Settings, places: pl.DataFrame, today: date) -> list[dict]:
    """Shares by collection, submitter and school year: in quarantine, of the wrong type, repeated, of another year."""
    counted = (
        _groups(settings, places, "ledger_collection")
        .group_by("collection", "submitter", "school_year")
        .agg(pl.col("^.*_count$").sum(), places=pl.col("package").first())
        .sort("collection", "submitter", "school_year")
    )
    limits = {
        name: [maximum_share(settings, f"intake.{name}.{kind}", today) for kind in ("quarantine_share", "type_share")]
        for name in set(counted["collection"])
    }
    rows = []
    for line in counted.iter_rows(named=True):
        name, total, bad = line["collection"], line["derived_count"], line["quarantined_count"]
        who = {"collection": name, "submitter": line["submitter"], "school_year": line["school_year"]}
        where = f"{name} from {line['submitter']}"
        quarantine_limit, type_limit = limits[name]
        failed = total > 0 and bad / total > quarantine_limit
        message = f"{where}: {bad} of {total} rows are in quarantine."
        if failed:
            message += f" At most {quarantine_limit:.2%} may be. The submitter's error file lists each row and rule."
        rows.append(
            _row(
                f"intake.{name}.quarantine_share",
                "conformance",
                "error",
                "fail" if failed else "pass",
                failing_count=bad,
                total_count=total,
                message=message,
                **who,
            )
        )
        wrong = line["type_failed_count"]
        if wrong:
            failed = wrong / total > type_limit
            message = f"{where}: in {wrong} of {total} rows a value does not have its type."
            if failed:
                message += " The columns have probably shifted: compare the file's header with the agreed layout."
            rows.append(
                _row(
                    f"intake.{name}.type_share",
                    "conformance",
                    "error",
                    "fail" if failed else "pass",
                    failing_count=wrong,
                    total_count=total,
                    message=message,
                    **who,
                )
            )
        if line["duplicate_count"]:
            count = line["duplicate_count"]
            rows.append(
                _row(
                    f"intake.{name}.repeated_row",
                    "conformance",
                    "warn",
                    "warn",
                    failing_count=count,
                    total_count=total,
                    message=f"{where}: {count} of {total} rows repeat an earlier one exactly; the "
                    "first of each was kept.",
                    **who,
                )
            )
        other = line["other_period_count"]
        if total and other / total > 0.5:
            rows.append(
                _row(
                    f"intake.{name}.other_period",
                    "plausibility",
                    "warn",
                    "warn",
                    failing_count=other,
                    total_count=total,
                    message=f"{where}: {other} of {total} rows are of another school year than the "
                    "delivery. Ask whether the right file was sent.",
                    **who,
                )
            )
    return rows


def _rule_rows(settings: Settings, places: pl.DataFrame) -> list[dict]:
    """One row per rule that sent rows back, by submitter and school year."""
    keys = ["collection", "submitter", "school_year"]
    totals = _groups(settings, places, "ledger_collection").group_by(keys).agg(total=pl.col("derived_count").sum())
    failed = (
        _groups(settings, places, "ledger_rule")
        .group_by(*keys, "rule_id")
        .agg(failing=pl.col("failing_count").sum(), message=pl.col("message").unique().sort().str.join(" "))
        .join(totals, on=keys, nulls_equal=True)
        .sort(*keys, "rule_id")
    )
    return [
        _row(
            f"intake.{line['rule_id']}",
            "conformance",
            "warn",
            "warn",
            failing_count=line["failing"],
            total_count=line["total"],
            collection=line["collection"],
            submitter=line["submitter"],
            school_year=line["school_year"],
            message=f"{line['failing']} of {line['total']} rows from {line['submitter']} sent back: {line['message']}",
        )
        for line in failed.iter_rows(named=True)
    ]


def _calendar_rows(settings: Settings, today: date) -> tuple[list[dict], list[list[str]]]:
    """One row per collection, submitter and school year with something expected: all there, or what is missing."""
    rows, missing = [], []
    groups: dict[tuple, list] = {}
    for line in status(settings, today):
        if line.is_late:
            missing.append([line.submitter, line.package, line.period, line.status])
        if line.late_after is None or (line.status == "expected" and not line.is_late):
            continue
        for name in line.collections:
            groups.setdefault((name, line.submitter, line.school_year), []).append(line)
    for (name, submitter, year), lines in sorted(groups.items(), key=str):
        late = [line for line in lines if line.is_late]
        periods = ", ".join(f"{line.package} {line.period} (due {line.due})" for line in late)
        message = f"{name} from {submitter}: {periods} has not come." if late else f"{name} from {submitter} is in."
        if any(line.status == "rejected" for line in late):
            message = f"{name} from {submitter}: {periods} was refused and not sent again."
        rows.append(
            _row(
                f"intake.{name}.delivered",
                "completeness",
                "error",
                "fail" if late else "pass",
                failing_count=len(late),
                total_count=len(lines),
                collection=name,
                submitter=submitter,
                school_year=year,
                message=message,
            )
        )
    return rows, sorted(missing)


def _file_rows(settings: Settings, book: pl.DataFrame) -> list[dict]:
    """Files refused, sent twice, or taken by no collection, of each place's newest deliveries."""
    feeds = packages(settings)
    place = ["submitter", "package", "period"]
    newest = pl.col("received_build") == pl.col("received_build").max().over(place)
    in_use = set(book.filter(pl.col("status") == "accepted").select(place).iter_rows())
    partly = set(book.filter(pl.col("status") == "accepted")["delivery_id"])
    records = dict(book.filter(pl.col("delivered_count") > 0).select("sha256", "delivered_count").iter_rows())
    rows = []
    for line in book.filter(newest).iter_rows(named=True):
        where = f"{line['submitter']}/{line['package']}/{line['period']}, file {line['file_name']}"
        who = {"submitter": line["submitter"], "school_year": period_school_year(line["period"])}
        names = [name for name in (line["collection"] or "").split(";") if name]
        if line["status"] == "refused":
            is_covered = tuple(line[name] for name in place) in in_use and line["delivery_id"] not in partly
            names = names or sorted({item.collection for item in feeds.get(line["package"], [])})
            message = f"{where} was refused whole: {line['refusal_reason']}"
            if is_covered:
                message += " The delivery accepted before it stays in use."
            # A package that nobody declared touches no collection, hence no number.
            is_covered = is_covered or not names
            for name in names or [None]:
                rows.append(
                    _row(
                        f"intake.{name or 'file'}.refused",
                        "completeness",
                        "warn" if is_covered else "error",
                        "warn" if is_covered else "fail",
                        failing_count=1,
                        total_count=1,
                        collection=name,
                        message=message,
                        **who,
                    )
                )
        elif line["status"] == "duplicate_delivery":
            count = records.get(line["sha256"]) or 1
            for name in names or [None]:
                rows.append(
                    _row(
                        f"intake.{name or 'file'}.sent_twice",
                        "conformance",
                        "warn",
                        "warn",
                        failing_count=count,
                        total_count=count,
                        collection=name,
                        message=f"{where}: {line['refusal_reason']}",
                        **who,
                    )
                )
        elif line["status"] == "accepted" and not names:
            count = line["delivered_count"]
            rows.append(
                _row(
                    "intake.file.not_collected",
                    "conformance",
                    "warn",
                    "warn",
                    failing_count=count,
                    total_count=count,
                    message=f"{where}: no collection takes this file; its {count} records were "
                    "not read into the warehouse. Rename it as agreed, or stop sending it.",
                    **who,
                )
            )
    return rows


def _certified_rows(settings: Settings, in_use: pl.DataFrame) -> list[dict]:
    """One failing row per collection, submitter and school year of which a delivery in use is only preliminary; one
    row for every other collection in use.

    The calendar register says whether a package is certified at all: with an empty `certified_due`, or without a line
    (a third party's files), nobody certifies it and the check does not apply. The row does not depend on the day:
    preliminary data are no basis of an official number before certified ones are due either. It is no error: what
    reads the latest delivery goes on, and the gate holds only indicators that read certified ones.
    """
    rules = [rule for rule in read_calendar(settings) if rule.certified_due]
    delivered = in_use.with_columns(pl.col("collection").str.split(";")).explode("collection")
    delivered = delivered.select("collection", "submitter", "package", "period", "certification").unique()
    certified: dict[str, set[str]] = {}
    preliminary: dict[tuple[str, str, int | None], list[str]] = {}
    for name, submitter, package, period, certification in delivered.sort(delivered.columns).iter_rows():
        if not name:
            continue
        packages_of = certified.setdefault(name, set())
        rule = next((rule for rule in rules if rule.is_for(submitter, package)), None)
        if rule is None:
            continue
        packages_of.add(package)
        if certification != "certified":
            end = period_end(period)
            due = f" (to be certified by {rule.certification_day(end)})" if end else ""
            preliminary.setdefault((name, submitter, period_school_year(period)), []).append(f"{package} {period}{due}")
    rows = []
    for (name, submitter, year), periods in preliminary.items():
        message = (
            f"{name} from {submitter}: the delivery in use of {', '.join(periods)} is preliminary. {submitter} must "
            f"certify it: send it again with a file {CERTIFICATION_FILE} that reads {CERTIFICATION_NOTE}. Until then "
            "the official numbers that read it wait."
        )
        rows.append(_certified(name, "fail", message, submitter=submitter, school_year=year))
    failed = {name for name, _, _ in preliminary}
    for name, packages_of in sorted(certified.items()):
        if not packages_of:
            message = f"{name}: nobody certifies its deliveries; the calendar register gives no day for it."
            rows.append(_certified(name, "not_applicable", message))
        elif name not in failed:
            message = f"{name}: every delivery of {', '.join(sorted(packages_of))} in use is certified."
            rows.append(_certified(name, "pass", message))
    return rows


def _certified(name: str, status: str, message: str, **who) -> dict:
    count = {"failing_count": int(status == "fail"), "total_count": int(status != "not_applicable")}
    check_id = f"intake.{name}.certified"
    return _row(check_id, "conformance", "warn", status, collection=name, message=message, **count, **who)


def _note_rows(settings: Settings, in_use: pl.DataFrame) -> list[dict]:
    """One row per delivery in use whose certification note cannot be read."""
    rows = []
    for delivery_id, submitter, package, period in (
        in_use.select("delivery_id", "submitter", "package", "period").unique().sort("submitter", "package", "period")
    ).iter_rows():
        problem = read_certification(received_folder(settings, delivery_id)).problem
        if problem:
            rows.append(
                _row(
                    "intake.delivery.certification_note",
                    "conformance",
                    "warn",
                    "warn",
                    failing_count=1,
                    total_count=1,
                    submitter=submitter,
                    school_year=period_school_year(period),
                    message=f"{submitter}/{package}/{period}: {problem}",
                )
            )
    return rows


def _agreement_rows(settings: Settings, in_use: pl.DataFrame, today: date) -> list[dict]:
    """One row per source in use: whether its agreement is in force, and whether data should be destroyed by now."""
    lines = agreements.read_agreements(settings)
    fed = {name: {item.collection for item in items} for name, items in packages(settings).items()}
    rows = []
    sources: dict[str, set[str]] = {}
    for submitter, package in in_use.select("submitter", "package").unique().iter_rows():
        sources.setdefault(submitter, set()).update(fed.get(package, ()))
    for submitter, names in sorted(sources.items()):
        for name in sorted(names & set(collections())):
            reason = agreements.refusal(lines, submitter, {name}, today)
            rows.append(
                _row(
                    "intake.agreement.in_force",
                    "conformance",
                    "error",
                    "fail" if reason else "pass",
                    failing_count=int(bool(reason)),
                    total_count=1,
                    collection=name,
                    submitter=submitter,
                    message=reason or f"An agreement covers {name} from {submitter}.",
                )
            )
            covering = [line for line in lines if line.covers(submitter, name)]
            if covering and all(line.destroy_by and line.destroy_by < today for line in covering):
                rows.append(
                    _row(
                        "intake.agreement.destroy_by",
                        "conformance",
                        "error",
                        "fail",
                        failing_count=1,
                        total_count=1,
                        collection=name,
                        submitter=submitter,
                        message=f"{name} from {submitter} was to be destroyed by {covering[0].destroy_by} "
                        f"(agreement {covering[0].agreement_id}). Destroy the deliveries or renew the agreement.",
                    )
                )
    return rows


def _balance_rows(settings: Settings, in_use: pl.DataFrame) -> list[dict]:
    violations = ledger.ledger_balances(settings)
    if not violations:
        return [
            _row(
                "intake.ledger.balance",
                "conformance",
                "error",
                "pass",
                total_count=in_use.height,
                message="Every source record of every file is accounted for.",
            )
        ]
    return [
        _row(
            "intake.ledger.balance",
            "conformance",
            "error",
            "fail",
            failing_count=len(violations),
            total_count=max(in_use.height, len(violations)),
            message=violation,
        )
        for violation in violations
    ]
