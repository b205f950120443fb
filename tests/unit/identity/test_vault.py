"""The vault keeps what it holds: nothing readable on disk, nothing in the clear when it spills, one way in."""

import subprocess
import sys

import polars as pl
import pytest

from pipelines.identity.vault import VaultError, open_vault, secret, temp_directory

PLANTED = "Xqvzplantedname"


def test_a_planted_identifier_is_not_found_in_the_bytes_of_the_vault(home):
    with open_vault(home) as con:
        con.execute(f"INSERT INTO identity_record (record_key, surname) SELECT range, '{PLANTED}' FROM range(5000)")
        con.execute("CHECKPOINT vault")
    for path in home.vault.rglob("*"):
        if path.is_file():
            assert PLANTED.encode() not in path.read_bytes()
    with open_vault(home) as con:
        assert con.execute("SELECT count(*) FROM identity_record WHERE surname = ?", [PLANTED]).fetchone() == (5000,)


def test_a_connection_short_of_memory_spills_encrypted_inside_the_vaults_folder(home):
    # Another process, because this one must look at the spill files while the query runs.
    program = f"""
import sys, threading, pathlib
from pipelines.settings import load
from pipelines.identity.vault import open_vault, temp_directory
settings = load({{"P20W_HOME": {str(home.home)!r}}})
seen, hits, done = [], [], threading.Event()
def watch():
    while not done.is_set():
        for path in temp_directory(settings).glob("*"):
            try:
                data = path.read_bytes()
            except OSError:
                continue
            seen.append(path.name)
            if {PLANTED!r}.encode() in data:
                hits.append(path.name)
with open_vault(settings, memory_limit="150MB") as con:
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        con.execute("SELECT count(*) FROM (SELECT * FROM (SELECT '{PLANTED}' || hash(range) AS name, range"
                    " FROM range(2500000)) ORDER BY name OFFSET 10)").fetchall()
        con.execute("CREATE TEMP TABLE t AS SELECT '{PLANTED}' || hash(range) AS name FROM range(2500000)")
    finally:
        done.set()
        thread.join()
print(len(seen), len(hits))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    seen, hits = map(int, done.stdout.splitlines()[-1].split())
    assert seen > 0, "the query did not spill: the test proves nothing"
    assert hits == 0


def test_the_spill_folder_is_emptied_when_the_vault_is_opened(home):
    with open_vault(home):
        pass
    left = temp_directory(home) / "duckdb_temp_left_behind"
    left.write_bytes(b"x")
    with open_vault(home):
        assert not left.exists()


def test_a_wrong_key_is_a_sentence_without_the_key(home):
    with open_vault(home):
        pass
    home.vault_key_file.write_text("ff" * 32)
    with pytest.raises(VaultError) as caught, open_vault(home):
        pass
    assert "P20W_VAULT_KEY_FILE" in str(caught.value)
    assert "ff" * 8 not in str(caught.value)
    assert caught.value.__context__ is None


def test_a_second_opening_says_that_the_vault_is_in_use(home):
    with open_vault(home), pytest.raises(VaultError, match="open elsewhere"), open_vault(home):
        pass


def test_the_vault_and_its_folder_are_for_the_owner_only(home):
    with open_vault(home):
        pass
    assert home.vault.stat().st_mode & 0o777 == 0o700
    assert home.vault_file.stat().st_mode & 0o777 == 0o600


def test_a_secret_is_made_once_and_stays(home):
    with open_vault(home) as con:
        first = secret(con, "release_ledger")
        assert secret(con, "other") != first
    with open_vault(home) as con:
        assert secret(con, "release_ledger") == first
        assert len(first) == 64


def test_every_table_takes_a_row_of_its_declared_columns(home):
    with open_vault(home) as con:
        tables = con.execute("SELECT table_name FROM duckdb_tables() WHERE database_name = 'vault'").pl()
    assert set(tables["table_name"]) >= {"identity_record", "person", "person_link", "verdict", "bad_row"}
    assert isinstance(tables, pl.DataFrame)


def test_a_vault_of_an_earlier_version_gets_the_columns_that_it_lacks(home):
    with open_vault(home) as con:
        con.execute("CREATE OR REPLACE TABLE scored (record_key BIGINT, knot BIGINT, said UTINYINT)")
        con.execute("INSERT INTO scored VALUES (7, 7, 3)")
    with open_vault(home) as con:
        assert con.execute("SELECT record_key, name_recurs FROM scored").fetchall() == [(7, None)]
