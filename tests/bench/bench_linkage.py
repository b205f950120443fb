"""`make bench-linkage`: p20w's engine beside Splink's own documented settings on published sets, with time and memory.

What belongs here: runs in processes of their own, and build/bench/linkage.json: a list of {dataset, engine, records,
precision, recall, f1, bcubed_f, wall_s, cpu_s, peak_mib}. What does not: a bar; figures of one run on one machine are
compared with each other, never with a fixed time.

Splink's settings follow its documentation: for FEBRL 3 the worked example of deduplication, for the 1,000-row set the
quick start; clusters at a match probability of .5 and .95.
"""

from __future__ import annotations

import argparse
import csv
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from five_sectors_at_scale import COLUMNS

from pipelines.settings import ROOT, settings

FEBRL = {
    "record_id": "rec_id",
    "given_name": "given_name",
    "surname": "surname",
    "street_number": "street_number",
    "address": ["address_1", "address_2"],
    "city": "suburb",
    "postal_code": "postcode",
    "state": "state",
    "birth_date": "date_of_birth",
    "number": "soc_sec_id",
}
FAKE = {
    "record_id": "unique_id",
    "given_name": "first_name",
    "surname": "surname",
    "birth_date": "dob",
    "city": "city",
    "number": "email",
}
MILLION = "five_sectors_1m"
SETS = {"febrl_1": FEBRL, "febrl_2": FEBRL, "febrl_3": FEBRL, "splink_fake_1000": FAKE, MILLION: COLUMNS}
ENGINES = ("p20w", "splink_at_0.5", "splink_at_0.95")


def prepare(name: str, folder: Path) -> Path:
    """A clean copy of a published set, or the generated million, with its truth in the column `person`."""
    if name == MILLION:
        path = folder / f"{name}.parquet"
        # In a process of its own: memory is measured here.
        subprocess.run(
            [sys.executable, Path(__file__).with_name("five_sectors_at_scale.py"), path],
            check=True,
            capture_output=True,
        )
        return path
    source = settings().real_data / "febrl" / f"{name}.csv"
    with source.open(encoding="utf-8", newline="") as handle:
        rows = [{key.strip(): value.strip() for key, value in row.items()} for row in csv.DictReader(handle)]
    for row in rows:
        row["person"] = row["cluster"] if "cluster" in row else row["rec_id"].split("-")[1]
    path = folder / f"{name}.csv"
    with path.open("w", newline="", encoding="utf-8") as handle:
        writer = csv.DictWriter(handle, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def by_p20w(table: Path, columns: dict) -> dict[str, float | int]:
    import yaml

    from pipelines.identity.linker.run import link_file

    mapped = table.with_suffix(".yml")
    mapped.write_text(yaml.safe_dump(columns))
    done = link_file(settings(), table, mapped, table.with_name("linked.csv"), truth="person")
    return {"records": done.rows.height} | _figures(done.accuracy)


def by_splink(table: Path, columns: dict, probability: float) -> dict[str, float | int]:
    import duckdb
    import polars as pl
    import splink.comparison_library as cl
    from splink import DuckDBAPI, Linker, SettingsCreator, block_on

    from pipelines.identity.linker.accuracy import accuracy

    con = duckdb.connect()
    con.execute(
        "CREATE TABLE sent AS SELECT row_number() OVER () AS id, "
        "* REPLACE (" + ", ".join(f'nullif("{c}", \'\') AS "{c}"' for c in _texts(con, table)) + ") "
        "FROM read_csv(?, all_varchar = true, header = true)",
        [str(table)],
    )
    if columns is FEBRL:
        comparisons = [
            cl.NameComparison("given_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("date_of_birth", input_is_string=True, datetime_format="%Y%m%d"),
            cl.DamerauLevenshteinAtThresholds("soc_sec_id", [1, 2]),
            cl.ExactMatch("street_number").configure(term_frequency_adjustments=True),
            cl.DamerauLevenshteinAtThresholds("postcode", [1, 2]).configure(term_frequency_adjustments=True),
        ]
        rules = ["soc_sec_id", "given_name", "surname", "date_of_birth", "postcode"]
        blocking = [block_on(rule) for rule in rules] + [block_on("street_number", "address_1")]
        certain = [
            block_on("soc_sec_id"),
            block_on("given_name", "surname", "date_of_birth"),
            "l.given_name = r.surname and l.surname = r.given_name and l.date_of_birth = r.date_of_birth",
        ]
        trained, recall = [block_on("date_of_birth"), block_on("postcode")], 0.9
    else:
        comparisons = [
            cl.NameComparison("first_name"),
            cl.NameComparison("surname"),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.ExactMatch("city").configure(term_frequency_adjustments=True),
            cl.EmailComparison("email"),
        ]
        blocking = [block_on("first_name", "city"), block_on("surname"), block_on("dob"), block_on("email")]
        certain = [
            block_on("first_name", "dob"),
            "l.first_name = r.first_name and levenshtein(r.surname, l.surname) <= 2",
            block_on("email"),
        ]
        trained, recall = [block_on("first_name", "surname"), block_on("dob")], 0.7
    api = DuckDBAPI(connection=con)
    linker = Linker(
        api.register("sent"),
        SettingsCreator(
            link_type="dedupe_only",
            unique_id_column_name="id",
            comparisons=comparisons,
            blocking_rules_to_generate_predictions=blocking,
        ),
        log_level=None,
    )
    linker.training.estimate_probability_two_random_records_match(certain, recall=recall)
    linker.training.estimate_u_using_random_sampling(max_pairs=1e6, seed=1)
    for rule in trained:
        linker.training.estimate_parameters_using_expectation_maximisation(rule)
    predicted = linker.inference.predict(threshold_match_probability=0.1)
    clusters = linker.clustering.cluster_pairwise_predictions_at_threshold(
        predicted, threshold_match_probability=probability
    )
    found = con.execute(
        f'SELECT cluster_id, sent.person FROM "{clusters.physical_name}" JOIN sent USING (id) ORDER BY id'
    ).pl()
    return {"records": found.height} | _figures(accuracy(found["cluster_id"], found["person"].cast(pl.String)))


def _texts(con, table: Path) -> list[str]:
    return [
        name
        for (name,) in con.execute(
            "SELECT column_name FROM (DESCRIBE SELECT * FROM read_csv(?, all_varchar = true, header = true))",
            [str(table)],
        ).fetchall()
    ]


def _figures(found) -> dict[str, float]:
    return {name: round(getattr(found, name), 5) for name in ("precision", "recall", "f1", "bcubed_f")}


def one(name: str, engine: str) -> dict:
    """One engine on one set in this process; time from after the imports' start, peak memory of the whole process."""
    with tempfile.TemporaryDirectory() as folder:
        table = prepare(name, Path(folder))
        started = time.monotonic()
        if engine == "p20w":
            found = by_p20w(table, SETS[name])
        else:
            found = by_splink(table, SETS[name], float(engine.rsplit("_", 1)[1]))
        wall = time.monotonic() - started
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak = used.ru_maxrss / (1024 if sys.platform != "darwin" else 1024 * 1024)
    return {"dataset": name, "engine": engine} | found | {
        "wall_s": round(wall, 1),
        "cpu_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_mib": round(peak),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--one", nargs=2, metavar=("SET", "ENGINE"))
    chosen = parser.parse_args().one
    if chosen:
        print(json.dumps(one(*chosen)))
        return
    if not (settings().real_data / "febrl").is_dir():
        sys.exit("The published sets are not there. Set P20W_REAL_DATA to the folder that holds febrl/.")
    results = []
    for name in SETS:
        for engine in ENGINES[:1] if name == MILLION else ENGINES:
            done = subprocess.run(
                [sys.executable, __file__, "--one", name, engine], capture_output=True, text=True, cwd=ROOT
            )
            if done.returncode:
                sys.exit(f"{engine} on {name} failed:\n{done.stderr[-2000:]}")
            results.append(json.loads(done.stdout.splitlines()[-1]))
            print(" ".join(f"{value}" for value in results[-1].values()), flush=True)
    out = ROOT / "build" / "bench" / "linkage.json"
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_text(json.dumps(results, indent=1) + "\n")
    print(f"Written: {out.relative_to(ROOT)}")


if __name__ == "__main__":
    main()
