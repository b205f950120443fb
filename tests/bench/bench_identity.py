"""`make bench-identity`: what a night of identity costs at a million records and at ten, in full and with 1% changed.

What belongs here: a population of five sectors made for size, written straight into a vault; dbt's identity phase, the
connected components over it and the step in Python that scores, solves and gives ids; and build/bench/identity.json: a
list of {records, step, cpu_s, wall_s, peak_mib}. What does not: whether links are right (tests/unit/identity, the demo
state), and a bar: machines differ.

Every step runs in a process of its own, so that its CPU time and its peak of memory are its own. "full" and the nights
after it are dbt's whole phase: staging, tiers, tokens and checks; "people" and those after it are run_identity.
Start-up is a step of each too, because a night pays it once however many records there are; take it off. It is what a
night in part costs over an empty vault whose first night was before. "tiers and components" is what follows staging,
without dbt. DuckDB may keep MEMORY and spills the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from pipelines import dbt, planner
from pipelines.identity.partition import positions
from pipelines.identity.vault import open_vault
from pipelines.settings import ROOT, Settings, load

# Records of a sector per person; with two forms of name and address in a part of them about 2.1 records a person.
SHARE = {"early_childhood": 0.25, "k12": 0.7, "k12_again": 0.2, "postsecondary": 0.35, "child_welfare": 0.04,
         "workforce": 0.55}  # fmt: skip
CHANGED = 0.01
# One day for all nights: policy is dated, and a row that comes into force in between makes everything anew.
BUILDS = ("20261201T000000-aaaa", "20261201T010000-aaaa", "20261201T020000-aaaa")
CHUNK = 1_000_000
MEMORY = "2GB"


def _names(rng: np.random.Generator, count: int) -> np.ndarray:
    """Distinct made-up names, the shortest first."""
    syllables = np.array([a + b for a in "bcdfghjklmnprstvz" for b in "aeiou"])
    drawn = rng.choice(syllables, (count * 3, 4))
    keep = rng.integers(2, 5, count * 3)
    words = dict.fromkeys("".join(row[:length]).capitalize() for row, length in zip(drawn, keep, strict=True))
    return np.array(list(words)[:count], dtype=object)


def _often(rng: np.random.Generator, names: int, size: int, flat: int) -> np.ndarray:
    weight = 1 / (np.arange(names) + flat)
    return np.searchsorted(np.cumsum(weight / weight.sum()), rng.random(size)).clip(0, names - 1)


def _text(values) -> pl.Series:
    return pl.Series(list(values), dtype=pl.String)


def population(records: int, seed: int = 11):
    """Yield frames of vault.identity_record, together about `records` rows, some thousand persons at a time."""
    rng = np.random.default_rng(seed)
    given_pool, surname_pool = _names(rng, 3_000), _names(rng, 40_000)
    people_left = int(records / sum(SHARE.values()))
    born, first_person = np.datetime64("1995-01-01"), 0
    while people_left > 0:
        n = min(people_left, CHUNK // 2)
        people_left -= n
        person = np.arange(first_person, first_person + n)
        first_person += n
        given, middle = _often(rng, 3_000, n, 12), _often(rng, 3_000, n, 12)
        surname, second = _often(rng, 40_000, n, 60), _often(rng, 40_000, n, 60)
        double, marries = rng.random(n) < 0.06, rng.random(n) < 0.12
        days, zip_code, sex = rng.integers(0, 365 * 25, n), rng.integers(10_000, 10_800, n), rng.integers(0, 2, n)
        # Odd multipliers spread the numbers without a collision.
        ssn = 100_000_000 + (person * 7_368_787) % 450_000_000
        for sector, share in SHARE.items():
            who = np.flatnonzero(rng.random(n) < share)
            m = len(who)

            def some(rate, size=m):
                return rng.random(size) < rate

            slip = given_pool[np.where(some(0.01), rng.integers(0, 3_000, m), given[who])]
            last = surname_pool[np.where(marries[who] & (sector in ("postsecondary", "workforce")), second[who],
                                         surname[who])]  # fmt: skip
            last = np.where(double[who], last + "-" + surname_pool[second[who]], last)
            birth = born + days[who] + np.where(some(0.008), rng.integers(1, 5, m), 0)
            wage, school = sector == "workforce", sector.startswith("k12")
            moved = some(0.3 if sector != "k12" else 0)
            number = np.where(some(0.008), ssn[who] + 1, ssn[who]).astype("U9").astype(object)
            held = {"postsecondary": 0.85, "child_welfare": 0.6, "early_childhood": 0.1, "workforce": 1}.get(sector, 0)
            student = (3_000_000_000 + person[who] * 3).astype("U12").astype(object)
            none = np.full(m, None, dtype=object)
            yield pl.DataFrame(
                {
                    "sector": _text(np.full(m, sector.removesuffix("_again"), dtype=object)),
                    "local_id_issuer": _text(none if wage or school else np.full(m, "one", dtype=object)),
                    "local_id": _text(none if wage or school else [f"{sector[0]}{i}" for i in person[who]]),
                    "student_id_state": _text(student if school else np.where(
                        some(0.3 if sector == "postsecondary" else 0), student, None)),
                    "ssn": _text(np.where(some(held), number, None)),
                    "given_name": _text(slip),
                    "middle_name": _text(np.where(some(0 if wage else 0.7), given_pool[middle[who]], None)),
                    "surname": _text(last),
                    "name_suffix": _text(none),
                    "birth_date": pl.Series([None] * m, dtype=pl.Date) if wage
                    else pl.Series(birth.astype("datetime64[D]")),
                    "birth_month": _text(none),
                    "sex_code": _text(none if wage else np.where(sex[who] == 1, "F", "M").astype(object)),
                    "postal_code": _text(none if wage else np.where(
                        moved, rng.integers(10_000, 10_800, m), zip_code[who]).astype("U5").astype(object)),
                }
            )  # fmt: skip


def fill(settings: Settings, records: int) -> None:
    """Records with random keys into an empty vault; all but the last 1% are current. What comes tomorrow stands last,
    because intake appends."""
    rng = np.random.default_rng(7)
    tomorrow = []

    def append(frame: pl.DataFrame) -> None:
        con.register("made", frame.to_arrow())
        names = ", ".join(frame.columns)
        con.execute(f"INSERT INTO identity_record ({names}, first_build) SELECT {names}, '{BUILDS[0]}' FROM made")
        con.unregister("made")

    with open_vault(settings, memory_limit="3GB") as con:
        for frame in population(records):
            keyed = frame.with_columns(record_key=pl.Series(rng.integers(1, 2**62, frame.height)))
            comes = pl.col("record_key") % 200 < int(100 * CHANGED)
            tomorrow.append(keyed.filter(comes))
            append(keyed.filter(~comes))
        append(pl.concat(tomorrow))
        con.execute(f"INSERT INTO current_record SELECT record_key FROM identity_record "
                    f"WHERE record_key % 200 >= {int(100 * CHANGED)} ORDER BY record_key")  # fmt: skip


def change(settings: Settings) -> None:
    """Another 1%: half of it records that come, half records that go. Written as intake does: all anew, in order."""
    part = int(100 * CHANGED)
    with open_vault(settings) as con:
        con.execute(
            f"CREATE TEMP TABLE tonight AS SELECT record_key FROM current_record WHERE record_key % 200 < {200 - part}"
            f" UNION SELECT record_key FROM identity_record WHERE record_key % 200 < {part}"
        )
        con.execute("BEGIN")
        con.execute("DELETE FROM current_record")
        con.execute("INSERT INTO current_record FROM tonight ORDER BY record_key")
        con.execute("COMMIT")


# The models between the staged records and the connected pairs, as dbt builds them.
TIERS = ("int_linkage__key", "int_linkage__name", "int_linkage__unit", "int_linkage__edge", "int_linkage__plain_pair",
         "int_linkage__touched", "int_linkage__wage_refused")  # fmt: skip


def tiers_and_components(settings: Settings) -> None:
    """What dbt compiled for a whole night, without dbt, its checks and staging; then the components over all pairs."""
    nodes = json.loads((dbt.phase_folder(settings, "identity") / "manifest.json").read_text())["nodes"].values()
    compiled = {node["name"]: node["compiled_code"] for node in nodes if node["name"] in TIERS}
    with open_vault(settings, MEMORY) as con:
        for name in TIERS:
            con.execute(f"CREATE OR REPLACE TABLE vault.linkage.{name} AS {compiled[name]}")
    components(settings)


def components(settings: Settings) -> None:
    """Connected components over all pairs, as the canonical partition begins."""
    from pipelines.identity.linker import group

    with open_vault(settings, memory_limit="1GB") as con:
        keys = np.sort(con.execute("SELECT record_key FROM current_record").fetchnumpy()["record_key"])
        pairs = con.execute("SELECT record_key_a, record_key_b FROM vault.linkage.int_linkage__pair").fetchnumpy()
    a, b = (positions(keys, pairs[name]) for name in ("record_key_a", "record_key_b"))
    count = group.components(len(keys), a, b).max() + 1
    print(f"{len(keys)} records, {len(a)} pairs, {count} components", file=sys.stderr)


def night(settings: Settings, build_id: str, whole: bool = False) -> None:
    """dbt's phase; stops when a node failed, or when a night in part was made a whole one."""
    planner.begin(settings, build_id)
    done = dbt.run_phase(settings, "identity", full_refresh=whole)
    if done.failed_nodes:
        raise SystemExit(
            f"{done.failed_nodes} models or checks of dbt's identity phase failed; see {done.run_results}."
        )
    if not whole and json.loads(done.run_results.read_text())["args"].get("full_refresh"):
        raise SystemExit("Policy or models changed while the bench ran, so this night was a whole one; run it again.")


def people(settings: Settings, build_id: str) -> None:
    """Scores, people and ids. The modules that every night imports are part of its start-up."""
    import pandas  # noqa: F401
    import splink  # noqa: F401

    from pipelines.identity.run import run_identity

    planner.begin(settings, build_id)
    print(f"  {run_identity(settings, build_id)}", file=sys.stderr)


# Those that run over a vault without records.
START_UPS = ("empty", "empty people", "dbt start-up", "people start-up")
UNTOLD = ("fill", "change", "empty", "empty people")
STEPS = {
    "empty": lambda settings: night(settings, BUILDS[0], whole=True),
    "empty people": lambda settings: people(settings, BUILDS[0]),
    "dbt start-up": lambda settings: night(settings, BUILDS[1]),
    "people start-up": lambda settings: people(settings, BUILDS[1]),
    "full": lambda settings: night(settings, BUILDS[0], whole=True),
    "tiers and components": tiers_and_components,
    "people": lambda settings: people(settings, BUILDS[0]),
    "change": change,
    "1% changed": lambda settings: night(settings, BUILDS[1]),
    "people, 1% changed": lambda settings: people(settings, BUILDS[1]),
    "nothing changed": lambda settings: night(settings, BUILDS[2]),
    "people, nothing changed": lambda settings: people(settings, BUILDS[2]),
}  # fmt: skip


def measured(home: str, records: int, step: str) -> dict:
    """One step in a process of its own; children (dbt) count."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, __file__, "--home", home, "--step", step, "--records", str(records)])
    _, status, used = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"The step '{step}' at {records} records failed; its words are above.")
    report = Path(home) / "peak.json"
    peak = json.loads(report.read_text())["peak_kib"]
    return {
        "records": records,
        "step": step,
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "wall_s": round(time.monotonic() - began, 1),
        "peak_mib": round(peak / 1024),
    }


def models(settings: Settings) -> str:
    times = {unique_id: entry.get("execution_time", 0) for unique_id, entry in dbt.last_outcome(settings,
             "identity").items()}  # fmt: skip
    return ", ".join(f"{name.split('.', 2)[-1]} {spent:.1f}" for name, spent in
                     sorted(times.items(), key=lambda item: -item[1])[:14])  # fmt: skip


def main() -> None:
    """Measure at the sizes asked for; `--home` keeps the vault of the last one for a look."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--records", type=int, action="append")
    parser.add_argument("--step")
    parser.add_argument("--home")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / "bench" / "identity.json")
    asked = parser.parse_args()
    if asked.step:
        settings = load({"P20W_HOME": asked.home, "P20W_VAULT_KEY_FILE": f"{asked.home}.key"})
        os.environ["P20W_VAULT_MEMORY"] = MEMORY
        fill(settings, asked.records[0]) if asked.step == "fill" else STEPS[asked.step](settings)
        peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
        (Path(asked.home) / "peak.json").write_text(json.dumps({"peak_kib": peak}))
        return
    found = []
    asked.out.parent.mkdir(parents=True, exist_ok=True)
    dbt.ensure_manifest(load({}))  # the parse of a changed project is no part of any night
    for records in asked.records or [1_000_000, 10_000_000]:
        with tempfile.TemporaryDirectory() as folder:
            home = asked.home or f"{folder}/state"
            Path(home).mkdir(parents=True, exist_ok=True)
            settings = load({"P20W_HOME": home, "P20W_VAULT_KEY_FILE": f"{home}.key"})
            for step in ["fill", *STEPS]:
                if step in START_UPS:
                    empty = f"{folder}/empty"
                    Path(empty).mkdir(exist_ok=True)
                    entry = measured(empty, 0, step) | {"records": records}
                else:
                    entry = measured(home, records, step)
                print(json.dumps(entry), flush=True)
                if step in ("full", "1% changed"):
                    print(f"  wall seconds of the slowest: {models(settings)}", flush=True)
                if step not in UNTOLD:
                    found.append(entry)
                    asked.out.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
