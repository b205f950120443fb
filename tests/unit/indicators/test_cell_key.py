"""The cell-key macro against the national statistical office's own package, on the policy table of this state.

What belongs here: arithmetic of the noise. What does not: which cells are shown (dbt unit tests beside the model).
"""

from __future__ import annotations

import csv
import re
from datetime import datetime

import duckdb
import pandas as pd
import pytest
from jinja2 import Environment

from pipelines.settings import ROOT, settings

DAY = "2026-11-21"  # the policies of the day are those judged
LAST_ROW = 750  # the package's tables have this many rows and reuse the last 250 of them for larger counts


def policy_rows(name: str) -> list[dict[str, str]]:
    with (settings().seeds / "policy" / f"{name}.csv").open(newline="") as handle:
        return list(csv.DictReader(handle))


def macros() -> Environment:
    """The macros of cell_key.sql and what they call, with `ref` giving the name of a table in memory.

    `var` and `return` stand for dbt's own: the build's date is DAY, and a macro's value is its text.
    """
    folder = ROOT / "dbt_project" / "macros"
    text = "".join((folder / name).read_text() for name in ("policy_in_force.sql", "cell_key.sql"))
    given = {"ref": lambda name: name, "var": lambda name, *_: {"build_date": DAY}[name], "return": lambda value: value}
    environment = Environment()
    environment.globals.update(given, run_started_at=datetime.fromisoformat(DAY))
    environment.globals.update(environment.from_string(text).module.__dict__)
    return environment


def noisy_counts(cells: pd.DataFrame) -> pd.DataFrame:
    """Cells (cell, exact_count, key_sum) with their perturbed count, computed by the macro in DuckDB."""
    with duckdb.connect() as con:
        for name in ("perturbation", "perturbation_table", "protection"):
            path = settings().seeds / "policy" / f"{name}.csv"
            con.execute(f"CREATE TABLE {name} AS SELECT * FROM read_csv('{path}', header = true, all_varchar = true)")
        con.register("cells", cells)
        query = macros().from_string(
            "with {{ cell_key_policy() }} "
            "select cells.cell, {{ cell_key_count('noise', 'cells.exact_count') }} as noisy_count, minimum_count "
            "from cells cross join cell_policy {{ cell_key_noise('noise', 'cells.exact_count', 'cells.key_sum') }}"
        )
        return con.execute(query.render()).df().sort_values("cell", ignore_index=True)


def expanded_table() -> pd.DataFrame:
    """The compact policy table as the package wants it: one row per count and key (pcv, ckey, pvalue)."""
    rows = []
    for row in policy_rows("perturbation_table"):
        last = min(int(row["count_to"] or LAST_ROW), LAST_ROW)
        for count in range(int(row["count_from"]), last + 1):
            for key in range(int(row["key_from"]), int(row["key_to"]) + 1):
                rows.append((count, key, int(row["noise"])))
    return pd.DataFrame(rows, columns=["pcv", "ckey", "pvalue"])


def people(sizes: list[int], modulus: int) -> pd.DataFrame:
    """One row a person: the cell and a record key, spread without any library's generator."""
    rows, state = [], 12345
    for cell, size in enumerate(sizes):
        for _ in range(size):
            state = (state * 1103515245 + 12345) % 2**31
            rows.append((cell, "all", (state >> 8) % modulus))
    return pd.DataFrame(rows, columns=["cell", "place", "record_key"])


def key_modulus() -> int:
    return int(next(row["value"] for row in policy_rows("perturbation") if row["parameter"] == "key_modulus"))


def test_the_macro_gives_the_counts_of_the_office_s_package() -> None:
    package = pytest.importorskip("cell_key_perturbation.create_perturbed_table", reason="the oracle is not installed")
    frame = people([*range(1, 60), 99, 100, 101, 500, 501, 750, 751, 999, 1000, 1001, 1251], key_modulus())
    oracle = package.create_perturbed_table(
        data=frame, ptable=expanded_table(), geog=["place"], tab_vars=["cell"], record_key="record_key",
        use_existing_ons_id=False, threshold=0,
    )  # fmt: skip
    cells = frame.groupby("cell", as_index=False).agg(exact_count=("cell", "size"), key_sum=("record_key", "sum"))
    ours = noisy_counts(cells).set_index("cell")["noisy_count"]
    theirs = oracle.set_index("cell")["count"].sort_index()
    difference = [(cell, int(ours[cell]), int(theirs[cell])) for cell in ours.index if ours[cell] != theirs[cell]]
    assert not difference
    assert (ours != cells.set_index("cell")["exact_count"]).any()


def test_the_policy_table_has_one_noise_for_every_count_and_key() -> None:
    table = expanded_table()
    assert not table.duplicated(["pcv", "ckey"]).any()
    assert len(table) == LAST_ROW * key_modulus()


def test_noise_has_mean_zero_and_makes_no_count_negative() -> None:
    table = expanded_table()
    assert (table.groupby("pcv")["pvalue"].sum() == 0).all()
    assert (table["pcv"] + table["pvalue"] >= 0).all()


def test_one_person_more_changes_the_noise_of_many_cells() -> None:
    cells = pd.DataFrame({"cell": range(256), "exact_count": [100] * 256, "key_sum": range(256)})
    more = cells.assign(exact_count=101, key_sum=cells["key_sum"] + 77)
    before = noisy_counts(cells).set_index("cell")["noisy_count"] - 100
    after = noisy_counts(more).set_index("cell")["noisy_count"] - 101
    assert (before != after).sum() > 100


def test_every_example_query_opens_with_its_question() -> None:
    queries = sorted((ROOT / "pipelines" / "release" / "example_queries").glob("*.sql"))
    assert len(queries) == 10
    for path in queries:
        assert re.match(r"-- .+\?\n", path.read_text()), f"{path.name} must open with the question that it answers."
