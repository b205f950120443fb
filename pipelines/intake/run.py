"""A night's intake: new deliveries become accepted rows, quarantined rows and ledger lines.

What belongs here: the order of the steps and what survives a crash. What does not: the steps' own rules, each in its
module (deliveries, agreements, readers, check, keying, quarantine, ledger, calendar, views).

A run may be stopped anywhere. Files are written under another name and moved; the ledger is replaced last; a
delivery that it does not name is taken in anew and finds the keys that were minted before.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

import duckdb
import polars as pl

from pipelines.intake import agreements, check, keying, ledger, quarantine, results, views
from pipelines.intake.deliveries import (
    Certification,
    ChangedWhileCopied,
    DeliveredFile,
    Delivery,
    read_certification,
    receive,
    received_folder,
    scan,
    write_parquet,
)
from pipelines.intake.packages import PackageRow, packages, sector_of
from pipelines.progress import say, track
from pipelines.settings import Settings
from schemas import collections
from schemas.collection import Collection

# Derived rows held in memory before they are checked, keyed and written together.
BATCH_ROWS = 250_000

BAD_ROW = ["build_id", "delivery_id", "collection", "source_row", "rule_id", "row_text"]


@dataclass
class CollectionCounts:
    """Derived rows of one collection that this run judged."""

    accepted: int = 0
    quarantined: int = 0
    duplicate: int = 0


@dataclass
class IntakeSummary:
    """What this run took in: numbers of deliveries, and derived rows by collection (every collection is named)."""

    deliveries: int = 0
    refused: int = 0
    repeated: int = 0
    postponed: int = 0
    collections: dict[str, CollectionCounts] = field(default_factory=dict)

    def __str__(self) -> str:
        accepted = sum(counts.accepted for counts in self.collections.values())
        bad = sum(counts.quarantined for counts in self.collections.values())
        return (
            f"Intake: {self.deliveries} deliveries taken in, {self.refused} refused, {self.repeated} sent twice, "
            f"{self.postponed} still being written; {accepted} rows accepted, {bad} in quarantine."
        )


@dataclass
class _File:
    """One delivered file on its way through a batch."""

    delivery: Delivery
    file: DeliveredFile
    certification: Certification
    received_build: str
    collections: tuple[str, ...]
    refusal: str = ""
    repeats: str = ""
    record_count: int = 0
    not_collected_count: int = 0
    unmapped_count: int = 0


@dataclass
class _Batch:
    files: list[_File] = field(default_factory=list)
    tables: dict[tuple[str, str], list[pl.DataFrame]] = field(default_factory=dict)
    row_count: int = 0


def run_intake(
    settings: Settings, build_id: str, sector: str | None = None, today: date | None = None
) -> IntakeSummary:
    """Take in what is new in landing, for one sector or all; call `finish_intake` once after the last sector.

    A delivery is new when the ledger does not know its content; one already taken in is judged again when schemas,
    layouts, code sets or the code of intake have changed, or its accepted files are gone. A delivery refused whole
    is judged again when a register that intake reads has changed.
    """
    declared = packages(settings)
    rules, registers = rules_fingerprint(settings), registers_fingerprint(settings)
    summary = IntakeSummary(
        collections={name: CollectionCounts() for name, item in collections().items() if sector in (None, item.sector)}
    )
    views.write_empty_files(settings)

    def is_ours(package: str) -> bool:
        return sector in (None, sector_of(declared.get(package, [])))

    in_landing = scan(settings, is_ours)
    book = ledger.read(settings)
    stale = [delivery for delivery in _stale(settings, book, rules) if is_ours(delivery.package)]
    new = []
    for delivery in in_landing:
        fate = _fate(delivery, book, registers)
        if fate == "new":
            new.append(delivery)
        elif fate == "returned":
            # An earlier content is sent again in place of a later one: it is in use again, from its own copy.
            ledger.set_status(settings, delivery.delivery_id, "accepted")
            summary.deliveries += 1
    summary.repeated += _note_sent_again(settings, build_id, in_landing, book, declared)
    if not stale and not new:
        return summary
    say(f"Intake{f' of {sector}' if sector else ''}: {len(new)} new deliveries, {len(stale)} to judge again.")
    with ExitStack() as stack:
        vault: list[duckdb.DuckDBPyConnection] = []

        def connection() -> duckdb.DuckDBPyConnection:
            """The vault, opened when the first row needs it and once a run."""
            if not vault:
                from pipelines.identity.vault import open_vault

                vault.append(stack.enter_context(open_vault(settings)))
            return vault[0]

        run = _Run(settings, build_id, declared, rules, registers, today or date.today(), connection, summary)
        for group in (stale, new):
            run.take_in(group)
    say(str(summary))
    return summary


def finish_intake(settings: Settings, build_id: str, today: date | None = None) -> list[dict]:
    """Record what intake found in all that is in use, whether it came tonight or earlier, and who is late.

    Writes the check results of source `intake` and `evidence/intake_state.json` (what is missing or refused, for the
    planner); returns the rows recorded. Where the state holds the token key, records that came with identifiers get
    their tokens.
    """
    from pipelines.quality.check_result import record

    if settings.token_key_file is not None:
        from pipelines.identity.tokens import keep_own_tokens
        from pipelines.identity.vault import open_vault

        with open_vault(settings) as con:
            made = keep_own_tokens(con, settings, today or date.today())
        if made:
            say(f"Tokens computed for {made} records that came with identifiers.")
    rows, state = results.intake_results(settings, today or date.today())
    path = settings.evidence / "intake_state.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(json.dumps(state, indent=1))
    os.replace(temporary, path)
    record(settings, build_id, "intake", rows)
    return rows


def rules_fingerprint(settings: Settings) -> str:
    """Hash of everything that decides what becomes of a row: schemas, readers, checks, layouts, code sets."""
    code = sorted((settings.root / "schemas").rglob("*.py"))
    own = settings.root / "pipelines" / "intake"
    code += [own / "check.py", own / "keying.py", own / "run.py", *sorted((own / "readers").rglob("*.py"))]
    seeds = ["reference/element", "reference/code_set", "crosswalks/code", "crosswalks/layout", "registers/package"]
    return _hash_files([*code, *(settings.seeds / f"{name}.csv" for name in seeds)])


def registers_fingerprint(settings: Settings) -> str:
    """Hash of everything that decides whether a delivery may come in at all."""
    agreement = settings.seeds / "registers" / "agreement.csv"
    return hashlib.sha256((rules_fingerprint(settings) + _hash_files([agreement])).encode()).hexdigest()


def _hash_files(paths: Iterable[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        if path.exists():
            digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    return digest.hexdigest()


def _fate(delivery: Delivery, book: pl.DataFrame, registers: str) -> str:
    """What to do with a delivery found in landing: `new`, `returned` (an earlier one is in use again) or `known`."""
    lines = book.filter(pl.col("delivery_id") == delivery.delivery_id)
    statuses = set(lines["status"])
    if not statuses:
        return "new"
    if statuses & {"accepted", "awaiting_certification", "destroyed"}:
        return "known"
    if "superseded" in statuses:
        return "returned"
    if "duplicate_delivery" in statuses:
        periods = _hashes_in_use(book).get((delivery.submitter, delivery.package), {})
        return "new" if _repeated_period(periods, delivery) is None else "known"
    return "known" if lines["checked_with"][0] == registers else "new"


def _stale(settings: Settings, book: pl.DataFrame, rules: str) -> list[Delivery]:
    """Deliveries in use that must be judged again, read from their kept copies."""
    in_use = book.filter(pl.col("status") == "accepted").select("delivery_id").unique()
    lines = book.join(in_use, on="delivery_id", how="semi")
    derived = ledger.read(settings, "ledger_collection").join(in_use, on="delivery_id", how="semi")
    gone = {
        delivery_id
        for delivery_id, collection in derived.filter(pl.col("accepted_count") > 0)
        .select("delivery_id", "collection")
        .unique()
        .iter_rows()
        if not views.accepted_path(settings, collection, delivery_id).exists()
    }
    gone |= set(lines.filter((pl.col("status") == "accepted") & (pl.col("checked_with") != rules))["delivery_id"])
    if not gone:
        return []
    found = []
    first = pl.col("received_build") == pl.col("received_build").min().over("delivery_id")
    lines = lines.filter(pl.col("delivery_id").is_in(list(gone)) & first)
    for (delivery_id, submitter, package, period), rows in lines.group_by(
        ["delivery_id", "submitter", "package", "period"], maintain_order=True
    ):
        folder = received_folder(settings, delivery_id)
        if not folder.exists():
            say(
                f"{submitter}/{package}/{period}: the kept copy of delivery {delivery_id} is gone from landing, so it "
                "cannot be judged again by the changed rules. Put it back or have it sent again."
            )
            continue
        files = [DeliveredFile(*row) for row in rows.select("file_name", "sha256", "bytes").iter_rows()]
        note = folder / "certification.json"
        if note.exists():
            from pipelines.intake.deliveries import hash_file

            files.append(DeliveredFile(note.name, hash_file(note), note.stat().st_size))
        found.append(Delivery(submitter, package, period, folder, tuple(files)))
    return found


class _Run:
    """One run over a list of deliveries: read, check, key, write, note, batch by batch."""

    def __init__(self, settings, build_id, declared, rules, registers, today, connection, summary) -> None:
        self.settings = settings
        self.build_id = build_id
        self.declared: dict[str, list[PackageRow]] = declared
        self.rules = rules
        self.registers = registers
        self.connection = connection
        self.summary: IntakeSummary = summary
        self.today = today
        self.agreements = agreements.read_agreements(settings)
        book = ledger.read(settings)
        first = book.group_by("delivery_id").agg(pl.col("received_build").min())
        self.received_builds = dict(first.iter_rows())
        self.in_use = _hashes_in_use(book)

    def take_in(self, group: list[Delivery]) -> None:
        """Take deliveries in, in the order given; the ledger is written at the end of each batch."""
        batch = _Batch()
        for delivery in track(group, "Taking in deliveries"):
            self._read(delivery, batch)
            if batch.row_count >= BATCH_ROWS:
                self._flush(batch)
                batch = _Batch()
        if batch.files:
            self._flush(batch)

    # --- one delivery into the batch -------------------------------------------------------------------------
    def _read(self, delivery: Delivery, batch: _Batch) -> None:
        from pipelines.intake.readers import UnreadableFile, read_file

        try:
            folder = receive(self.settings, delivery)
        except ChangedWhileCopied as postponed:
            say(str(postponed))
            self.summary.postponed += 1
            return
        lines = self.declared.get(delivery.package, [])
        refusal = self._delivery_refusal(delivery, lines)
        if not refusal and self._is_repeat(delivery):
            self.summary.repeated += 1
            return
        certification = read_certification(folder)
        received = self.received_builds.get(delivery.delivery_id, self.build_id)
        first_with: dict[str, str] = {}
        # Files that a collection takes come first: of two equal files the one named as agreed is read.
        for file in sorted(delivery.data_files, key=lambda file: (not _fed(lines, file.name), file.name)):
            entry = _File(delivery, file, certification, received, _fed(lines, file.name), refusal)
            entry.repeats = first_with.setdefault(file.sha256, file.name)
            if entry.repeats == file.name:
                entry.repeats = ""
            if not refusal and not entry.repeats:
                try:
                    content = read_file(
                        folder / file.name, delivery.package, delivery.submitter, delivery.period, self.settings
                    )
                except UnreadableFile as unreadable:
                    entry.refusal = str(unreadable)
                except Exception as error:
                    # One file must not stop the others. Its words may quote a value, so only their kind is kept.
                    entry.refusal = (
                        f"{file.name} could not be read as package {delivery.package} declares it "
                        f"({type(error).__name__}). Compare it with the agreed layout and send it again."
                    )
                else:
                    entry.record_count = content.record_count
                    entry.not_collected_count = content.not_collected_count
                    entry.unmapped_count = len(content.unmapped_columns)
                    for collection in content.tables:
                        table = check.with_place(content, collection, len(batch.files), delivery.delivery_id)
                        batch.tables.setdefault((collection, delivery.package), []).append(table)
                        batch.row_count += table.height
            batch.files.append(entry)
        if any(entry.record_count for entry in batch.files if entry.delivery is delivery):
            place = self.in_use.setdefault((delivery.submitter, delivery.package), {})
            place[delivery.period] = {file.sha256 for file in delivery.data_files}

    def _delivery_refusal(self, delivery: Delivery, lines: list[PackageRow]) -> str:
        if not lines:
            return (
                f"There is no package {delivery.package} in the package register. "
                "Move the folder to the package that was agreed, or declare the package."
            )
        return agreements.refusal(self.agreements, delivery.submitter, {line.collection for line in lines}, self.today)

    def _is_repeat(self, delivery: Delivery) -> bool:
        """Note a delivery whose every file is, byte for byte, one in use for another period of its package."""
        periods = self.in_use.setdefault((delivery.submitter, delivery.package), {})
        period = _repeated_period(periods, delivery)
        if period is None:
            return False
        reason = (
            f"The same files, byte for byte, as the delivery for {period}. Nothing was taken in again: send the files "
            f"of {delivery.period}, or nothing if this was sent twice by mistake."
        )
        lines = self.declared[delivery.package]
        received = self.received_builds.get(delivery.delivery_id, self.build_id)
        rows = [
            _repeat_line(delivery, file, _fed(lines, file.name), reason, received, self.registers)
            for file in delivery.data_files
        ]
        nothing = [pl.DataFrame(schema=ledger.LEDGER_COLLECTION), pl.DataFrame(schema=ledger.LEDGER_RULE)]
        ledger.record(self.settings, pl.DataFrame(rows, schema=ledger.LEDGER), *nothing)
        return True

    # --- a batch into files ----------------------------------------------------------------------------------
    def _flush(self, batch: _Batch) -> None:
        checked: dict[str, list[check.CheckedTable]] = {}
        originals: dict[str, list[pl.DataFrame]] = {}
        for (collection, package), tables in batch.tables.items():
            table = pl.concat(tables, how="diagonal")
            checked.setdefault(collection, []).append(
                check.check_rows(collections()[collection], table, package, self.settings)
            )
            originals.setdefault(collection, []).append(table)
        self._write_accepted(batch, checked)
        bad = self._write_quarantine(batch, checked, originals)
        self._write_ledger(batch, checked, bad)

    def _write_accepted(self, batch: _Batch, checked: dict[str, list[check.CheckedTable]]) -> None:
        facts = self._file_facts(batch)
        accepted = {}
        for name, parts in checked.items():
            # Diagonal: a package that sends tokens has columns that another has not.
            rows = pl.concat([part.typed.filter(pl.col("verdict") == check.ACCEPTED) for part in parts], how="diagonal")
            accepted[name] = rows.join(facts, on=check.FILE, how="left")
        for name, rows in keying.with_keys(self.settings, self.connection, accepted, self.build_id).items():
            collection = collections()[name]
            written = set()
            frame = _accepted_frame(collection, rows)
            for (delivery_id,), part in frame.group_by(["delivery_id"], maintain_order=True):
                write_parquet(part, views.accepted_path(self.settings, name, delivery_id))
                written.add(delivery_id)
            for entry in batch.files:
                if entry.delivery.delivery_id not in written:
                    views.accepted_path(self.settings, name, entry.delivery.delivery_id).unlink(missing_ok=True)

    def _file_facts(self, batch: _Batch) -> pl.DataFrame:
        """What a row says of the delivery it came in, by file number."""
        from pipelines.intake.calendar import period_school_year

        rows = [
            (
                number,
                entry.delivery.submitter,
                entry.delivery.package,
                entry.delivery.period,
                entry.certification.status,
                entry.delivery.delivery_id,
                entry.file.name,
                period_school_year(entry.delivery.period),
            )
            for number, entry in enumerate(batch.files)
        ]
        schema = {
            check.FILE: pl.Int64,
            "submitter": pl.String,
            "package": pl.String,
            "period": pl.String,
            "certification": pl.String,
            "delivery_id": pl.String,
            "_file_name": pl.String,
            "_period_year": pl.Int32,
        }
        return pl.DataFrame(rows, schema=schema, orient="row")

    def _write_quarantine(
        self,
        batch: _Batch,
        checked: dict[str, list[check.CheckedTable]],
        originals: dict[str, list[pl.DataFrame]],
    ) -> pl.DataFrame:
        """Write quarantine and error files and the vault's bad rows; returns one row per row and rule."""
        found, full = [], []
        for name, parts in checked.items():
            for part, original in zip(parts, originals[name], strict=True):
                if not part.failures.height:
                    continue
                place = original.select(check.FILE, check.SOURCE_ROW).with_row_index("row").cast({"row": pl.Int64})
                failures = part.failures.drop("source_row").join(place, on="row", how="left")
                found.append(failures.with_columns(collection=pl.lit(name)))
                rule_ids = failures.group_by("row").agg(rule_id=pl.col("rule_id").unique().sort().str.join(";"))
                text = original.with_row_index("row").cast({"row": pl.Int64}).join(rule_ids, on="row")
                sent = [column for column in original.columns if not column.startswith("_")]
                full.append(
                    text.select(
                        build_id=pl.lit(self.build_id),
                        delivery_id=pl.col(check.DELIVERY),
                        collection=pl.lit(name),
                        source_row=pl.col(check.SOURCE_ROW).cast(pl.Int64),
                        rule_id="rule_id",
                        row_text=pl.struct(sent).struct.json_encode(),
                    )
                )
        schema = {
            check.FILE: pl.Int64,
            "row": pl.Int64,
            "collection": pl.String,
            check.SOURCE_ROW: pl.Int64,
            "rule_id": pl.String,
            "message": pl.String,
            "columns": pl.String,
        }
        bad = pl.concat([pl.DataFrame(schema=schema), *(rows.select(list(schema)).cast(schema) for rows in found)])
        names = pl.DataFrame(
            {
                check.FILE: range(len(batch.files)),
                "file_name": [entry.file.name for entry in batch.files],
                "delivery_id": [entry.delivery.delivery_id for entry in batch.files],
            },
            schema={check.FILE: pl.Int64, "file_name": pl.String, "delivery_id": pl.String},
        )
        bad = bad.join(names, on=check.FILE, how="left")
        earlier = any(entry.received_build != self.build_id for entry in batch.files)
        if full or earlier:
            empty = pl.DataFrame(schema=dict.fromkeys(BAD_ROW, pl.String) | {"source_row": pl.Int64})
            ids = sorted({entry.delivery.delivery_id for entry in batch.files})
            quarantine.keep_bad_rows(self.connection(), pl.concat([empty, *full]).select(BAD_ROW), ids)
        parts = {key[0]: rows for key, rows in bad.group_by(["delivery_id"], maintain_order=True)}
        for delivery_id, delivery in {e.delivery.delivery_id: e.delivery for e in batch.files}.items():
            refusals = {
                e.file.name: e.refusal for e in batch.files if e.refusal and e.delivery.delivery_id == delivery_id
            }
            quarantine.write_quarantine(self.settings, delivery, parts.get(delivery_id, bad.clear()), refusals)
        return bad

    def _write_ledger(self, batch: _Batch, checked: dict[str, list[check.CheckedTable]], bad: pl.DataFrame) -> None:
        verdicts, derived = [], []
        for name, parts in checked.items():
            for part in parts:
                verdicts.append(part.typed.select(check.FILE, check.SOURCE_ROW, "verdict"))
                derived.append(_derived_counts(name, part.typed, self._file_facts(batch)))
                self._count(name, part.typed)
        outcomes = _outcomes(verdicts)
        rows, collection_of = [], {}
        for number, entry in enumerate(batch.files):
            collection_of[number] = (entry.delivery.delivery_id, entry.file.name)
            count = {} if entry.refusal else outcomes.get(number, {})
            rows.append(self._ledger_line(entry, count))
        names = pl.DataFrame(
            [(number, *place) for number, place in collection_of.items()],
            schema={check.FILE: pl.Int64, "delivery_id": pl.String, "file_name": pl.String},
            orient="row",
        )
        per_collection = pl.concat([pl.DataFrame(schema=_DERIVED), *derived]).join(names, on=check.FILE)
        totals = per_collection.group_by("delivery_id", "file_name").agg(
            derived_row_count=pl.col("derived_count").sum()
        )
        lines = (
            pl.DataFrame(rows, schema=ledger.LEDGER)
            .drop("derived_row_count")
            .join(totals, on=["delivery_id", "file_name"], how="left")
            .with_columns(
                derived_row_count=pl.when(pl.col("status") == "accepted").then(pl.col("derived_row_count").fill_null(0))
            )
        )
        rules = bad.group_by("delivery_id", "file_name", "collection", "rule_id").agg(
            message=pl.col("message").unique().sort().str.join(" "),
            failing_count=pl.col("row").n_unique(),
        )
        ledger.record(self.settings, lines.select(list(ledger.LEDGER)), per_collection, rules)
        taken = lines.group_by("delivery_id").agg(refused=(pl.col("status") == "refused").all())
        self.summary.refused += int(taken["refused"].sum())
        self.summary.deliveries += taken.height - int(taken["refused"].sum())

    def _ledger_line(self, entry: _File, count: dict[str, int]) -> dict:
        """One ledger line: counts of source records, or the reason why there are none."""
        if entry.repeats and not entry.refusal:
            reason = f"The same, byte for byte, as the file {entry.repeats} of this delivery; that one was read."
            return _repeat_line(
                entry.delivery, entry.file, entry.collections, reason, entry.received_build, self.registers
            )
        line = {
            **dict.fromkeys(ledger.LEDGER),
            **_identity_of(entry.delivery),
            "file_name": entry.file.name,
            "collection": ";".join(entry.collections),
            "sha256": entry.file.sha256,
            "bytes": entry.file.bytes,
            "received_build": entry.received_build,
            "status": "refused" if entry.refusal else "accepted",
            "certification": entry.certification.status,
            "certified_by": entry.certification.certified_by,
            "certified_on": entry.certification.certified_on,
            "refusal_reason": entry.refusal or None,
            "checked_with": self.registers if entry.refusal else self.rules,
        }
        if not entry.refusal:
            line |= {
                "delivered_count": entry.record_count,
                "accepted_count": count.get(check.ACCEPTED, 0),
                "partly_accepted_count": count.get("partly_accepted", 0),
                "quarantined_count": count.get(check.QUARANTINED, 0),
                "duplicate_count": count.get(check.DUPLICATE, 0),
                "not_collected_count": entry.not_collected_count,
                "unmapped_column_count": entry.unmapped_count,
            }
        return line

    def _count(self, name: str, typed: pl.DataFrame) -> None:
        counts = self.summary.collections.setdefault(name, CollectionCounts())
        for verdict, number in typed["verdict"].value_counts().iter_rows():
            setattr(counts, verdict, getattr(counts, verdict) + number)


# --- shapes of rows ----------------------------------------------------------------------------------------------
_DERIVED = {
    check.FILE: pl.Int64,
    "collection": pl.String,
    "derived_count": pl.Int64,
    "accepted_count": pl.Int64,
    "quarantined_count": pl.Int64,
    "duplicate_count": pl.Int64,
    "type_failed_count": pl.Int64,
    "other_period_count": pl.Int64,
}


def _identity_of(delivery: Delivery) -> dict[str, str]:
    return {
        "delivery_id": delivery.delivery_id,
        "submitter": delivery.submitter,
        "package": delivery.package,
        "period": delivery.period,
    }


def _repeat_line(
    delivery: Delivery, file: DeliveredFile, fed: tuple[str, ...], reason: str, received_build: str, checked_with: str
) -> dict:
    """A ledger line for a file of which nothing was taken in, because its content is there already."""
    return {
        **dict.fromkeys(ledger.LEDGER),
        **_identity_of(delivery),
        "file_name": file.name,
        "collection": ";".join(fed),
        "sha256": file.sha256,
        "bytes": file.bytes,
        "received_build": received_build,
        "status": "duplicate_delivery",
        "refusal_reason": reason,
        "checked_with": checked_with,
    }


def _note_sent_again(
    settings: Settings,
    build_id: str,
    in_landing: list[Delivery],
    book: pl.DataFrame,
    declared: dict[str, list[PackageRow]],
) -> int:
    """Note, once, each delivery in use whose files were all written anew with the same content; returns how many.

    When that is so of everything in landing, the folder was copied or restored, and nobody sent anything.
    """
    again = [delivery for delivery in in_landing if delivery.is_sent_again]
    if not again or (len(again) == len(in_landing) and len(again) > 1):
        return 0
    in_use = set(book.filter(pl.col("status") == "accepted")["delivery_id"])
    noted = set(book.filter(pl.col("status") == "duplicate_delivery")["delivery_id"])
    rows = []
    for delivery in again:
        if delivery.delivery_id in in_use - noted:
            reason = "The same content was sent once more; nothing changes, and nothing needs to be done."
            lines = declared.get(delivery.package, [])
            rows += [
                _repeat_line(delivery, file, _fed(lines, file.name), reason, build_id, "")
                for file in delivery.data_files
            ]
    if rows:
        ledger.append(settings, pl.DataFrame(rows, schema=ledger.LEDGER))
    return len({row["delivery_id"] for row in rows})


def _fed(lines: list[PackageRow], file_name: str) -> tuple[str, ...]:
    """The collections that a file of this name feeds."""
    return tuple(sorted({line.collection for line in lines if line.takes(file_name)}))


def _hashes_in_use(book: pl.DataFrame) -> dict[tuple[str, str], dict[str, set[str]]]:
    """(submitter, package) → period → hashes of the files in use for it, where they hold any record."""
    found: dict[tuple[str, str], dict[str, set[str]]] = {}
    has_records = pl.col("delivered_count").sum().over("delivery_id") > 0
    in_use = book.filter(pl.col("status") == "accepted").filter(has_records)
    for submitter, package, period, sha256 in in_use.select("submitter", "package", "period", "sha256").iter_rows():
        found.setdefault((submitter, package), {}).setdefault(period, set()).add(sha256)
    return found


def _repeated_period(periods: dict[str, set[str]], delivery: Delivery) -> str | None:
    """The other period that has every file of this delivery, or None."""
    own = {file.sha256 for file in delivery.data_files}
    return next((period for period, used in sorted(periods.items()) if period != delivery.period and own <= used), None)


def _outcomes(verdicts: list[pl.DataFrame]) -> dict[int, dict[str, int]]:
    """File number → outcome → number of source records."""
    if not verdicts:
        return {}
    counted = check.judge_records(pl.concat(verdicts)).group_by(check.FILE, "outcome").len()
    found: dict[int, dict[str, int]] = {}
    for number, outcome, count in counted.iter_rows():
        found.setdefault(number, {})[outcome] = count
    return found


def _derived_counts(name: str, typed: pl.DataFrame, facts: pl.DataFrame) -> pl.DataFrame:
    """Rows derived for a collection by file number: how many, what became of them, how many of another year."""
    has_year = "school_year" in collections()[name].columns
    other = (pl.col("school_year") != pl.col("_period_year")).fill_null(False) if has_year else pl.lit(False)
    return (
        typed.join(facts.select(check.FILE, "_period_year"), on=check.FILE)
        .group_by(check.FILE)
        .agg(
            collection=pl.lit(name),
            derived_count=pl.len(),
            accepted_count=(pl.col("verdict") == check.ACCEPTED).sum(),
            quarantined_count=(pl.col("verdict") == check.QUARANTINED).sum(),
            duplicate_count=(pl.col("verdict") == check.DUPLICATE).sum(),
            type_failed_count=pl.col("has_type_failure").sum(),
            other_period_count=other.sum(),
        )
        .select(list(_DERIVED))
        .cast(_DERIVED)
    )


def _accepted_frame(collection: Collection, rows: pl.DataFrame) -> pl.DataFrame:
    """Accepted rows in the columns of the collection's accepted files, in the order of the source."""
    columns = dict(collection.accepted_columns())
    derived = {}
    if "birth_year" in columns and "birth_year" not in collection.columns:
        derived["birth_year"] = collection.birth_year()
    if "school_year" not in collection.columns:
        year = collection.school_year()
        derived["school_year"] = pl.col("_period_year") if year is None else pl.coalesce(year, "_period_year")
    return (
        rows.with_columns(**derived)
        .sort(check.FILE, check.SOURCE_ROW, maintain_order=True)
        .select(pl.col(name).cast(views.polars_type(kind)) for name, kind in columns.items())
    )
