"""The synthetic state: same seed same bytes, sizes as asked, truth for every row, faults that do what they say."""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path

import polars as pl
import pytest

from pipelines.demo_state import FAULTS, DemoSummary, generate, linkable_pairs, plant
from pipelines.demo_state.people import social_security_numbers
from pipelines.errors import P20wError
from pipelines.settings import Settings, load

STUDENTS = 400
PERSONLESS = ("directory", "employers")


def a_state(folder: Path, **options) -> tuple[Settings, DemoSummary]:
    """A small synthetic state in `folder`."""
    configuration = load({"P20W_HOME": str(folder / "state"), "P20W_TRUTH": str(folder / "truth")})
    return configuration, generate(configuration, STUDENTS, seed=7, **options)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def read(path: Path, encoding: str = "utf-8") -> list[dict[str, str]]:
    with path.open(encoding=encoding, newline="") as handle:
        return list(csv.DictReader(handle))


@pytest.fixture(scope="module")
def state(tmp_path_factory) -> tuple[Settings, DemoSummary]:
    return a_state(tmp_path_factory.mktemp("demo"))


@pytest.fixture
def spoiled(tmp_path) -> tuple[Settings, DemoSummary]:
    return a_state(tmp_path)


def test_the_same_seed_gives_the_same_bytes(state, spoiled):
    assert digests(state[0].landing) == digests(spoiled[0].landing)
    assert digests(state[0].truth) == digests(spoiled[0].truth)


def test_students_enrolled_in_any_year_are_about_as_many_as_asked_for(state):
    small = state[1].enrolled
    assert set(small) == set(range(2019, 2027))
    assert abs(sum(small.values()) / 8 / STUDENTS - 1) < 0.15  # few families, wide scatter


@pytest.mark.slow
def test_a_state_of_default_size_has_its_size_in_every_year(tmp_path):
    configuration = load({"P20W_HOME": str(tmp_path / "state"), "P20W_TRUTH": str(tmp_path / "truth")})
    summary = generate(configuration)
    assert all(abs(count / 10_000 - 1) < 0.04 for count in summary.enrolled.values())
    assert 3 <= summary.districts <= 5
    assert 30 <= summary.schools <= 45


def test_truth_has_exactly_one_line_for_every_source_row_of_person_files(state):
    configuration, summary = state
    truth = pl.read_parquet(configuration.truth / "record_truth.parquet")
    key = ["submitter", "package", "period", "file_name"]
    assert truth.select(*key, "source_row").is_unique().all()
    counted = dict(truth.group_by("package").len().iter_rows())
    assert counted == {package: rows for package, rows in summary.rows.items() if package not in PERSONLESS}
    spans = truth.group_by(key).agg(pl.len().alias("rows"), pl.col("source_row").max().alias("last"))
    assert (spans["rows"] == spans["last"]).all()
    for submitter, package, period, file_name, rows, _ in spans.iter_rows():
        path = configuration.landing / submitter / package / period / file_name
        if path.suffix == ".parquet":
            assert pl.read_parquet(path).height == rows
        else:
            header = 0 if path.suffix == ".txt" else 1
            assert len(path.read_bytes().splitlines()) - header == rows, path.name


def test_truth_holds_no_names(state):
    truth = state[0].truth
    records = pl.read_parquet(truth / "record_truth.parquet")
    assert set(records.columns) == {
        "submitter",
        "package",
        "period",
        "file_name",
        "source_row",
        "sector",
        "true_person_id",
        "linkable_group",
    }
    persons = pl.read_parquet(truth / "person_truth.parquet")
    assert all(dtype == pl.Int64 for dtype in persons.dtypes)


def test_twins_and_siblings_exist_and_twins_share_their_family(state):
    persons = pl.read_parquet(state[0].truth / "person_truth.parquet")
    twins = persons.filter(pl.col("twin_group").is_not_null())
    assert twins.height > 0
    assert (twins.group_by("twin_group").agg(pl.col("family_group").n_unique())["family_group"] == 1).all()
    assert persons["sibling_group"].drop_nulls().len() > persons.height / 3


def test_a_student_number_names_one_person(state):
    configuration, _ = state
    truth = pl.read_parquet(configuration.truth / "record_truth.parquet").filter(pl.col("file_name") == "student.csv")
    people: dict[str, set[int]] = {}
    for (submitter, period), rows in truth.group_by("submitter", "period"):
        lines = read(configuration.landing / submitter / "k12_annual" / period / "student.csv")
        for row, person in rows.select("source_row", "true_person_id").iter_rows():
            people.setdefault(lines[row - 1]["StudentStateID"], set()).add(person)
    assert people
    assert all(len(persons) == 1 for persons in people.values())


def test_linkable_pairs_are_computed_from_groups_of_rows():
    truth = pl.DataFrame(
        {
            "true_person_id": [1, 1, 1, 2, 2],
            "sector": ["k12", "postsecondary", "workforce", "k12", "postsecondary"],
            "linkable_group": [101, 101, 102, 201, 202],
        }
    )
    pairs = {(a, b): (n, k) for a, b, n, k in linkable_pairs(truth).iter_rows()}
    assert pairs == {
        ("k12", "postsecondary"): (2, 1),
        ("k12", "workforce"): (1, 0),
        ("postsecondary", "workforce"): (1, 0),
    }


def test_wages_are_linkable_to_school_only_over_a_source_with_both_numbers(state):
    pairs = pl.read_parquet(state[0].truth / "linkable.parquet")
    share = {
        (a, b): linked / persons
        for a, b, persons, linked in pairs.iter_rows()
        if (a, b) != ("child_welfare", "workforce")
    }
    assert share["early_childhood", "k12"] > 0.95
    assert share["k12", "postsecondary"] > 0.95
    assert 0.1 < share["k12", "workforce"] < 0.9


def test_only_the_newest_wage_quarter_is_preliminary(state):
    landing = state[0].landing
    folders = [path for path in landing.glob("*/*/*") if path.is_dir()]
    open_ones = {path.relative_to(landing).as_posix() for path in folders if not (path / "certification.json").exists()}
    assert open_ones == {"dol/wages/2026Q2", "dol/employers/2026Q2"}


def test_wage_records_have_the_declared_positions(state):
    lines = (state[0].landing / "dol" / "wages" / "2025Q4" / "wages.txt").read_text(encoding="ascii").splitlines()
    assert {len(line) for line in lines} == {86}
    assert all(line[:9].isdigit() and line[71:76] == "20254" and int(line[76:86]) > 0 for line in lines)


def test_summer_graduates_ged_and_undocumented_leavers_occur(state):
    landing = state[0].landing
    done = [row for path in landing.glob("lea_*/k12_annual/*/completion.csv") for row in read(path)]
    assert any(row["CompletionDate"][:2] in ("07", "08") for row in done)
    spells = [row for path in landing.glob("lea_*/k12_annual/*/enrollment.csv") for row in read(path)]
    out_of_state = {row["ExitDocumentation"] for row in spells if row["ExitWithdrawalType"] == "01909"}
    assert out_of_state >= {"none", "receiving_school_record"}


def test_absence_of_exactly_one_tenth_occurs(state):
    rows = [row for path in state[0].landing.glob("lea_*/k12_annual/2024/attendance.csv") for row in read(path)]
    assert any(float(row["DaysAbsent"]) * 10 == float(row["DaysEnrolled"]) for row in rows)
    assert all(float(row["DaysAbsent"]) <= float(row["DaysEnrolled"]) for row in rows)


def test_social_security_numbers_are_distinct_and_pass_the_validity_rules():
    numbers = [f"{number:09d}" for number in social_security_numbers(pl.arange(0, 5_000, eager=True).to_numpy())]
    assert len(set(numbers)) == 5_000
    assert all(n[:3] not in ("000", "666") and n[0] != "9" and n[3:5] != "00" and n[5:] != "0000" for n in numbers)


def test_landing_that_holds_other_deliveries_is_left_alone(tmp_path):
    configuration = load({"P20W_HOME": str(tmp_path / "state"), "P20W_TRUTH": str(tmp_path / "truth")})
    real = configuration.landing / "sea" / "directory" / "2026" / "organization.csv"
    real.parent.mkdir(parents=True)
    real.write_text("real\n")
    with pytest.raises(P20wError, match="already holds deliveries of sea"):
        generate(configuration, STUDENTS, replace_existing=True)
    assert real.read_text() == "real\n"


def test_a_synthetic_state_is_replaced_only_on_request(spoiled):
    configuration, _ = spoiled
    before = digests(configuration.landing)
    with pytest.raises(P20wError):
        generate(configuration, STUDENTS, seed=7)
    generate(configuration, STUDENTS, seed=7, replace_existing=True)
    assert digests(configuration.landing) == before


def test_too_few_students_and_unknown_faults_are_refused(tmp_path):
    configuration = load({"P20W_HOME": str(tmp_path / "state"), "P20W_TRUTH": str(tmp_path / "truth")})
    with pytest.raises(ValueError, match="too small"):
        generate(configuration, 50)
    with pytest.raises(ValueError, match="Unknown fault flood"):
        generate(configuration, STUDENTS, faults=["flood"])


@pytest.mark.parametrize("fault", ["late_file", "district_missing"])
def test_a_missing_delivery_is_gone_with_its_truth_and_nothing_else_changes(spoiled, fault):
    configuration, _ = spoiled
    before = digests(configuration.landing)
    planted = plant(configuration, fault)
    prefix = f"{planted.submitter}/{planted.package}/{planted.period}/"
    after = digests(configuration.landing)
    assert planted.records > 0
    assert planted.period == "2026"
    assert after == {name: digest for name, digest in before.items() if not name.startswith(prefix)}
    truth = pl.read_parquet(configuration.truth / "record_truth.parquet")
    same = (pl.col("submitter") == planted.submitter) & (pl.col("package") == planted.package)
    assert truth.filter(same & (pl.col("period") == planted.period)).is_empty()


def test_shifted_columns_put_every_value_one_column_to_the_right(spoiled):
    configuration, _ = spoiled
    paths = sorted(configuration.landing.glob("lea_*/k12_annual/2026/enrollment.csv"))
    clean = {path: read(path) for path in paths}
    planted = plant(configuration, "shifted_columns")
    hit = [path for path in paths if read(path) != clean[path]]
    assert [path.parts[-4] for path in hit] == [planted.submitter]
    rows, old = read(hit[0]), clean[hit[0]]
    names = list(old[0])
    assert len(rows) == len(old) == planted.records
    assert all(row[names[0]] == "" for row in rows)
    assert [[row[name] for name in names[1:]] for row in rows] == [[row[name] for name in names[:-1]] for row in old]


def test_a_duplicate_delivery_repeats_files_and_rows(spoiled):
    configuration, _ = spoiled
    before = digests(configuration.landing)
    planted = plant(configuration, "duplicate_delivery")
    name = f"{planted.submitter}/{planted.package}/{planted.period}/{planted.file_name}"
    after = digests(configuration.landing)
    assert {path for path in before if before[path] != after[path]} == {name}
    rows = read(configuration.landing / name)
    assert rows[-planted.records :] == rows[: planted.records]
    truth = pl.read_parquet(configuration.truth / "record_truth.parquet")
    here = truth.filter((pl.col("submitter") == planted.submitter) & (pl.col("file_name") == planted.file_name))
    here = here.filter(pl.col("period") == planted.period).sort("source_row")
    assert here["source_row"].to_list() == list(range(1, len(rows) + 1))
    assert here["true_person_id"].to_list()[-planted.records :] == here["true_person_id"].to_list()[: planted.records]


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_planted_twice_is_planted_once(spoiled, fault):
    configuration, _ = spoiled
    plant(configuration, fault)
    once = digests(configuration.landing)
    plant(configuration, fault)
    assert digests(configuration.landing) == once
