"""A private home with a vault per test, and a small population that went through dbt once per session."""

import subprocess

import polars as pl
import pytest

from pipelines import dbt
from pipelines.identity import current
from pipelines.identity.keys import record_keys
from pipelines.identity.run import run_identity
from pipelines.identity.vault import open_vault
from pipelines.settings import load

from .five_sectors import state

# Planted into the population; found nowhere but inside the encrypted vault.
CANARY = {"given_name": "Qzxwvgiven", "surname": "Qzxwvsurname", "ssn": "219438765", "student_id_state": "90817263540"}


@pytest.fixture
def home(tmp_path):
    return load({"P20W_HOME": str(tmp_path / "state"), "P20W_TRUTH": str(tmp_path / "truth")})


# Vaults of these tests have one key, so that dbt parses the project for them once: the session's parse is kept here.
VAULT_KEY = "5e" * 32
PARSED: list[bytes] = []


def with_test_key(settings):
    """Give a home that has no key yet the one of all these tests."""
    if not settings.vault_key_file.exists():
        settings.vault_key_file.parent.mkdir(parents=True, exist_ok=True)
        settings.vault_key_file.write_text(VAULT_KEY)
        settings.vault_key_file.chmod(0o600)


def call_dbt(settings, *more):
    """dbt's identity phase over the home's vault, with a target folder outside it: what dbt writes of its own accord
    can be searched there. Returns what it printed."""
    target = settings.work / "target"
    target.mkdir(parents=True, exist_ok=True)
    kept = target / dbt.PARSED
    if PARSED and not kept.exists():
        kept.write_bytes(PARSED[0])
    done = subprocess.run(
        dbt.command(
            settings,
            ["build", "--select", "+tag:vault", "--exclude-resource-type", "unit_test", *more],
            "vault",
            target,
        ),
        env=dbt.environment(settings, secret=True),
        cwd=settings.home,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    PARSED[:] = [kept.read_bytes()]
    return done.stdout + done.stderr


def run_dbt(settings):
    """dbt's identity phase as a night calls it. Returns what it printed."""
    basis = dbt.identity_basis(settings)
    printed = call_dbt(settings, *(["--full-refresh"] if current.begin_phase(settings, basis) else []))
    current.end_phase(settings, basis)
    return printed


def deliver(settings, rows, build_id="20261121T000000-aaaa"):
    """Mint record keys for identifier rows of several sectors, all current; returns the rows with record_key."""
    with_test_key(settings)
    with open_vault(settings) as con:
        parts = [
            group.with_columns(record_key=record_keys(con, group, sector, build_id))
            for (sector,), group in rows.group_by(["sector"], maintain_order=True)
        ]
        rows = pl.concat(parts)
        con.register("delivered", rows.select("record_key").unique().to_arrow())
        con.execute("INSERT INTO current_record SELECT * FROM delivered EXCEPT SELECT * FROM current_record")
    return rows


@pytest.fixture(scope="session")
def linked(tmp_path_factory):
    """2,500 people of five sectors and one planted person, linked: settings, rows with record_key, dbt's output."""
    base = tmp_path_factory.mktemp("linked")
    settings = load({"P20W_HOME": str(base / "state"), "P20W_TRUTH": str(base / "truth")})
    planted = pl.DataFrame(
        [
            {"true_person": 10**9, "sector": "k12", "birth_date": "2003-05-06", **CANARY},
            {"true_person": 10**9, "sector": "postsecondary", "birth_date": "2003-05-06", **CANARY},
        ]
    )
    rows = deliver(settings, pl.concat([state(2500, seed=5), planted], how="diagonal"))
    output = run_dbt(settings)
    summary = run_identity(settings, "20261121T000000-aaaa")
    return settings, rows, output, summary
