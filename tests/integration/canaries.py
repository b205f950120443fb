"""Unmistakable identifiers in deliveries, and the search for them in everything that a night leaves behind.

What belongs here: planting, running, searching. What does not: judging (the tests).

Canaries stand in good rows of every sector, in rows that intake must send back (shifted, malformed, of the wrong
type, contradicting each other) and in files that it must refuse (not closed, without a header, in another encoding,
not well formed, not what their name says).
"""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import subprocess
import sys
import zlib
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import duckdb
import polars as pl
from homes import LONGEST_SECONDS, State, make_demo

GIVEN, MIDDLE, SURNAME = "Zyxophilda", "Vexillomene", "Quixotequark"
STUDENT, CHILD, LOCAL, RECORD, CLIENT = "SIDQX77001", "HSQXC33017", "LIDQXZ4402", "CRNQX66047", "CLTQX77033"
AT_COLLEGE, PROVIDER, ZIP = "ISTQX55083", "PROVQX5519", "59718-4732"
SSN, ACCOUNT, EIN, EMPLOYER = "531772846", "4771199853", "987736251", "Zebrawharf Quillfeather"
CANARIES = (
    *(GIVEN, MIDDLE, SURNAME, STUDENT, CHILD, LOCAL, RECORD, CLIENT, AT_COLLEGE, PROVIDER),
    *(ZIP, ZIP.replace("-", "")),
    *(SSN, f"{SSN[:3]}-{SSN[3:5]}-{SSN[5:]}", ACCOUNT, EIN, f"{EIN[:2]}-{EIN[2:]}", EMPLOYER, EMPLOYER.split()[0]),
)
NEEDLES = tuple(sorted({each.lower() for each in CANARIES}))
YEAR = "2026"


@dataclass(frozen=True)
class Canary:
    """The state after its nights; `crashes`: what two nights that a planted exception ended wrote to the terminal;
    `checked`: what `p20w check` said of spoiled files; `temporary`: where the processes kept temporary files."""

    state: State
    crashes: list[subprocess.CompletedProcess[str]]
    checked: list[str]
    said: str
    temporary: Path


def canary_night(folder: Path) -> Canary:
    """Plant, let two nights crash with exceptions that quote an identifier, then run a whole night."""
    temporary = folder / "temporary"
    temporary.mkdir()
    extra = {"TMPDIR": str(temporary), "P20W_VAULT_MEMORY": "150MB"}
    state = make_demo(folder, students=300, **extra)
    landing = state.settings.landing
    plant_good_rows(landing)
    plant_bad_rows(landing)
    plant_bad_files(landing)
    checked = [
        state.p20w("check", str(landing / path), "--collection", collection, "--package", package, check=False)
        for path, collection, package in (
            (f"{district(landing)}/k12_annual/{YEAR}/student.csv", "k12__student", "k12_annual"),
            (f"{district(landing)}/k12_annual/{YEAR}/enrollment.csv", "k12__enrollment", "k12_annual"),
            ("oel/head_start/2016/head_start.csv", "early_childhood__program_enrollment", "head_start"),
        )
    ]
    crashes = [crash(state, FOREIGN), crash(state, OWN)]
    said = state.p20w("nightly").stderr
    return Canary(state, crashes, [done.stdout + done.stderr for done in checked], said, temporary)


def district(landing: Path) -> str:
    return sorted(path.name for path in landing.glob("lea_*"))[0]


# --- planting -----------------------------------------------------------------------------------------------------
def plant_good_rows(landing: Path) -> None:
    """Give people and employers of the synthetic state other identifiers, everywhere alike, and other names."""
    student = rows_of(landing / district(landing) / "k12_annual" / YEAR / "student.csv")[0]["StudentStateID"]
    wage = (landing / "dol" / "wages" / "2026Q1" / "wages.txt").read_text("iso-8859-1").splitlines()[0]
    ssn, account, ein = wage[:9], wage[47:57], wage[62:71]
    child = rows_of(landing / "oel" / "head_start" / YEAR / "head_start.csv")[0]["Child ID"]
    record = rows_of(landing / "dhs" / "child_welfare" / YEAR / "client.csv")[0]["CHILD_RECORD_NO"]
    college = rows_of(landing / "che" / "postsecondary" / YEAR / "term_enrollment.csv")[0]["INST_STUDENT_ID"]
    renamed = {student: STUDENT, ssn: SSN, dashed(ssn): dashed(SSN), account: ACCOUNT, child: CHILD, record: RECORD}
    renamed |= {college: AT_COLLEGE, ein: EIN, f"{ein[:2]}-{ein[2:]}": f"{EIN[:2]}-{EIN[2:]}"}
    pattern = re.compile(b"|".join(re.escape(each.encode()) for each in renamed))
    for path in sorted(landing.rglob("*")):
        if path.suffix in (".csv", ".txt"):
            content = path.read_bytes()
            changed = pattern.sub(lambda found: renamed[found[0].decode()].encode(), content)
            if changed != content:
                path.write_bytes(changed)
    name = {"given": GIVEN, "middle": MIDDLE, "surname": SURNAME}
    for path, key, wanted, columns in (
        (f"{district(landing)}/k12_annual/*/student.csv", "StudentStateID", STUDENT, "FirstName MiddleName LastName"),
        ("sea/state_assessment/*/assessment.csv", "StateStudentID", STUDENT, "FirstName - LastName"),
        ("oel/head_start/*/head_start.csv", "Child ID", CHILD, "First Name;Middle Name;Last Name"),
        ("dhs/child_welfare/*/client.csv", "CHILD_RECORD_NO", RECORD, "FIRST_NM MIDDLE_NM LAST_NM"),
        ("che/postsecondary/*/term_enrollment.csv", "INST_STUDENT_ID", AT_COLLEGE, "FIRST_NAME MIDDLE_NAME LAST_NAME"),
        ("che/postsecondary/*/award.csv", "INST_STUDENT_ID", AT_COLLEGE, "FIRST_NAME MIDDLE_NAME LAST_NAME"),
    ):
        given, middle, surname = columns.split(";") if ";" in columns else columns.split()
        values = {given: name["given"], middle: name["middle"], surname: name["surname"]}
        for file in sorted(landing.glob(path)):
            edit(file, lambda row, key=key, wanted=wanted: row[key] == wanted, values)
    newest = landing / district(landing) / "k12_annual" / YEAR / "student.csv"
    edit(newest, lambda row: row["StudentStateID"] == STUDENT, {"ZIP": ZIP})
    edit(
        landing / "dhs" / "child_welfare" / YEAR / "client.csv",
        lambda row: row["CHILD_RECORD_NO"] == RECORD,
        {"CLIENT_NO": CLIENT, "SSN": dashed(SSN)},
    )
    for file in sorted(landing.glob("dol/employers/*/employers.csv")):
        edit(file, lambda row: row["UI_ACCT"] == ACCOUNT, {"LEGAL_NAME": EMPLOYER})
    for file in sorted(landing.glob("dol/wages/*/wages.txt")):
        lines = file.read_text("iso-8859-1").splitlines()
        name_place = f"{GIVEN.upper():<15}{MIDDLE[0].upper()}{SURNAME.upper():<20}"
        lines = [line[:9] + name_place + line[45:] if line.startswith(SSN) else line for line in lines]
        file.write_text("\n".join(lines) + "\n", "iso-8859-1")
    care = landing / "dhs" / "subsidy" / YEAR / "subsidy.parquet"
    frame = pl.read_parquet(care)
    values = {"ProviderID": PROVIDER, "ChildFirstName": GIVEN, "ChildLastName": SURNAME, "ChildSSN": SSN}
    values |= {"CenterID": None, "FamilyZIP": ZIP}
    first = pl.int_range(pl.len()) == 0
    frame = frame.with_columns(
        pl.when(first).then(pl.lit(value, pl.String)).otherwise(pl.col(column)).alias(column)
        for column, value in values.items()
    )
    frame.write_parquet(care)


def plant_bad_rows(landing: Path) -> None:
    """Rows with canaries that must be sent back: each breaks the agreed layout in another way."""
    annual = landing / district(landing) / "k12_annual" / YEAR
    student = {"FirstName": GIVEN, "MiddleName": MIDDLE, "LastName": SURNAME, "ZIP": ZIP}
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL}, shift=1)
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL}, shift=-1)
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL, "BirthDate": SURNAME})
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL, "Sex": GIVEN, "White": SURNAME})
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL, "CohortYear": STUDENT})
    add(annual / "student.csv", {**student, "StudentStateID": LOCAL}, extra=[GIVEN, SURNAME, SSN, "x", "y"])
    add(annual / "student.csv", {**student, "StudentStateID": "QXCONFLICT", "LastName": SURNAME})
    add(annual / "student.csv", {**student, "StudentStateID": "QXCONFLICT", "LastName": SURNAME + "ed"})
    add(annual / "enrollment.csv", {"StudentStateID": STUDENT}, shift=1)
    add(annual / "enrollment.csv", {"StudentStateID": STUDENT, "EntryDate": SURNAME, "ExitDate": SSN})
    add(annual / "enrollment.csv", {"StudentStateID": STUDENT, "GradeLevel": GIVEN, "ExitDocumentation": SURNAME})
    add(annual / "enrollment.csv", {"StudentStateID": STUDENT, "SchoolYear": SURNAME})
    add(annual / "attendance.csv", {"StudentStateID": STUDENT, "DaysEnrolled": GIVEN, "DaysAbsent": SSN})
    add(annual / "attendance.csv", {"StudentStateID": STUDENT}, shift=1)
    add(annual / "program.csv", {"StudentStateID": STUDENT}, shift=1)
    add(annual / "program.csv", {"StudentStateID": STUDENT, "ProgramType": SURNAME})
    add(annual / "completion.csv", {"StudentStateID": STUDENT, "DiplomaType": SURNAME, "CompletionDate": GIVEN})
    tested = landing / "sea" / "state_assessment" / YEAR / "assessment.csv"
    add(tested, {"FirstName": GIVEN, "LastName": SURNAME, "StateStudentID": STUDENT}, shift=1)
    add(tested, {"FirstName": GIVEN, "LastName": SURNAME, "ScaleScore": SURNAME, "PerformanceLevel": GIVEN})
    ready = landing / "sea" / "readiness" / YEAR / "readiness.csv"
    add(ready, {"FirstName": GIVEN, "LastName": SURNAME, "StudentSUNS": STUDENT}, shift=1)
    add(ready, {"FirstName": GIVEN, "LastName": SURNAME, "DateTaken": SURNAME, "OverallScore": GIVEN})
    found = landing / "sea" / "nsc_return" / YEAR / "studenttracker.csv"
    add(found, {"First Name": GIVEN, "Last Name": SURNAME}, shift=1)
    add(found, {"First Name": GIVEN, "Last Name": SURNAME, "Enrollment Begin": SURNAME, "Graduated?": "N"})
    college = landing / "che" / "postsecondary" / YEAR
    for name in ("term_enrollment.csv", "award.csv", "course_result.csv"):
        person = {"INST_STUDENT_ID": AT_COLLEGE, "SSN": dashed(SSN), "FIRST_NAME": GIVEN, "LAST_NAME": SURNAME}
        add(college / name, person, shift=1)
        add(college / name, {**person, "DOB": SURNAME})
    welfare = landing / "dhs" / "child_welfare" / YEAR
    add(welfare / "client.csv", {"FIRST_NM": GIVEN, "LAST_NM": SURNAME, "SSN": dashed(SSN)}, shift=1)
    add(welfare / "removal.csv", {"CHILD_RECORD_NO": RECORD, "REMOVAL_DT": SURNAME, "EXIT_REASON": GIVEN})
    add(welfare / "placement.csv", {"CHILD_RECORD_NO": RECORD}, shift=1)
    firms = landing / "dol" / "employers" / "2026Q1" / "employers.csv"
    add(firms, {"UI_ACCT": ACCOUNT, "LEGAL_NAME": EMPLOYER, "EIN": f"{EIN[:2]}-{EIN[2:]}"}, shift=1)
    add(firms, {"UI_ACCT": ACCOUNT, "LEGAL_NAME": EMPLOYER, "M1EMP": EMPLOYER, "OWN": SURNAME})
    add(landing / "oel" / "head_start" / YEAR / "head_start.csv", {"Child ID": CHILD, "First Name": GIVEN}, shift=1)
    add(
        landing / "oel" / "state_prek" / YEAR / "state_prek.csv",
        {"FIRST_NAME": GIVEN, "LAST_NAME": SURNAME, "HOURS": SURNAME},
        delimiter=";",
        encoding="windows-1252",
    )
    wages = landing / "dol" / "wages" / "2026Q1" / "wages.txt"
    lines = wages.read_text("iso-8859-1").splitlines()
    line = next(each for each in lines if each.startswith(SSN))
    lines += [line[:76] + GIVEN.upper(), " " + line[:85], line[:71] + SURNAME[:4] + line[75:], line[:30]]
    wages.write_text("\n".join(lines) + "\n", "iso-8859-1")
    care = landing / "dhs" / "subsidy" / YEAR / "subsidy.parquet"
    frame = pl.read_parquet(care)
    bad = frame.head(1).with_columns(
        pl.lit(value).alias(column)
        for column, value in (("ServiceBegin", SURNAME), ("Copayment", GIVEN), ("ChildBirthYearMonth", SSN))
    )
    pl.concat([frame, bad]).write_parquet(care)


def plant_bad_files(landing: Path) -> None:
    """Files with canaries that cannot be read at all, or that nobody collects."""
    text = f"{GIVEN};{SURNAME};{dashed(SSN)};{STUDENT}"
    unclosed = landing / "oel" / "state_prek" / "2016" / "state_prek.csv"
    with unclosed.open("a", encoding="windows-1252") as handle:
        handle.write(f'PK1;20150901;;"{text}\n')
    headerless = landing / "oel" / "head_start" / "2016" / "head_start.csv"
    rows = headerless.read_text("utf-8").splitlines()[1:]
    headerless.write_text("\n".join([text.replace(";", ","), *rows]) + "\n", "utf-8")
    encoded = landing / "dhs" / "child_welfare" / "2019" / "client.csv"
    encoded.write_bytes(encoded.read_bytes() + f"CW1,,2019,{GIVEN} ".encode() + b"\xff\xfe" + SURNAME.encode() + b"\n")
    (landing / "dhs" / "subsidy" / "2016" / "subsidy.parquet").write_bytes(b"PAR1" + text.encode() * 20 + b"PAR1")
    (landing / district(landing) / "k12_annual" / YEAR / "notes.csv").write_text(f"name,note\n{GIVEN},{text}\n")
    for place, name, content in (
        ("public_edfi/edfi_xml/2022", "Student.xml", f"<I><Student><{SURNAME}>{GIVEN}</Name></Student></I>"),
        ("public_edfi/edfi_xml/2022", "StudentProgram.xml", f"<I>&{SURNAME};</I>"),
        ("sea/of_nobody/2026", "list.csv", f"name\n{SURNAME}\n"),
    ):
        (landing / place).mkdir(parents=True, exist_ok=True)
        (landing / place / name).write_text(content)


def dashed(ssn: str) -> str:
    return f"{ssn[:3]}-{ssn[3:5]}-{ssn[5:]}"


def rows_of(path: Path, delimiter: str = ",", encoding: str = "utf-8-sig") -> list[dict[str, str]]:
    with path.open(newline="", encoding=encoding) as handle:
        return list(csv.DictReader(handle, delimiter=delimiter))


def edit(path: Path, wanted, values: dict[str, str], delimiter: str = ",", encoding: str = "utf-8") -> None:
    """Set columns in the rows wanted; the file keeps its header as it stands."""
    header, rows = read_table(path, delimiter, encoding)
    names = [name.lstrip("\ufeff") for name in header]
    if not set(values) <= set(names):
        values = {name: value for name, value in values.items() if name in names}
    for row in rows:
        if wanted(dict(zip(names, row, strict=False))):
            for name, value in values.items():
                row[names.index(name)] = value
    write_table(path, header, rows, delimiter, encoding)


def add(
    path: Path,
    values: dict[str, str],
    shift: int = 0,
    extra: Iterable[str] = (),
    delimiter: str = ",",
    encoding: str = "utf-8",
) -> None:
    """Append a copy of the first row with other values, its cells moved `shift` columns to the right."""
    header, rows = read_table(path, delimiter, encoding)
    names = [name.lstrip("\ufeff") for name in header]
    row = list(rows[0]) if rows else [""] * len(header)
    for name, value in values.items():
        row[names.index(name)] = value
    if shift > 0:
        row = [""] * shift + row[:-shift]
    elif shift < 0:
        row = row[-shift:] + [""] * -shift
    write_table(path, header, [*rows, [*row, *extra]], delimiter, encoding)


def read_table(path: Path, delimiter: str, encoding: str) -> tuple[list[str], list[list[str]]]:
    if "studenttracker" in path.name:
        encoding = "iso-8859-1"
    header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(encoding), newline=""), delimiter=delimiter)
    return header, rows


def write_table(path: Path, header: list[str], rows: list[list[str]], delimiter: str, encoding: str) -> None:
    if "studenttracker" in path.name:
        encoding = "iso-8859-1"
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator="\n").writerows([header, *rows])
    path.write_bytes(text.getvalue().encode(encoding))


# --- crashing -----------------------------------------------------------------------------------------------------
# Each program replaces one function of the night by one that fails as libraries fail: quoting what it was given.
FOREIGN = f"""
from pipelines.intake import check

def check_rows(collection, table, package, settings):
    raise ValueError("could not convert '{SURNAME}' of {GIVEN}, {dashed(SSN)}") from KeyError("{STUDENT}")

check.check_rows = check_rows
"""
OWN = f"""
from pipelines.identity.vault import VaultError
from pipelines.intake import views

def create_views(settings):
    try:
        raise ValueError("Conversion Error: '{SURNAME}' of {GIVEN}, {dashed(SSN)}")
    except ValueError as error:
        raise VaultError("A sentence of our own that quotes nobody.") from error

views.create_views = create_views
"""
RUN = """
import sys
from pipelines.defs.run import run_nightly
from pipelines.settings import settings

sys.exit(run_nightly(settings()))
"""


def crash(state: State, program: str) -> subprocess.CompletedProcess[str]:
    """Run a night in which one function fails with an identifier in its exception."""
    run = state.command()
    return subprocess.run(
        [sys.executable, "-c", program + RUN],
        cwd=run["cwd"],
        env=run["env"],
        capture_output=True,
        text=True,
        timeout=LONGEST_SECONDS,
        check=False,
    )


# --- searching ----------------------------------------------------------------------------------------------------
def hits(folders: Iterable[Path], outside: Iterable[Path] = ()) -> list[str]:
    """`file: canary` for each canary found in the bytes, or in any value, of any file below `folders`."""
    left_out = [path.resolve() for path in outside]
    found = []
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.is_symlink() or not path.is_file() or any(path.is_relative_to(each) for each in left_out):
                continue
            found += [f"{path.relative_to(folder)}: {needle}" for needle in sorted(canaries_in(path))]
    return found


def canaries_in(path: Path) -> set[str]:
    """The canaries in one file: its name, its bytes, and its values where the format packs or compresses them."""
    content = path.read_bytes()
    found = set(within(content)) | set(within(path.name.encode()))
    if content[:4] == b"PAR1":
        found |= among(pl.read_parquet(path))
    elif content[:15] == b"SQLite format 3":
        found |= in_sqlite(path)
    elif content[8:12] == b"DUCK":
        with duckdb.connect(str(path), read_only=True) as con:
            for schema, table in con.execute("SELECT schema_name, table_name FROM duckdb_tables()").fetchall():
                found |= among(con.execute(f'SELECT * FROM "{schema}"."{table}"').pl())
    return found


def within(content: bytes) -> list[str]:
    lowered = content.lower()
    return [needle for needle in NEEDLES if needle.encode() in lowered or needle.encode("utf-16-le") in lowered]


def among(frame: pl.DataFrame) -> set[str]:
    """Canaries inside text values, and whole numbers that are one."""
    found: set[str] = set()
    for column in frame.columns:
        values = frame.get_column(column).drop_nulls().unique()
        is_number = values.dtype.is_numeric()
        if values.dtype.is_nested():
            text = pl.Series(values=[str(value).lower() for value in values.to_list()], dtype=pl.String)
        else:
            text = values.cast(pl.String).str.to_lowercase()
        for needle in NEEDLES:
            # A random key may hold nine given digits by chance, so that a number counts only as a whole.
            if is_number and not needle.isdigit():
                continue
            if (text == needle).any() if is_number else text.str.contains(needle, literal=True).any():
                found.add(needle)
        found.update(within(column.encode()))
    return found


def in_sqlite(path: Path) -> set[str]:
    found: set[str] = set()
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as con:
        for (table,) in con.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            for row in con.execute(f'SELECT * FROM "{table}"'):
                for value in row:
                    if isinstance(value, str):
                        found.update(within(value.encode()))
                    elif isinstance(value, bytes):
                        found.update(within(value))
                        try:
                            found.update(within(zlib.decompress(value)))
                        except zlib.error:
                            continue
    return found
