"""`p20w extract check`: k and l of whole trajectories, earlier extracts, and what projects published.

What belongs here: the check against plain loops and, where there is one, against pycanon in a process of its own.
"""

from __future__ import annotations

import csv
import json
import os
import random
import subprocess
from collections import Counter, defaultdict
from datetime import date
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from pipelines.cli import app
from pipelines.disclosure.extract import Output, check_file, load_outputs
from pipelines.errors import P20wError

ORACLE = "P20W_ORACLE_PYTHON"  # an interpreter that has pycanon 1.3.6
TODAY = date(2026, 11, 22)
NAMES = ["research_id", "school_year", "school", "grade", "left", "wage"]


def declare(folder: Path, name: str = "extract", **changes: str) -> Path:
    said = {"project": "p1", "extract": "e1", "person": "research_id", "time": "school_year",
            "quasi_identifiers": "[school, grade]", "sensitive": "[left, wage]", "k": "3", "l": "2"}  # fmt: skip
    path = folder / f"{name}.yml"
    path.write_text("".join(f"{key}: {value}\n" for key, value in (said | changes).items()))
    return path


def write(path: Path, rows: list[tuple], names: list[str] = NAMES) -> Path:
    frame = pl.DataFrame([tuple(map(str, row)) for row in rows], schema=names, orient="row")
    frame.write_csv(path) if path.suffix == ".csv" else frame.write_parquet(path)
    return path


def check(folder: Path, rows: list[tuple], earlier: Path | None = None, outputs: Path | None = None, **changes: str):
    table = write(folder / "extract.parquet", rows)
    return check_file(table, declare(folder, **changes), earlier, folder / "found.csv", outputs, TODAY)


def random_rows(seed: int, people: int = 60) -> list[tuple]:
    """Up to four years of a few schools and grades, now and then two rows in a year, shuffled."""
    draw = random.Random(seed)
    rows = []
    for person in range(people):
        for year in range(2020, 2020 + draw.choice([1, 2, 2, 3, 4])):
            for _ in range(draw.choice([1, 1, 1, 2])):
                rows.append(
                    (f"r{person}", year, draw.choice("AB"), draw.choice("99x"), draw.choice("yn"), draw.choice("012"))
                )
    draw.shuffle(rows)
    return rows


def by_hand(rows: list[tuple]) -> tuple[dict[str, tuple], dict]:
    """Person -> trajectory; and (trajectory, year, column number) -> the people's values there."""
    of_person = defaultdict(list)
    for row in rows:
        of_person[row[0]].append(row)
    trajectory = {person: tuple(sorted(row[1:4] for row in mine)) for person, mine in of_person.items()}
    values = defaultdict(list)
    for person, mine in of_person.items():
        for year in {row[1] for row in mine}:
            for column in (4, 5):
                value = tuple(sorted(row[column] for row in mine if row[1] == year))
                values[trajectory[person], year, column].append(value)
    return trajectory, values


@pytest.mark.parametrize("seed", range(8))
def test_k_and_l_are_what_looking_at_everybody_by_hand_finds(seed, tmp_path):
    rows = random_rows(seed)
    report = check(tmp_path, rows)
    trajectory, values = by_hand(rows)
    size = Counter(trajectory.values())
    assert (report.people, report.rows, report.trajectories) == (len(trajectory), len(rows), len(size))
    assert report.smallest == min(size.values())
    assert report.least_values == min(len(set(found)) for found in values.values())
    k = report.findings.filter(pl.col("rule") == "k")
    assert dict(k.select("person", "people").iter_rows()) == {
        person: size[path] for person, path in trajectory.items() if size[path] < 3
    }
    few = Counter((str(year), NAMES[column]) for (_, year, column), found in values.items() if len(set(found)) < 2)
    told = report.findings.filter(pl.col("rule") == "l")
    assert Counter(told.select("moment", "column_name").iter_rows()) == few
    assert report.has_finding and "Not to be handed over" in report.as_text()


@pytest.mark.parametrize("seed", [1, 2])
def test_k_and_l_are_those_of_another_package(seed, tmp_path):
    interpreter = os.environ.get(ORACLE)
    if not interpreter:
        pytest.skip(f"{ORACLE} names no interpreter that has pycanon 1.3.6")
    # One row each and one year: many share a trajectory.
    rows = list({row[0]: (row[0], 2020, *row[2:]) for row in random_rows(seed, 200)}.values())
    report = check(tmp_path, rows)
    of_person = defaultdict(list)
    for row in rows:
        of_person[row[0]].append(row)
    with (tmp_path / "people.csv").open("w", newline="") as handle:
        writer = csv.writer(handle)
        writer.writerow(["trajectory", "left", "wage"])
        for mine in of_person.values():
            writer.writerow([str(sorted(row[1:4] for row in mine)), *(str(sorted(r[i] for r in mine)) for i in (4, 5))])
    script = Path(__file__).parent / "pycanon_oracle.py"
    done = subprocess.run([interpreter, str(script), str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    theirs = json.loads(done.stdout.splitlines()[-1])
    assert (report.smallest, report.least_values) == (theirs["k"], min(theirs["l"].values()))
    assert report.smallest > 1 and report.least_values > 1


def common(person: str, years=(2020, 2021), left="y", wage="1", school="A") -> list[tuple]:
    return [(person, year, school, "9", left, wage) for year in years]


def fine(prefix: str = "r", **more) -> list[tuple]:
    """Four people with one trajectory and different values."""
    return [row for n in range(4) for row in common(f"{prefix}{n}", left="yn"[n % 2], wage=str(n % 2), **more)]


def test_rows_that_are_common_year_by_year_may_be_unique_together(tmp_path):
    assert not check(tmp_path, fine()).has_finding
    mover = [row for n in range(4) for row in common(f"s{n}", left="yn"[n % 2], wage=str(n % 2), school="B")]
    only = [("t", 2020, "A", "9", "y", "1"), ("t", 2021, "B", "9", "n", "0")]  # each year shared with four others
    found = check(tmp_path, fine() + mover + only).findings
    assert found.filter(pl.col("rule") == "k").select("person", "people").rows() == [("t", 1)]


def test_a_value_that_all_share_in_one_year_is_found_though_their_histories_differ(tmp_path):
    rows = [row for row in fine() if row[1] == 2020]
    rows += [(f"r{n}", 2021, "A", "9", "y", str(n % 2)) for n in range(4)]
    found = check(tmp_path, rows).findings
    assert found.select("rule", "moment", "column_name", "people", "distinct_values").rows() == [
        ("l", "2021", "left", 4, 1)
    ]


def test_an_earlier_extract_of_the_same_project_is_joined_by_research_id(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    old = [(f"r{n}", 2019, "AB"[n == 0], "8", "y", "1") for n in range(4)]
    write(earlier / "first.csv", old)
    declare(earlier, "first")
    found = check(tmp_path, fine(), earlier).findings
    assert found.filter(pl.col("rule") == "earlier_k").select("person", "people", "against").rows() == [
        ("r0", 1, "first.csv")
    ]


def test_an_extract_of_another_project_is_joined_by_what_both_say(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    # Other ids and other schools, but grade and wage are the same in both, and only one history of wages is 1, 0.
    new = fine() + [row for n in range(4) for row in common(f"u{n}", left="yn"[n % 2], wage=str(n % 2))]
    new[1] = (*new[1][:5], "7")
    old = [(row[0].upper(), row[1], "elsewhere", row[3], "", row[5]) for row in new]
    names = ["research_id", "school_year", "county", "grade", "note", "wage"]
    write(earlier / "other.parquet", old, names)
    declare(earlier, "other", project="p2", quasi_identifiers="[county, grade]", sensitive="[wage]")
    found = check(tmp_path, new, earlier).findings
    told = found.filter(pl.col("rule") == "earlier_k").select("person", "people", "against").rows()
    assert told == [("r0", 1, "other.parquet")]
    assert found.filter(pl.col("rule") == "k").is_empty()  # alone, the new extract is common enough


def test_a_history_that_few_of_the_earlier_extract_have_is_found_too(tmp_path):
    earlier = tmp_path / "earlier"
    earlier.mkdir()
    write(earlier / "other.csv", [("X", 2020, "9", "1"), ("X", 2021, "9", "1")], [*NAMES[:2], "grade", "wage"])
    declare(earlier, "other", project="p2", quasi_identifiers="[grade]", sensitive="[wage]")
    rows = [row for n in range(4) for row in common(f"r{n}", left="yn"[n % 2])]
    found = check(tmp_path, rows, earlier).findings.filter(pl.col("rule") == "earlier_k")
    assert found.select("person", "people").rows() == [(f"r{n}", 1) for n in range(4)]


REGISTER = "output_id,project,extract,released_on,statistic,column_name,population,where_published,approved_by\n"


def test_a_published_mean_and_a_published_count_that_differ_by_few_people_are_found(tmp_path):
    register = tmp_path / "research_output.csv"
    rows = fine() + common("r9", school="B")
    register.write_text(
        REGISTER + "o1,p1,e1,2026-01-01,mean,wage,,paper,board\no2,p1,e1,2026-02-01,count,,school=A,paper,board\n"
        "o3,p1,e1,2027-02-01,count,,school=B,paper,board\no4,p2,e1,2026-02-01,count,,school=B,paper,board\n"
    )
    found = check(tmp_path, rows, outputs=register).findings.filter(pl.col("rule") == "output")
    assert found.select("against", "people").rows() == [("o1 less o2", 1)]
    outputs = load_outputs(register)
    assert outputs[0].relation() == ("sum", "wage", ()) and outputs[1].relation() == ("count", "", (("school", "A"),))
    assert Output("o", "p", "e", TODAY, "median", "wage", ()).relation() is None


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("o1,p1,e1,2026-01-01,average,wage,,x,board", "row 2: statistic is 'average'"),
        ("o1,p1,e1,2026-13-01,mean,wage,,x,board", "released_on"),
        ("o1,p1,e1,2026-01-01,mean,,,x,board", "column_name names what is measured"),
        ("o1,p1,e1,2026-01-01,count,,school,x,board", "population must be conditions"),
        ("o1,p1,e1,2026-01-01,count,,,x,", "approved_by is empty"),
    ],
)
def test_a_registered_output_that_is_not_understood_is_refused(line, said, tmp_path):
    path = tmp_path / "research_output.csv"
    path.write_text(REGISTER + line + "\n")
    with pytest.raises(P20wError, match=said):
        load_outputs(path)


def test_the_shipped_register_of_outputs_is_readable(root):
    assert load_outputs(root / "seeds" / "registers" / "research_output.csv") == []


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"k": "1"}, "k must be a whole number from 2 on"),
        ({"sensitive": "[school]"}, "gives two parts to school"),
        ({"sensitive": "[absent]"}, "lacks the column absent"),
        ({"extra": "x"}, "check extra"),
        ({"quasi_identifiers": "school"}, "must be a list of columns"),
    ],
)
def test_a_declaration_that_does_not_fit_is_an_error_that_names_it(changes, said, tmp_path):
    with pytest.raises(P20wError, match=said):
        check(tmp_path, fine(), **changes)


def test_the_command_exits_with_one_and_a_sentence_on_a_finding(tmp_path):
    table, out = write(tmp_path / "extract.csv", fine()), tmp_path / "found.parquet"
    words = ["extract", "check", str(table), "--declare", str(declare(tmp_path)), "--out", str(out)]
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 0 and "Nothing found" in told.output
    assert pl.read_parquet(out).is_empty()
    write(table, fine() + common("z", school="C"))
    told = CliRunner().invoke(app, words)
    assert told.exit_code == 1 and "1 people share their trajectory with fewer than 3, 1 with nobody" in told.output
    assert pl.read_parquet(out).filter(pl.col("rule") == "k")["person"].to_list() == ["z"]
