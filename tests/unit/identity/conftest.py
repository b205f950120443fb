"""A private home with a vault per test, and a small population that went through dbt once per session."""

import shutil
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


def run_dbt(settings):
    """dbt's identity phase over the home's vault, as a night calls it, but with a target folder outside the vault:
    what dbt writes of its own accord can be searched there. Returns what it printed."""
    target = settings.work / "target"
    target.mkdir(parents=True, exist_ok=True)
    basis = dbt.identity_basis(settings)
    whole = ["--full-refresh"] if current.begin_phase(settings, basis) else []
    parsed = dbt.ensure_manifest(settings).with_name("partial_parse.msgpack")
    if parsed.exists():
        shutil.copyfile(parsed, target / parsed.name)
    done = subprocess.run(
        dbt.command(
            settings,
            ["build", "--select", "+tag:vault", "--exclude-resource-type", "unit_test", *whole],
            "vault",
            target,
        ),
        env=dbt.environment(settings, secret=True),
        cwd=settings.dbt_dir,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-3000:]
    current.end_phase(settings, basis)
    return done.stdout + done.stderr


def deliver(settings, rows, build_id="20261121T000000-aaaa"):
    """Mint record keys for identifier rows of several sectors, all current; returns the rows with record_key."""
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
