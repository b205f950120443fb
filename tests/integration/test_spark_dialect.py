"""The protected models mean the same on Spark, as far as that can be told without a Spark.

What belongs here: the models as dbt compiles them, carried to Spark's dialect and back by sqlglot (which Splink brings)
and run on random cubes. What is not tested: Spark's own engine, its adapter, and how it stores tables.
"""

from __future__ import annotations

import csv
import random
import shutil
import subprocess

import duckdb
import polars as pl
import pytest
import sqlglot
from sqlglot import exp

from pipelines import dbt
from pipelines.settings import ROOT, load

pytestmark = pytest.mark.slow

MODELS = [path.stem for path in sorted((ROOT / "dbt_project" / "models" / "protected").glob("*.sql"))]
SEEDS = ("policy/perturbation", "policy/perturbation_table", "policy/protection", "registers/indicator",
         "reference/student_group", "reference/subject", "reference/industry_sector",
         "reference/institution_kind")  # fmt: skip


@pytest.fixture(scope="module")
def compiled(tmp_path_factory, manifest) -> dict[str, str]:
    """Model -> its SQL for DuckDB, as dbt compiles it."""
    folder = tmp_path_factory.mktemp("compiled")
    settings = load({"P20W_HOME": str(folder / "state"), "P20W_VAULT_KEY_FILE": str(folder / "vault.key")})
    settings.home.mkdir()
    target = folder / "target"
    target.mkdir()
    shutil.copyfile(dbt.ensure_manifest(settings).with_name(dbt.PARSED), target / dbt.PARSED)
    done = subprocess.run(
        dbt.command(settings, ["compile", "--select", "path:models/protected"], "warehouse", target),
        env=dbt.environment(settings, secret=False), cwd=settings.home, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout[-2000:]
    return {path.stem: path.read_text() for path in target.rglob("perturbed_*.sql") if path.stem in MODELS}


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory, manifest):
    """The seeds as they are, and cubes of random rows around every limit."""
    draw = random.Random(11)
    with duckdb.connect(str(tmp_path_factory.mktemp("data") / "warehouse.duckdb")) as con:
        con.execute("CREATE SCHEMA seeds; CREATE SCHEMA cubes")
        for name in SEEDS:
            path = ROOT / "seeds" / f"{name}.csv"
            con.execute(f"CREATE TABLE seeds.{path.stem} AS FROM read_csv('{path}', header = true, all_varchar = true)")
        texts = {}
        for name in ("registers/indicator", "reference/student_group", "reference/subject"):
            with (ROOT / "seeds" / f"{name}.csv").open(newline="") as handle:
                for row in csv.DictReader(handle):
                    for column, value in row.items():
                        texts.setdefault(column, set()).add(value)
        texts["organization_level"] = {"school", "lea", "state", "institution"}
        for node in manifest["nodes"].values():
            if node["resource_type"] != "model" or node["schema"] != "cubes":
                continue
            columns = {name: column["data_type"] for name, column in node["columns"].items()}
            con.execute(f"CREATE TABLE cubes.{node['name']} ({', '.join(f'{n} {t}' for n, t in columns.items())})")
            rows = [[_value(draw, name, kind, texts) for name, kind in columns.items()] for _ in range(1_500)]
            if node["name"] == "cube_organization":
                for number, row in enumerate(rows):
                    row[list(columns).index("organization_key")] = number
            if {"breakdown_code", "group_code"} <= set(columns):  # every other row is of everyone at its place
                for row in rows[::2]:
                    row[list(columns).index("breakdown_code")] = row[list(columns).index("group_code")] = "all"
            as_text = [[None if value is None else str(value) for value in row] for row in rows]
            frame = pl.DataFrame(as_text, schema=dict.fromkeys(columns, pl.String), orient="row")
            con.register("frame", frame.to_arrow())
            con.execute(f"INSERT INTO cubes.{node['name']} FROM frame")
            con.unregister("frame")
        yield con


def _value(draw: random.Random, name: str, kind: str, texts: dict[str, set[str]]):
    if name in texts:
        return draw.choice(sorted(texts[name]))
    if kind == "varchar":
        return draw.choice(["all", "linked", "counted", "", None] if name.endswith("name") else ["all", "a", "b"])
    if kind.startswith("decimal"):
        return draw.choice(["0.5", "0.8", "0.800001", "1", None])
    if name.endswith("_key"):
        return draw.randrange(1_500)
    if name.endswith("_year"):
        return draw.choice([2023, 2024])
    if name.startswith("perturbation_sum"):
        return draw.randrange(10**9)
    if name == "window_open_count":
        return draw.choice([0, 0, 0, 5])
    return draw.choice([0, 1, 3, 4, 9, 10, 11, 12, 13, 40, 41, 100, 7_000_000])


@pytest.mark.parametrize("model", MODELS)
def test_a_protected_model_is_plain_sql_of_spark_and_means_the_same(compiled, warehouse, model):
    ours = compiled[model]
    (spark,) = sqlglot.transpile(ours, read="duckdb", write="spark", unsupported_level=sqlglot.ErrorLevel.RAISE)
    tree = sqlglot.parse_one(spark, read="spark")
    unknown = {node.name for node in tree.find_all(exp.Anonymous)}
    assert not unknown, f"{model} calls functions that sqlglot does not know in Spark: {unknown}"
    assert not list(tree.find_all(exp.Command))
    back = tree.sql(dialect="duckdb", unsupported_level=sqlglot.ErrorLevel.RAISE)
    expected = warehouse.sql(f"FROM ({ours}) ORDER BY ALL").fetchall()
    assert warehouse.sql(f"FROM ({back}) ORDER BY ALL").fetchall() == expected
    assert len(expected) > 50
