"""The encrypted vault: the one file that holds identifiers, and the only way to open it.

Belongs here: opening the file safely, its tables, its named secrets, and the environment that the dbt child process
needs to open the same file. Does not belong here: minting keys (keys.py) and anything that decides who is who.

One process opens the vault once at a time: DuckDB refuses a second instance, even read-only, so close it before
dbt's `vault` target runs.
"""

from __future__ import annotations

import os
import secrets
import shutil
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import duckdb

from pipelines.settings import Settings

# Append-only unless said; no PRIMARY KEY anywhere, because DuckDB's index cannot spill to disk.
TABLES = {
    # One row per distinct tuple of sector and identifiers as delivered.
    "identity_record": "record_key BIGINT, sector TEXT, local_id_issuer TEXT, local_id TEXT, student_id_state TEXT,"
    " ssn TEXT, given_name TEXT, middle_name TEXT, surname TEXT, name_suffix TEXT, birth_date DATE, birth_month TEXT,"
    " sex_code TEXT, postal_code TEXT, first_build TEXT",
    "key_employer": "employer_key BIGINT, employer_account_number TEXT, ein TEXT, employer_name TEXT",
    "key_provider": "provider_key BIGINT, provider_id TEXT",
    "key_organization": "organization_key BIGINT, organization_level TEXT, organization_id_state TEXT",
    "bad_row": "build_id TEXT, delivery_id TEXT, collection TEXT, source_row BIGINT, rule_id TEXT, row_text TEXT",
    "exception_text": "build_id TEXT, step TEXT, exception_type TEXT, exception_text TEXT",
    "person": "person_key BIGINT, perturbation_key INTEGER, minted_build TEXT",
    # The newest row of a record_key, in the order of appending, is its link.
    "person_link": "record_key BIGINT, person_key BIGINT, rule TEXT, weight DOUBLE, valid_from_build TEXT,"
    " link_number BIGINT",
    "person_event": "build_id TEXT, event TEXT, person_key BIGINT, other_person_key BIGINT, actor TEXT, evidence TEXT",
    "person_redirect": "old_person_key BIGINT, person_key BIGINT, build_id TEXT",
    # What tonight's records are: those of active deliveries. Rewritten each night before dbt's identity phase.
    "current_record": "record_key BIGINT",
    # Which records came or went since dbt's identity phase staged them; empty where it derives every table anew.
    "record_change": "record_key BIGINT, is_gone BOOLEAN",
    # The policy and models under which dbt's identity tables were made; no row while or after they were left half made.
    "identity_basis": "fingerprint TEXT",
    # Match weights (bits) of pairs that the tiers leave; derived, replaced where records changed.
    "pair_score": "record_key_a BIGINT, record_key_b BIGINT, weight DOUBLE, said DOUBLE, model_version TEXT",
    # What pair_score follows from, derived and replaced with it: the knot of each compared record (a component of the
    # tiers' links, named by its smallest record_key), how much the record says, whether another has its name and birth
    # date, under which keys it stands for its knot (bits by number of the key) and, in further columns that come with
    # the policy, hashes of its birth date (born) and of the values that it may share with others (key_0, key_1, ...: by
    # number of the key); the fingerprint of model, keys and comparisons.
    "scored": "record_key BIGINT, knot BIGINT, said UTINYINT, name_recurs BOOLEAN, stands BIGINT",
    "score_basis": "fingerprint TEXT",
    # How frequent a name or postal code was when a model version came into force; kept as long as the version.
    "term_frequency": "model_version TEXT, column_name TEXT, value TEXT, frequency DOUBLE",
    # The canonical partition as last computed; derived. block: records that any evidence ties; close and loose: the
    # groups at the merging and at the keeping weight, each named by its smallest record_key.
    "canonical": "record_key BIGINT, block BIGINT, loose BIGINT, close BIGINT, rule TEXT, weight DOUBLE, reason TEXT",
    # Pairs that would have joined two persons and did not, with the reason; derived.
    "conflict": "record_key_a BIGINT, record_key_b BIGINT, rule TEXT, reason TEXT, weight DOUBLE, block BIGINT",
    # Records that would have followed the person of another record and follow nobody, with the reason; derived.
    "undetermined": "record_key BIGINT, anchor_record_key BIGINT, reason TEXT",
    # Of every current record the link that holds, and what it is searched for; the staged records of persons with two
    # different numbers or birth dates; student ids of two persons; derived, replaced where people changed (present.py).
    "present_link": "record_key BIGINT, person_key BIGINT, rule TEXT, valid_from_build TEXT, sector TEXT,"
    " is_bare BOOLEAN, has_ssn BOOLEAN, student_id_hash UBIGINT",
    "unlike_record": "person_key BIGINT, record_key BIGINT, sector TEXT, given_name TEXT, surname TEXT,"
    " birth_date DATE, ssn TEXT, student_id_state TEXT",
    "shared_student_id": "student_id_hash UBIGINT",
    # Digests of the files in exchange/ that hold just what present_link and person hold; no row while one may not.
    "exported": "name TEXT, digest TEXT",
    # What the derived tables were computed from, see run.py, and how many persons hold a record: one row.
    "solved": "basis TEXT, persons BIGINT",
    "verdict": 'record_key_a BIGINT, record_key_b BIGINT, verdict TEXT, who TEXT, why TEXT, "at" TIMESTAMP',
    # The steward's queue as a log: the newest row of an item, in the order of `entry`, is its state.
    "queue_item": "item_id BIGINT, kind TEXT, record_key_a BIGINT, record_key_b BIGINT, score DOUBLE, reason TEXT,"
    ' state TEXT, because TEXT, build_id TEXT, opened_build TEXT, deferred_until DATE, "at" TIMESTAMP, stratum TEXT,'
    " is_linked BOOLEAN, inclusion_probability DOUBLE, entry BIGINT",
    # Who looked at which records; written before they are shown.
    "look": 'who TEXT, os_user TEXT, "at" TIMESTAMP, item_id BIGINT, record_key_a BIGINT, record_key_b BIGINT,'
    " how TEXT",
    # What stewards said of pairs of a clerical sample; binds only where the same words stand in verdict too.
    "judgement": "item_id BIGINT, record_key_a BIGINT, record_key_b BIGINT, stratum TEXT, is_linked BOOLEAN,"
    ' inclusion_probability DOUBLE, drawn_build TEXT, verdict TEXT, who TEXT, why TEXT, "at" TIMESTAMP',
    # Keyed tokens of records, as delivered in place of identifiers or computed of them (tokens.py). A record of which
    # no token can be made has one row without key_name and token.
    "token": "record_key BIGINT, key_name TEXT, token BLOB, is_delivered BOOLEAN",
    # With which key, rules and policy the tokens that are not delivered were computed: one row.
    "token_basis": "basis TEXT",
    "secret": "name TEXT, value TEXT",
}
# Columns that a vault made by an earlier version lacks; derived, filled by its next night.
ADDED = {"scored": "name_recurs BOOLEAN", "solved": "persons BIGINT"}


class VaultError(RuntimeError):
    """The vault cannot be opened; the message says what to do and holds neither key nor identifier."""


def extension_directory(settings: Settings) -> Path:
    """Folder from which DuckDB loads httpfs without a network; filled once from the installed Python package."""
    found = find_spec("duckdb_extension_httpfs")
    if found is None or not found.submodule_search_locations:
        raise VaultError("The Python package duckdb-extension-httpfs is not installed. Run `make setup`.")
    directory = settings.work / "duckdb_extensions"
    version = f"v{duckdb.__version__}"
    source = Path(next(iter(found.submodule_search_locations))) / "extensions" / version / "httpfs.duckdb_extension"
    if not source.exists():
        raise VaultError(f"duckdb-extension-httpfs has no file for DuckDB {version}. Install the pinned versions.")
    with duckdb.connect(":memory:") as probe:
        platform = probe.execute("PRAGMA platform").fetchone()[0]
    target = directory / version / platform / source.name
    if not target.exists() or target.stat().st_size != source.stat().st_size:
        target.parent.mkdir(parents=True, exist_ok=True)
        # Renamed into place, so that a night killed while copying leaves no half extension behind.
        partial = target.with_name(f".{source.name}.{os.getpid()}")
        shutil.copyfile(source, partial)
        os.replace(partial, target)
    return directory


def temp_directory(settings: Settings) -> Path:
    """Where the vault's connections spill, encrypted, inside the vault's own folder."""
    return settings.vault / "temp"


def prepare_vault(settings: Settings) -> None:
    """Make the vault's folder (0700) and its empty spill folder. Call only while holding the writer's lock."""
    settings.vault.mkdir(parents=True, exist_ok=True)
    os.chmod(settings.vault, 0o700)
    shutil.rmtree(temp_directory(settings), ignore_errors=True)
    temp_directory(settings).mkdir(mode=0o700)


def dbt_environment(settings: Settings) -> dict[str, str]:
    """Variables for the one child process that runs dbt's `vault` target, in the home; the key is among them, so pass
    no others."""
    prepare_vault(settings)
    return {
        "P20W_VAULT_FILE": os.path.relpath(settings.vault_file, settings.home),
        "P20W_VAULT_TEMP_DIRECTORY": os.path.relpath(temp_directory(settings), settings.home),
        "P20W_EXTENSION_DIRECTORY": os.path.relpath(extension_directory(settings), settings.home),
        "DBT_ENV_SECRET_VAULT_KEY": settings.vault_key(),
    }


@contextmanager
def open_vault(
    settings: Settings, memory_limit: str = "4GB", is_brief: bool = False
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection with the encrypted vault attached as `vault`, in use, and its tables present.

    `memory_limit` is DuckDB's; what does not fit spills encrypted. is_brief: little is written, and who opens the vault
    next takes it over from the log beside the file, encrypted too; to write the tables' directory of a large state
    again costs up to a second. Raises VaultError when the file cannot be opened.
    """
    key = settings.vault_key()
    prepare_vault(settings)
    connection = duckdb.connect(
        ":memory:",
        config={
            "extension_directory": str(extension_directory(settings)),
            "autoinstall_known_extensions": "false",
            "temp_file_encryption": "true",
            "temp_directory": str(temp_directory(settings)),
            "memory_limit": memory_limit,
            "threads": "2",
        },
    )
    try:
        connection.execute("LOAD httpfs")
        connection.execute("SET enable_progress_bar = false")
        if is_brief:
            connection.execute("PRAGMA disable_checkpoint_on_shutdown")
        failure = _attach(connection, settings.vault_file, key)
        if failure:
            raise VaultError(failure)
        connection.execute("USE vault")
        for table, columns in TABLES.items():
            connection.execute(f"CREATE TABLE IF NOT EXISTS {table} ({columns})")
        for table, column in ADDED.items():
            connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column}")
        os.chmod(settings.vault_file, 0o600)
        yield connection
    finally:
        connection.close()


def _attach(connection: duckdb.DuckDBPyConnection, file: Path, key: str) -> str:
    """Attach the encrypted file; returns a sentence instead of DuckDB's error, whose text may hold the statement."""
    quoted_file, quoted_key = str(file).replace("'", "''"), key.replace("'", "''")
    try:
        connection.execute(f"ATTACH '{quoted_file}' AS vault (ENCRYPTION_KEY '{quoted_key}')")
    except duckdb.Error as error:
        message = str(error).lower()
        if "lock" in message or "already attached" in message or "unique file handle" in message:
            return f"The vault {file} is open elsewhere. Close the other connection or wait for the other run to end."
        return f"The vault {file} does not open with the key given. Check P20W_VAULT_KEY_FILE."
    return ""


def sought(table: str, columns: str = "record_key") -> str:
    """SQL, in brackets: `columns` of a relation of few rows, the first of them whole numbers, to be sought among many.

    A scan leaves out what a join will not keep, and reads no other column of it, only where the side that is sought is
    filtered: DuckDB does not ask how few rows it has. So it is filtered, by what every number meets but null. Half of
    what it costs to find one in fifty.
    """
    return f"(SELECT {columns} FROM {table} WHERE ({columns.split(',')[0]} & 1) <> 2)"


def secret(connection: duckdb.DuckDBPyConnection, name: str) -> str:
    """The named secret (64 hexadecimal digits), made at random on first use and kept in the vault."""
    found = connection.execute("SELECT value FROM vault.secret WHERE name = ?", [name]).fetchone()
    if found is None:
        connection.execute("INSERT INTO vault.secret VALUES (?, ?)", [name, secrets.token_hex(32)])
        found = connection.execute("SELECT value FROM vault.secret WHERE name = ?", [name]).fetchone()
    return found[0]


def keep_exception(settings: Settings, build_id: str, step: str, error: BaseException) -> None:
    """Keep a foreign exception's own words, traceback included, where values of rows may be: in the vault."""
    text = "".join(traceback.format_exception(error))
    with open_vault(settings) as connection:
        connection.execute(
            "INSERT INTO exception_text VALUES (?, ?, ?, ?)", [build_id, step, type(error).__name__, text]
        )
