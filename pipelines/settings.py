"""The only reader of the environment.

What belongs here: where things are (homes, keys, seeds) and the switches a state sets from outside.
What does not: policy (that is data in `seeds/`) and anything computed from deliveries.
"""

from __future__ import annotations

import os
import secrets
import sys
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path

from pipelines.errors import P20wError

ROOT = Path(__file__).resolve().parents[1]

# With less time than this an attack on a release would be one in name only, and its line at the gate would say nothing.
LEAST_ATTACK_SECONDS = 5.0

# Usage reports of every dependency are off, whoever starts us: data about a state's nights leave to nobody.
TELEMETRY_OFF = {
    "DAGSTER_DISABLE_TELEMETRY": "yes",
    "DBT_SEND_ANONYMOUS_USAGE_STATS": "False",
    "DO_NOT_TRACK": "1",
    "GX_ANALYTICS_ENABLED": "False",
    "DISABLE_PANDERA_IMPORT_WARNING": "True",
    "POLARS_MAX_THREADS": os.environ.get("POLARS_MAX_THREADS", "2"),
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "PANDERA_VALIDATION_DEPTH": "SCHEMA_AND_DATA",
}


@dataclass(frozen=True)
class Settings:
    """Paths of one installation. Every path below `home` is made on demand by the room that writes there."""

    home: Path
    seeds: Path
    truth: Path
    real_data: Path
    vault_key_file: Path
    root: Path = field(default=ROOT)
    # The key of tokens (pipelines/identity/tokens.py), outside the home; None where no agency sends tokens.
    token_key_file: Path | None = None
    # How long the stranger's attack on a release may look for what only programs over many sums can tell.
    attack_seconds: float = 120.0

    # --- below the home -------------------------------------------------------------------------------
    @property
    def landing(self) -> Path:
        return self.home / "landing"

    @property
    def vault(self) -> Path:
        return self.home / "vault"

    @property
    def vault_file(self) -> Path:
        return self.vault / "vault.duckdb"

    @property
    def quarantine(self) -> Path:
        return self.home / "quarantine"

    @property
    def accepted(self) -> Path:
        return self.home / "accepted"

    @property
    def exchange(self) -> Path:
        return self.home / "exchange"

    @property
    def warehouse_file(self) -> Path:
        return self.home / "warehouse.duckdb"

    @property
    def evidence(self) -> Path:
        return self.home / "evidence"

    @property
    def release_ledger(self) -> Path:
        return self.home / "release_ledger"

    @property
    def dagster_home(self) -> Path:
        return self.home / "dagster"

    @property
    def logs(self) -> Path:
        return self.home / "logs"

    @property
    def releases(self) -> Path:
        return self.home / "releases"

    @property
    def candidate(self) -> Path:
        return self.home / "candidate"

    @property
    def work(self) -> Path:
        """Scratch that may be deleted at any time: dbt's target folders, extensions."""
        return self.home / "work"

    @property
    def restricted(self) -> tuple[Path, ...]:
        """Folders of the home that are for the data team alone; only `releases/` is for everyone."""
        return (
            self.landing, self.vault, self.quarantine, self.accepted, self.exchange, self.evidence,
            self.release_ledger, self.dagster_home, self.logs, self.candidate, self.work,
        )  # fmt: skip

    @property
    def writer_lock(self) -> Path:
        return self.home / ".writer.lock"

    @property
    def dbt_dir(self) -> Path:
        return self.root / "dbt_project"

    # --- the vault's key ------------------------------------------------------------------------------
    def vault_key(self) -> str:
        """The vault's key, read from a file outside the home.

        A demo without one makes it (mode 0600) and says so: in production the key comes from the state's
        own key store, and a home without its key must fail rather than start an empty vault beside it.
        """
        if self.vault_key_file.exists():
            return self.vault_key_file.read_text().strip()
        if self.vault_file.exists():
            raise FileNotFoundError(
                f"The vault {self.vault_file} exists but its key file {self.vault_key_file} does not. "
                "Put the key back, or set P20W_VAULT_KEY_FILE to where it is."
            )
        self.vault_key_file.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.vault_key_file, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w") as handle:
            handle.write(secrets.token_hex(32))
        print(
            f"Warning: made a new vault key in {self.vault_key_file}. Keep it: without it the vault is lost. "
            "In production set P20W_VAULT_KEY_FILE to a file from your key store.",
            file=sys.stderr,
        )
        return self.vault_key_file.read_text().strip()


def load(environ: dict[str, str] | None = None) -> Settings:
    """Settings from environment variables P20W_HOME, P20W_SEEDS, P20W_TRUTH, P20W_REAL_DATA, P20W_VAULT_KEY_FILE,
    P20W_TOKEN_KEY_FILE and P20W_ATTACK_SECONDS. Errors: P20wError where the last is no number, or too small."""
    environ = dict(os.environ if environ is None else environ)

    def path(name: str, default: Path) -> Path:
        value = Path(environ.get(name) or default)
        return value if value.is_absolute() else (Path.cwd() / value).resolve()

    home = path("P20W_HOME", ROOT / "state")
    return Settings(
        home=home,
        seeds=path("P20W_SEEDS", ROOT / "seeds"),
        truth=path("P20W_TRUTH", ROOT / "demo_truth"),
        real_data=path("P20W_REAL_DATA", ROOT.parent / "shared" / "data"),
        vault_key_file=path("P20W_VAULT_KEY_FILE", home.with_name(home.name + ".vault.key")),
        token_key_file=path("P20W_TOKEN_KEY_FILE", home) if environ.get("P20W_TOKEN_KEY_FILE") else None,
        attack_seconds=_attack_seconds(environ.get("P20W_ATTACK_SECONDS") or str(Settings.attack_seconds)),
    )


def _attack_seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not LEAST_ATTACK_SECONDS <= seconds < float("inf"):
        raise P20wError(
            f"P20W_ATTACK_SECONDS is {text!r}: give a number of seconds, {LEAST_ATTACK_SECONDS:g} or more. With less "
            "the attack on a release could not show that it tells nothing of anyone; unset it for "
            f"{Settings.attack_seconds:g}."
        )
    return seconds


@cache
def settings() -> Settings:
    """The settings of this process, read once."""
    os.environ.update(TELEMETRY_OFF)
    return load()


def child_environment(configuration: Settings, **extra: str) -> dict[str, str]:
    """Environment for a child process: telemetry off, our paths, and only the extras named."""
    environment = {**os.environ, **TELEMETRY_OFF}
    environment.update(
        P20W_HOME=str(configuration.home),
        P20W_SEEDS=str(configuration.seeds),
        P20W_TRUTH=str(configuration.truth),
        P20W_REAL_DATA=str(configuration.real_data),
        P20W_VAULT_KEY_FILE=str(configuration.vault_key_file),
        P20W_ATTACK_SECONDS=str(configuration.attack_seconds),
        DAGSTER_HOME=str(configuration.dagster_home),
    )
    if configuration.token_key_file is not None:
        environment["P20W_TOKEN_KEY_FILE"] = str(configuration.token_key_file)
    environment.update(extra)
    return environment
