"""Token mode: what an agency may send in place of identifiers, and how such records meet others."""

import csv
import hmac
import io
import shutil
from dataclasses import replace
from datetime import date

import duckdb
import polars as pl
import pytest

from pipelines.errors import P20wError
from pipelines.identity import tokens
from pipelines.identity.current import write_current
from pipelines.identity.run import run_identity
from pipelines.identity.token_file import make_tokens
from pipelines.identity.vault import open_vault
from pipelines.intake import ledger
from pipelines.intake.readers.layouts import entries
from pipelines.intake.run import finish_intake, run_intake
from pipelines.settings import ROOT, Settings
from schemas import collections
from schemas.elements import ELEMENTS, TOKEN_PREFIX

from .conftest import call_dbt, deliver, with_test_key

TODAY = date(2026, 11, 21)
BUILD = "20261121T000000-aaaa"
KEY = "3f" * 16 + "c7" * 16

MAP = """
local_id: [CHILD_RECORD_NO, CLIENT_NO]
student_id_state: STUDENT_ID
ssn: SSN
given_name: FIRST_NM
middle_name: MIDDLE_NM
surname: LAST_NM
birth_date: BIRTH_DT
birth_date_format: '%m%d%Y'
postal_code: ZIP
remove: [PHONE]
"""
CLIENT = [
    "CHILD_RECORD_NO", "CLIENT_NO", "SCHOOL_YEAR", "FIRST_NM", "MIDDLE_NM", "LAST_NM", "BIRTH_DT", "GENDER", "SSN",
    "STUDENT_ID", "ZIP", "HISPANIC", "PHONE",
]  # fmt: skip
STUDENT = [
    "SSID", "SchoolYear", "DistrictCode", "FirstName", "MiddleName", "LastName", "BirthDate", "Sex", "ZIP",
    "HispanicLatino",
]  # fmt: skip
# Values that may stand in landing and the vault only; none of them occurs anywhere else.
CANARIES = ["QXZGIVEN", "QXZSURNAME", "QXZMIDDLE", "219438765", "CRNQ70001", "STUQ90001", "5550142077"]
CLIENTS = [
    # The state's Jose, with accents written out, the hyphen gone and a longer ZIP code.
    ["CRNQ70001", "", 2024, "Jose QXZGIVEN", "qxzmiddle", "QXZSURNAME VILLA", "05062010", "M", "219-43-8765", "",
     "54321-0001", 1, "5550142077"],
    # The state's Maria but for one letter of the surname.
    ["CRNQ70002", "", 2024, "Maria", "", "Plovexandro", "07082011", "F", "", "", "54321", 0, ""],
    # The state's Robert by number and given name; surname and birth date differ.
    ["CRNQ70003", "", 2024, "Bob", "", "Newname", "01012001", "M", "", "STUQ90001", "99501", 0, ""],
    # Nobody of the state: a number that belongs to Robert, and another given name.
    ["CRNQ70004", "", 2024, "Ingrid", "", "Ostergaard", "02032012", "F", "078-05-1120", "STUQ90001", "", 0, ""],
]  # fmt: skip
STUDENTS = [
    ["STUQ90009", "2023-2024", "001", "José Qxzgiven", "Q.", "Qxzsurname-Villa", "05/06/2010", "M", "54321", "Y"],
    ["STUQ90008", "2023-2024", "001", "María", "", "Plovexandra", "07/08/2011", "F", "54321", "N"],
    ["STUQ90001", "2023-2024", "001", "Robert", "", "Oldname", "03/04/2010", "M", "12346", "N"],
]


NASTY = [
    ("José-María", "D’Ávila  y  Núñez", "III"), ("ANNE MARIE", "O'Neil-Van der Berg Jr", None), ("X", "Å", None),
    ("BABY BOY", "SMITH", None), ("Bobby", "St. John", "sr."), ("Ľubomír", "Šťastný", None), ("李", "王", None),
    ("Мария", "Иванова", None), ("Jean Luc", "de la O", None), ("Wm", "UNKNOWN", "2nd"), (" ", "N/A", None),
    ("Peggy", "Garcia Lopez de la Torre Fernandez", None), ("Ann Jr", "Lee", None), ("Müller", "Weiß", None),
]  # fmt: skip


def nasty_rows() -> pl.DataFrame:
    """The hard names with hard numbers and dates, in a sector with and in one without birth dates."""
    details = [
        ("Q.", "2003-05-06", None, "219-43-8766", "A-1", "12344-6789"),
        (None, "1900-01-01", "2003-05", "666-12-3456", "UNKNOWN", "00000"),
        ("Lee Ann", None, None, "078051120", "b 2", "1234"),
    ]
    names = ("middle_name", "birth_date", "birth_month", "ssn", "local_id", "postal_code")
    return pl.DataFrame(
        [
            {"sector": sector, "given_name": given, "surname": surname, "name_suffix": suffix, "sex_code": "f"}
            | {"local_id_issuer": "A", "student_id_state": f"00{place}"}
            | dict(zip(names, details[place % 3], strict=True))
            for sector in ("k12", "workforce")
            for place, (given, surname, suffix) in enumerate(NASTY)
        ]
    )


def declare(seeds, package, identifiers):
    """Write into the register in which form the package sends identifiers."""
    register = seeds / "registers" / "package.csv"
    with register.open(newline="", encoding="utf-8") as handle:
        rows = list(csv.DictReader(handle))
    with register.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(row | ({"identifiers": identifiers} if row["package"] == package else {}) for row in rows)


def settings_of(folder, token_key=KEY) -> Settings:
    """A home with its own seeds, in which child welfare sends tokens, and with the state's copy of the token key."""
    shutil.copytree(ROOT / "seeds", folder / "seeds")
    declare(folder / "seeds", "child_welfare", "tokens")
    (folder / "token.key").write_text(token_key)
    return Settings(
        home=folder / "state",
        seeds=folder / "seeds",
        truth=folder / "truth",
        real_data=folder / "real",
        vault_key_file=folder / "vault.key",
        token_key_file=folder / "token.key",
    )


def write_table(path, header, rows, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    out = io.StringIO()
    csv.writer(out, lineterminator="\n", **options).writerows([header, *rows])
    path.write_text(out.getvalue(), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def tokened(tmp_path_factory):
    """A delivery of tokens and one with identifiers, through intake and dbt: settings, the token files, all output."""
    folder = tmp_path_factory.mktemp("tokens")
    settings = settings_of(folder)
    with_test_key(settings)
    said = []
    for name, header, rows, text in [
        ("client.csv", CLIENT, CLIENTS, MAP),
        ("removal.csv", ["CHILD_RECORD_NO", "REMOVAL_DT"], [["CRNQ70001", "10012023"]], "local_id: CHILD_RECORD_NO\n"),
    ]:
        (folder / "map.yml").write_text(text)
        out = settings.landing / "dhs" / "child_welfare" / "2024" / name
        out.parent.mkdir(parents=True, exist_ok=True)
        plain = write_table(folder / "agency" / name, header, rows)
        said.append(make_tokens(settings, plain, folder / "map.yml", folder / "token.key", out, TODAY).as_text())
    write_table(settings.landing / "lea_001" / "k12_annual" / "2024" / "student.csv", STUDENT, STUDENTS)
    run_intake(settings, BUILD, today=TODAY)
    deliver(settings, nasty_rows(), BUILD)
    finish_intake(settings, BUILD, TODAY)
    write_current(settings)
    with open_vault(settings) as con:
        # What came past the intake has no accepted file.
        con.execute(
            "INSERT INTO current_record SELECT record_key FROM identity_record"
            " ANTI JOIN current_record USING (record_key)"
        )
    said.append(call_dbt(settings))
    run_identity(settings, BUILD)
    return settings, "\n".join(said)


def records(settings) -> dict[int, str]:
    """record_key -> what it is in this test, from accepted rows: file and row number hold no identifier."""
    named = {}
    for collection, names in [
        ("child_welfare__client", ["client Jose", "client Maria", "client Bob", "client Ingrid"]),
        ("child_welfare__removal", ["removal Jose"]),
        ("k12__student", ["student Jose", "student Maria", "student Robert"]),
    ]:
        (path,) = [path for path in (settings.accepted / collection).glob("*.parquet") if path.name[0] != "_"]
        rows = pl.read_parquet(path)
        assert not [name for name in rows.columns if name.startswith(TOKEN_PREFIX)]
        named |= {key: names[row - 1] for key, row in rows.select("record_key", "source_row").iter_rows()}
    return named


# --- the tokens --------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("size", [32, 64, 65, 200])
def test_a_token_is_the_hmac_of_its_key(size):
    key = bytes(range(256))[:size]
    for message in (b"", b"a", b"name_birth\x1fANN\x1fLEE\x1f2001-02-03", b"x" * 1000):
        assert tokens.Hasher(key).digest(message) == hmac.digest(key, message, "sha256")


@pytest.mark.parametrize(
    ("text", "words"),
    [("ab" * 31, "31 bytes"), ("correct horse battery staple", "hexadecimal"), ("", "0 bytes"), (None, "There is no")],
)
def test_a_key_that_can_be_found_by_trying_is_refused(tmp_path, text, words):
    path = tmp_path / "key"
    if text is not None:
        path.write_text(text)
    with pytest.raises(P20wError, match=words) as refused:
        tokens.read_token_key(path)
    assert not text or text not in str(refused.value)


def test_every_key_of_the_policy_has_its_element_and_no_other_token_is_declared():
    keys = {TOKEN_PREFIX + key.key_name for key in tokens.token_keys(ROOT / "seeds", TODAY)}
    declared = {name for name in ELEMENTS if name.startswith(TOKEN_PREFIX)}
    assert keys == declared and all(ELEMENTS[name].is_direct for name in declared)


def names_tokens(settings, *names, key_name="name_birth", **others):
    """The tokens of people who differ in (given name, surname) or in whatever a dictionary says."""
    rows = [name if isinstance(name, dict) else {"given_name": name[0], "surname": name[1]} for name in names]
    common = {"birth_date": "2003-05-06", **others}
    frame = pl.DataFrame([{"record_key": place} | common | row for place, row in enumerate(rows)])
    with duckdb.connect() as con:
        found = tokens.hashed(
            con, frame, tokens.normal_forms(settings), tokens.token_keys(settings.seeds, TODAY), b"k" * 32
        )
    found = found.filter(pl.col("key_name") == key_name)
    return [set(found.filter(pl.col("record_key") == place)["token"]) for place in range(len(rows))]


def test_one_name_written_in_many_ways_gives_one_token_and_one_letter_more_another(home):
    same = [
        ("José Ángel", "O'Brien"), ("JOSE ANGEL", "OBRIEN"), ("  jose ", "O’Brien Jr."), ("Jose", "Garcia-O'Brien"),
    ]  # fmt: skip
    other = [("Josa", "O'Brien"), ("Jose", "O'Brian")]
    found = names_tokens(home, *same, *other)
    assert len(set.intersection(*found[: len(same)])) == 1
    assert not set.union(*found[: len(same)]) & set.union(*found[len(same) :])
    bob, robert, rob = names_tokens(home, ("Bob", "de la Cruz"), ("Robert", "Delacruz"), ("Rob", "CRUZ"))
    assert bob & robert and bob & rob


def test_placeholders_and_numbers_that_nobody_was_given_make_no_token(home):
    ann = {"given_name": "Ann", "surname": "Lee"}
    nobody = names_tokens(home, ("BABY BOY", "Lee"), ("Ann", "UNKNOWN"), ann | {"birth_date": "1900-01-01"})
    assert nobody == [set(), set(), set()]
    wrong = ["078-05-1120", "000-12-3456", "900123456", "12345678"]
    numbers = [ann | {"ssn": ssn} for ssn in (*wrong, "219-43-8765")]
    *invalid, valid = names_tokens(home, *numbers, key_name="ssn_given")
    assert invalid == [set()] * 4 and len(valid) == 1


# --- the file of an agency ---------------------------------------------------------------------------------------
def agency_file(folder, **options):
    return write_table(folder / "client.csv", CLIENT, CLIENTS, **options), folder / "sent.csv"


def map_and_key(folder, text=MAP, key=KEY):
    (folder / "map.yml").write_text(text)
    (folder / "agency.key").write_text(key)
    return folder / "map.yml", folder / "agency.key"


def test_a_token_file_keeps_the_rest_of_the_file_and_nothing_of_the_identifiers(tmp_path):
    settings = settings_of(tmp_path)
    file, out = agency_file(tmp_path)
    report = make_tokens(settings, file, *map_and_key(tmp_path), out, TODAY)
    sent = pl.read_csv(out, infer_schema=False)
    assert sent.columns[:3] == ["SCHOOL_YEAR", "GENDER", "HISPANIC"]
    assert set(sent.columns[3:]) == {name for name in ELEMENTS if name.startswith(TOKEN_PREFIX)}
    assert sent["GENDER"].to_list() == [row[7] for row in CLIENTS]
    text = out.read_text() + report.as_text()
    for row in CLIENTS:
        hidden = [str(value) for place, value in enumerate(row) if place not in (2, 7, 11) and len(str(value)) > 2]
        assert not [value for value in hidden if value.lower() in text.lower()]
    assert KEY not in text
    # Ingrid's number was never given out: no token of it; her own number has one.
    assert sent["token_ssn"].is_null().to_list() == [False, True, True, True]
    assert report.rows == 4 and report.filled["ssn"] == 1 and report.filled["local_id"] == 4
    # A number alone is hashed as its key says, and so that nobody without the key can count it out.
    expected = hmac.digest(bytes.fromhex(KEY), b"ssn\x1f219438765", "sha256").hex()
    assert sent["token_ssn"][0] == expected


def test_another_layout_encoding_and_delimiter_give_the_same_tokens_and_another_key_none_of_them(tmp_path):
    settings = settings_of(tmp_path)
    file, out = agency_file(tmp_path)
    make_tokens(settings, file, *map_and_key(tmp_path), out, TODAY)
    first = pl.read_csv(out, infer_schema=False)
    swapped = pl.read_csv(file, infer_schema=False).rename({"FIRST_NM": "Prénom", "BIRTH_DT": "Born"})
    iso = pl.col("Born").str.to_date("%m%d%Y").cast(pl.String)
    other = tmp_path / "other.csv"
    other.write_bytes(swapped.with_columns(iso).write_csv(separator=";").encode("windows-1252"))
    text = MAP.replace("FIRST_NM", "Prénom").replace("BIRTH_DT", "Born").replace("birth_date_format: '%m%d%Y'", "")
    text += "encoding: windows-1252\ndelimiter: ';'\n"
    columns = [name for name in first.columns if name.startswith(TOKEN_PREFIX)]
    make_tokens(settings, other, *map_and_key(tmp_path, text), out, TODAY)
    second = pl.read_csv(out, separator=";", infer_schema=False)
    assert second.select(columns).equals(first.select(columns))
    make_tokens(settings, other, *map_and_key(tmp_path, text, "5a" * 32), out, TODAY)
    third = pl.read_csv(out, separator=";", infer_schema=False)
    for name in columns:
        assert not set(first[name].drop_nulls()) & set(third[name].drop_nulls())


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("remove: [PHONE]", "remove: [FAX]", "has no column FAX"),
        ("local_id: [CHILD_RECORD_NO, CLIENT_NO]", "local_id: CHILD_RECORD_NO", "would still have CLIENT_NO"),
        ("%m%d%Y", "%Y/%m/%d", "No birth date of client.csv is written as"),
        ("surname:", "sirname:", "roles that are not known: sirname"),
    ],
)
def test_a_map_that_would_send_an_identifier_or_fits_nothing_is_refused_before_anything_is_written(
    tmp_path, old, new, words
):
    settings = settings_of(tmp_path)
    file, out = agency_file(tmp_path)
    with pytest.raises(P20wError, match=words) as refused:
        make_tokens(settings, file, *map_and_key(tmp_path, MAP.replace(old, new)), out, TODAY)
    assert not out.exists()
    assert not [canary for canary in CANARIES if canary.lower() in str(refused.value).lower()]


# --- taking tokens in --------------------------------------------------------------------------------------------
def test_every_collection_about_persons_can_come_as_tokens():
    for collection in collections().values():
        sent = collection.as_tokens()
        assert not [name for name in sent.columns if name in collection.withheld_columns()]
        assert sent.accepted_columns()[0] == next(
            (name, kind) for name, kind in collection.accepted_columns() if name in sent.columns
        )
        assert len(sent.key) == len(collection.key) and set(sent.key) <= set(sent.columns)


@pytest.mark.parametrize(
    ("package", "identifiers", "words"),
    [("child_welfare", "token", "Leave it blank, or write tokens"), ("wages", "tokens", "csv or parquet")],
)
def test_a_package_that_declares_what_cannot_be_is_an_error_that_names_it(tmp_path, package, identifiers, words):
    settings = settings_of(tmp_path)
    declare(settings.seeds, package, identifiers)
    with pytest.raises(P20wError, match=words) as wrong:
        entries(settings.seeds)
    assert package in str(wrong.value)


def test_a_delivery_of_tokens_is_taken_in_whole_and_leaves_its_tokens_in_the_vault_only(tokened):
    settings, _ = tokened
    book = ledger.read(settings).filter(package="child_welfare").sort("file_name")
    assert book.select("file_name", "status", "delivered_count", "accepted_count").rows() == [
        ("client.csv", "accepted", 4, 4),
        ("removal.csv", "accepted", 1, 1),
    ]
    assert ledger.ledger_balances(settings) == []
    assert len(records(settings)) == 8
    with open_vault(settings) as con:
        plain = con.execute(
            "SELECT count(*) FROM identity_record WHERE local_id_issuer LIKE 'tokens:%'"
            " AND coalesce(surname, ssn, student_id_state) IS NOT NULL"
        ).fetchone()
        sent = con.execute("SELECT DISTINCT hex(token) FROM token WHERE is_delivered").fetchall()
    assert plain == (0,) and len(sent) > 20
    needles = [token.lower() for (token,) in sent] + [token for (token,) in sent]
    assert not found_outside(settings, needles)


def found_outside(settings, needles) -> list[str]:
    """Names of the files of the home, landing apart, in which a needle stands; the vault's own file is encrypted."""
    searched, wrong = 0, []
    for path in settings.home.rglob("*"):
        if path.is_file() and path.suffix != ".duckdb_extension" and settings.landing not in path.parents:
            data = path.read_bytes()
            searched += 1
            wrong += [path.name for needle in needles if needle.encode() in data]
    assert searched > 20
    return wrong


def test_neither_identifiers_nor_the_key_leave_landing_and_the_vault(tokened):
    settings, said = tokened
    needles = [*CANARIES, "Qxzgiven", "Qxzsurname", KEY, bytes.fromhex(KEY).decode("latin-1")]
    assert not [needle for needle in needles if needle in said]
    assert not found_outside(settings, needles)
    sent = (settings.landing / "dhs").rglob("*.csv")
    for path in sent:
        assert not [needle for needle in needles if needle.lower() in path.read_text().lower()]


def test_records_of_tokens_meet_plain_ones_by_exact_keys_and_by_nothing_less(tokened):
    settings, _ = tokened
    named = records(settings)
    with open_vault(settings) as con:
        pairs = con.execute("SELECT * FROM linkage.int_linkage__pair WHERE rule LIKE 'token%'").pl()
    found = {
        (frozenset((named[row["record_key_a"]], named[row["record_key_b"]])), row["rule"], named.get(row["follower"]))
        for row in pairs.iter_rows(named=True)
    }
    assert found == {
        (frozenset(("student Jose", "client Jose")), "token_name_birth_zip", None),
        (frozenset(("student Robert", "client Bob")), "token_student_id_given", None),
        (frozenset(("client Jose", "removal Jose")), "token_local_id_only", "removal Jose"),
    }


def test_whom_tokens_tie_is_one_person_and_nobody_else_is(tokened):
    settings, _ = tokened
    named = records(settings)
    links = pl.read_parquet(settings.exchange / "brg_record_person.parquet").filter(
        pl.col("record_key").is_in(list(named))
    )
    people = links.group_by("person_key").agg(pl.col("record_key")).get_column("record_key").to_list()
    assert {frozenset(named[key] for key in keys) for keys in people} == {
        frozenset(("student Jose", "client Jose", "removal Jose")),
        frozenset(("student Robert", "client Bob")),
        frozenset(("student Maria",)),
        frozenset(("client Maria",)),
        frozenset(("client Ingrid",)),
    }


def test_the_same_tokens_again_are_the_same_record(tokened):
    settings, _ = tokened
    before = records(settings)
    again = replace(settings, token_key_file=None)
    for path in (settings.accepted / "child_welfare__client").glob("[!_]*.parquet"):
        path.unlink()
    run_intake(again, "20261122T000000-bbbb", today=TODAY)
    assert records(settings) == before


def test_a_cell_that_is_no_token_is_sent_back_by_row_and_a_file_with_names_is_refused_whole(tmp_path):
    settings = settings_of(tmp_path)
    file, out = agency_file(tmp_path)
    make_tokens(settings, file, *map_and_key(tmp_path), out, TODAY)
    spoiled = pl.read_csv(out, infer_schema=False)
    cells = spoiled["token_name_birth"].to_list()
    cells[1] = "Plovexandro"
    landing = settings.landing / "dhs" / "child_welfare"
    (landing / "2024").mkdir(parents=True)
    spoiled.with_columns(token_name_birth=pl.Series(cells)).write_csv(landing / "2024" / "client.csv")
    (landing / "2023").mkdir()
    shutil.copyfile(file, landing / "2023" / "client.csv")
    run_intake(settings, BUILD, today=TODAY)
    book = ledger.read(settings).sort("period")
    assert book["status"].to_list() == ["refused", "accepted"]
    assert "FIRST_NM" in book["refusal_reason"][0] and "p20w tokens make" in book["refusal_reason"][0]
    (errors,) = [path for path in settings.quarantine.rglob("*.csv") if "token_name_birth" in path.read_text()]
    (row,) = csv.DictReader(io.StringIO(errors.read_text()))
    assert row["source_row"] == "2" and row["columns"] == "token_name_birth" and "p20w tokens make" in row["message"]
    assert "Plovexandro" not in errors.read_text()


# --- the state's own records -------------------------------------------------------------------------------------
def test_normal_forms_equal_those_of_the_staging_model_on_names_that_are_hard(tokened):
    settings, _ = tokened
    with open_vault(settings) as con:
        staged = con.execute("SELECT * FROM staging.stg_identity__record ORDER BY record_key").pl()
        tokens.make_normal(con, con.execute("SELECT * FROM identity_record").pl(), tokens.normal_forms(settings))
        own = con.execute("SELECT * FROM token_normal ORDER BY record_key").pl()
    assert staged["surname"].n_unique() > len(NASTY) and own.equals(staged)


def test_the_state_computes_tokens_of_new_records_only_until_its_key_changes(tmp_path):
    settings = settings_of(tmp_path)
    rows = pl.DataFrame(
        [{"sector": "k12", "given_name": "Ann", "surname": name, "birth_date": "2003-05-06"} for name in ("Lee", "Poe")]
        + [{"sector": "k12", "local_id": "UNKNOWN", "local_id_issuer": "x"}]
    )
    deliver(settings, rows)
    with open_vault(settings) as con:
        assert tokens.keep_own_tokens(con, settings, TODAY) == 3
        assert tokens.keep_own_tokens(con, settings, TODAY) == 0
        first = con.execute("SELECT token FROM token WHERE token IS NOT NULL").fetchall()
    stamp = (settings.vault / "tokens.digest").read_text()
    (tmp_path / "token.key").write_text("6b" * 32)
    with open_vault(settings) as con:
        assert tokens.keep_own_tokens(con, settings, TODAY) == 3
        second = con.execute("SELECT token FROM token WHERE token IS NOT NULL").fetchall()
    assert len(first) == len(second) == 2 and not set(first) & set(second)
    assert (settings.vault / "tokens.digest").read_text() != stamp
