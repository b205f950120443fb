"""Pages of a release: which rows stand where, and what explains them."""

from __future__ import annotations

import json
import re

import polars as pl
import pytest
from made_up_release import (
    BUILD,
    INSTITUTION,
    LEA,
    SCHOOL,
    STATE,
    check,
    flow,
    gate,
    row,
    write_flows,
    write_tables,
)

from pipelines.quality import check_result
from pipelines.reports import charts, site


@pytest.fixture
def no_drawing(monkeypatch):
    monkeypatch.setattr(charts, "_drawn", lambda kind, points, label, is_rate, cache: f"<svg>{points}</svg>")


@pytest.fixture
def built(home, tmp_path, no_drawing):
    """Text of each page of the made-up release by its path."""

    def build(rows=None, decision=None):
        folder = tmp_path / "site"
        site.build_site(home, write_tables(tmp_path / "data", rows), folder, decision or gate())
        return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*.html")}

    return build


def text(page: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def test_a_page_shows_the_three_newest_known_years_beside_district_and_state(built):
    page = built()["organizations/school-00010001.html"]
    section = page[page.index('id="college_going_fall"') : page.index('id="employment_year_1_after_high_school"')]
    header = section[section.index("<thead>") : section.index("</thead>")]
    assert re.findall(r"20\d\d–\d\d", header) == ["2022–23", "2023–24", "2024–25"] * 3
    assert header.index("First School") < header.index("First District") < header.index("State of Examples")
    assert (
        "2025–26 not yet: the time in which this is counted ended in October 2026, but not every source has sent it."
        in (text(section))
    )


def test_pages_link_up_and_down(built):
    pages = built()
    assert 'href="../organizations/lea-0001.html"' in pages["organizations/school-00010001.html"]
    assert 'href="../organizations/state-state.html"' in pages["organizations/school-00010001.html"]
    assert 'href="../organizations/school-00010001.html"' in pages["organizations/lea-0001.html"]
    assert 'href="../organizations/lea-0002.html"' in pages["organizations/state-state.html"]
    assert all(f'href="{path}"' in pages["organizations.html"] for path in pages if path.startswith("organizations/"))


def test_groups_stand_in_the_order_of_the_register_without_those_that_nobody_is_in(built):
    page = text(built()["organizations/lea-0001.html"])
    assert page.index("Gender") < page.index("Female") < page.index("Male") < page.index("English learners")
    assert "Nonbinary" not in page  # no_students in every year and place


def test_a_mark_is_explained_where_it_stands_and_only_there(built):
    pages = built()
    page = pages["organizations/lea-0001.html"]
    absence = text(page[page.index('id="chronic_absenteeism"') : page.index('id="four_year_graduation"')])
    for sentence in ("The group is small", "Incomplete: a delivery", "Withdrawn at a revision", "so a range is shown"):
        assert sentence in absence
    graduation = text(page[page.index('id="four_year_graduation"') : page.index('id="college_going_fall"')])
    assert "The group is small" not in graduation


def test_no_page_shows_a_code_where_there_is_a_title(built):
    for path, page in built().items():
        visible = re.sub(r"<code>.*?</code>", "", page, flags=re.S)
        assert not re.search(r"[a-z0-9]+_[a-z0-9_]+", text(visible)), (path, re.search(r"\S+_\S+", text(visible)))


def test_a_waiver_prints_on_every_page_with_an_indicator_that_it_touches(built):
    for path, page in built().items():
        touched = 'id="chronic_absenteeism"' in page
        assert ("Published under a waiver" in page) == touched, path
        if touched:
            assert page.count("another system. Effect on numbers: Absence may be too low") == 1
            assert "First District" in page and "2027-06-30" in page


def test_a_waiver_of_a_check_that_names_families_touches_those_only(home, built):
    rows = [check("expectation.range.rate", "expectation", "error", "fail", family="four_year_graduation")]
    check_result.record(home, BUILD, "expectation", rows)
    waiver = {**gate()["waivers"][0], "check_id": "expectation.range.rate", "collection": "", "submitter": ""}
    page = built(decision=gate(waivers=[waiver]))["index.html"]
    start = page.index('id="four_year_graduation"')
    assert page.count("Published under a waiver") == 1 and page.index("Published under a waiver") > start


def test_a_held_indicator_says_so(built):
    page = built()["organizations/state-state.html"]
    section = page[page.index('id="four_year_graduation"') : page.index('id="college_going_fall"')]
    assert "Not brought up to date in this release. A delivery is missing or was refused." in section


def test_a_hidden_value_breaks_the_line_and_never_reaches_the_chart(built):
    page = built()["index.html"]
    section = page[page.index('id="chronic_absenteeism"') : page.index('id="four_year_graduation"')]
    assert "('State of Examples', '2023–24', None)" in section and "('State of Examples', '2024–25', 0.5)" in section


def test_subjects_of_several_institutions_do_not_overwrite_each_other(built):
    places = [("institution", f"0099990{n}", f"College {n}", None, None) for n in (1, 2)]
    rows = [row(STATE, "chronic_absenteeism", 2026)]
    rows += [row(each, "course_completion", 2026, subject_code="AAA", rate=n / 10) for n, each in enumerate(places, 1)]
    page = text(built(rows)["index.html"])
    assert "College 1: AAA 10.0%" in page and "College 2: AAA 20.0%" in page


def test_a_closed_school_shows_its_own_last_years(built):
    rows = [row(STATE, "chronic_absenteeism", year) for year in range(2019, 2027)]
    rows += [row(LEA, "chronic_absenteeism", 2026), row(SCHOOL, "chronic_absenteeism", 2019)]
    header = built(rows)["organizations/school-00010001.html"]
    assert "2018–19" in header and "2025–26</th>" not in header


def test_names_are_escaped(built):
    strange = ("school", "00010002", "<b>Bold & Co</b>", "0001", "First District")
    rows = [row(STATE, "chronic_absenteeism", 2026), row(strange, "chronic_absenteeism", 2026)]
    assert "<b>Bold" not in built(rows)["organizations/school-00010002.html"]


def test_a_chart_is_taken_from_the_cache_and_keeps_its_own_label(tmp_path, monkeypatch):
    points = [("A & B", "2024–25", 0.1), ("A & B", "2025–26", None)]
    first = charts.trend(points, "One <label>", True, tmp_path)
    monkeypatch.setitem(__import__("sys").modules, "vl_convert", None)
    second = charts.trend(points, "Another", True, tmp_path)
    assert 'aria-label="One &lt;label&gt;"' in first and 'aria-label="Another"' in second
    assert first.partition(">")[2] == second.partition(">")[2] and first.count("role=") == 1


def test_a_chart_with_more_series_than_shapes_is_refused():
    with pytest.raises(ValueError, match="at most"):
        charts.trend([(str(n), "2025–26", 0.1) for n in range(20)], "Too many", True)


def test_groups_of_which_nothing_can_be_shown_are_named_instead_of_listed(built):
    hidden = {"breakdown_code": "gender", "group_code": "female"}
    rows = [row(STATE, "chronic_absenteeism", 2026), row(STATE, "chronic_absenteeism", 2026, "suppressed", **hidden)]
    page = built(rows)["organizations/state-state.html"]
    assert "No figure by student group can be shown." in page and "by student group</summary>" not in page


def test_the_overview_says_how_many_rows_it_leaves_out(built):
    rows = [row(STATE, "program_participation", 2026, subject_code=f"s{number:02}") for number in range(25)]
    assert "5 more are on" in built(rows)["index.html"]


def test_files_of_third_parties_are_labeled_with_license_and_what_they_are(home, tmp_path, no_drawing):
    folder, rows = tmp_path / "site", [row(STATE, "chronic_absenteeism", 2026)]
    rows.append(
        row(("institution", "OU", "Open University", None, None), "course_completion", 2014, subject_code="AAA")
    )
    data = write_tables(tmp_path / "data", rows)
    pl.DataFrame(
        [
            ("public_oulad", "postsecondary__course_result", "course_completion", 2014, "available", ""),
            ("public_edfi", "k12__enrollment", "chronic_absenteeism", 2022, "missing_collection", "Not delivered"),
        ],
        schema=["source", "collection", "indicator_code", "school_year", "status", "missing"],
        orient="row",
    ).write_parquet(data / "mart_availability.parquet")
    site.build_site(home, data, folder, gate())
    for name in ("index.html", "organizations/institution-ou.html"):
        page = (folder / name).read_text()
        assert "not a population of the United States." in page and "CC BY 4.0" in page, name
    assert "Not this state" not in (folder / "organizations" / "state-state.html").read_text()


def test_indicators_without_figures_stand_last_by_name_only(built):
    page = text(built([row(STATE, "chronic_absenteeism", 2026)])["index.html"])
    last = page.index("Without figures in this release")
    assert page.index("Kindergarten readiness") > last > page.index("Chronic absenteeism")


def test_a_year_of_which_nothing_is_known_is_a_sentence_and_no_column_of_dots(built):
    page = built()["organizations/school-00010002.html"]
    assert "…" not in page and "<table" not in page and "There is no figure yet." in page
    assert "2028–29 not yet: the time in which this is counted ends in August 2029." in text(page)
    assert "2029–30 not yet: the time in which this is counted ends in August 2030." in text(page)


def test_years_before_the_first_that_is_known_are_not_told_as_coming(built):
    rows = [row(STATE, "four_year_graduation", year, "window_open") for year in (2019, 2020, 2027)]
    rows += [row(STATE, "four_year_graduation", year) for year in (2021, 2022)]
    page = text(built(rows)["organizations/state-state.html"])
    assert "2018–19 to 2019–20 not known: deliveries do not cover the whole time" in page
    assert "counted, from July 2015 on." in page
    assert "2026–27 not yet: the time in which this is counted ends in August 2027." in page


def test_an_organization_that_no_directory_names_has_a_readable_name_and_a_note(built):
    unknown = ("institution", "OPEN_UNIVERSITY_UK", "Not in the directory: OPEN_UNIVERSITY_UK", None, None)
    district = ("lea", "0009", "Not in the directory: 0009", None, None)
    rows = [row(STATE, "chronic_absenteeism", 2026), row(district, "chronic_absenteeism", 2026)]
    pages = built([*rows, row(unknown, "course_completion", 2014, subject_code="AAA")])
    page = pages["organizations/institution-open-university-uk.html"]
    assert "<h1>Open University UK</h1>" in page and "Not in the directory." in page
    assert "<h1>District 0009</h1>" in pages["organizations/lea-0009.html"]
    assert "Not in the directory" not in pages["organizations/state-state.html"]


def part(page: str, code: str) -> str:
    """A transition's section of the page of flows."""
    return page[page.index(f'<h2 id="{code}">') :].partition("</section>")[0]


def test_flows_show_the_newest_cohort_of_the_state_and_of_each_district(built):
    page = part(built()["transitions/index.html"], "early_childhood__kindergarten")
    state, _, places = page.partition("<h3>")
    assert "2025–26" in text(state) and re.search(r"Head Start\s+100\b", text(state))
    assert re.search(r"First District\s+Head Start\s+60\s+Second District\s+Head Start\s+30\b", text(places))
    assert "None found" not in page and "107" not in page  # the cohort before


def test_flows_by_kind_and_by_institution_stand_apart_and_the_picture_shows_one_of_them(built):
    page = part(built()["transitions/index.html"], "high_school__college")
    assert "the two are not to be added" in text(page)
    picture = page[page.index("<figure>") : page.index("</figure>")]
    assert "Public, 2-year, in the state" in picture and "Example College" not in picture
    captions = re.findall(r"<caption>(.*?)</caption>", page)
    assert [each.split(", ")[1] for each in captions] == ["by kind of institution", "by institution"] * 2
    kinds = page[page.index(captions[0]) : page.index(captions[1])]
    assert "101" in kinds and "Example College" not in kinds


def test_pages_of_districts_and_colleges_link_to_their_flows(built):
    pages = built()
    flows = pages["transitions/index.html"]
    lea, institution = pages["organizations/lea-0001.html"], pages["organizations/institution-00999900.html"]
    for code in ("early-childhood-kindergarten-0001", "high-school-college-0001"):
        assert f'href="../transitions/index.html#{code}"' in lea and flows.count(f'id="{code}"') == 1
    assert 'href="../transitions/index.html#high_school__college"' in institution
    assert 'href="transitions/index.html"' in pages["index.html"]
    assert "transitions/index.html#" not in pages["organizations/school-00010001.html"]


def test_flows_say_that_they_are_changed_and_that_small_ones_are_not_shown(built):
    page = text(built()["transitions/index.html"])
    assert "changed a little at random" in page and "Small flows are not shown" in page
    assert page.index("Without figures in this release") < page.rindex("From college to work")


def test_a_year_that_a_revision_leaves_as_it_was_says_so(built, tmp_path):
    years = [("chronic_absenteeism", 2025, "not_revised"), ("four_year_graduation", 2025, "frozen")]
    rows = [{"family": family, "year": year, "origin": origin} for family, year, origin in years]
    (tmp_path / "release.json").write_text(json.dumps({"years": rows}))
    page = built()["organizations/state-state.html"]
    assert "The figures of 2024–25 stay as they were published" in text(part(page, "chronic_absenteeism"))
    assert "stay as they were published" not in text(part(page, "four_year_graduation"))


def test_flows_that_are_held_without_a_number_are_not_shown_and_the_page_says_why(home, tmp_path, no_drawing):
    data, code = write_tables(tmp_path / "data"), "high_school__college"
    college = ("institution", "00999900", "Example College")
    write_flows(data, [flow(code, 2024, STATE[:3], college, 55), flow(code, 2025, STATE[:3], college, 0, "incomplete")])
    held = {
        "family": f"mart_transition__{code}",
        "mart": f"mart_transition__{code}",
        "decision": "hold",
        "held_years": [2025],
        "reasons": [{"code": "delivery_missing_or_failing", "collection": "k12__completion", "school_year": 2025}],
    }
    site.build_site(home, data, tmp_path / "site", gate(families=[held]))
    page = text(part((tmp_path / "site" / "transitions" / "index.html").read_text(), code))
    assert "Held. Not brought up to date in this release. A delivery is missing or was refused." in page
    assert re.search(r"Example College\s+55\b", page) and "2023–24" in page and "2024–25" not in page


def test_flows_of_an_earlier_release_without_types_know_the_state_by_its_id(home, tmp_path, no_drawing):
    data, code = write_tables(tmp_path / "data"), "college__work"
    industry = ("industry", "61", "Educational services")
    write_flows(data, [flow(code, 2024, each[:3], industry, 44) for each in (STATE, INSTITUTION)])
    path = data / f"mart_transition__{code}.parquet"
    pl.read_parquet(path).drop("origin_type_code", "destination_type_code").write_parquet(path)
    site.build_site(home, data, tmp_path / "site", gate())
    state, _, places = part((tmp_path / "site" / "transitions" / "index.html").read_text(), code).partition("<h3>")
    assert "Example College" not in state and "Example College" in places


def test_the_overview_says_how_much_is_known_and_why_not_more(built):
    page = built()["index.html"]
    college = text(page[page.index('id="college_going_fall"') : page.index('id="employment_year_1_after_high_school"')])
    assert "Of everyone in 2024–25: 94% counted; 6% no information, because no source was asked" in college
    work = text(page[page.index('id="employment_year_1_after_high_school"') :])
    assert "8% could not be determined: none of their records can be linked to wages; less than 1%" in work
    assert "77%" not in page  # the cohort before


def test_pages_are_written_without_flows_and_without_coverage(home, tmp_path, no_drawing):
    data = write_tables(tmp_path / "data")
    for path in [*data.glob("mart_transition__*.parquet"), data / "mart_coverage.parquet"]:
        path.unlink()
    site.build_site(home, data, tmp_path / "site", gate())
    page = text((tmp_path / "site" / "transitions" / "index.html").read_text())
    assert page.count("From college to work") == 1 and "Without figures in this release" in page
    assert "How much of it is known" not in (tmp_path / "site" / "index.html").read_text()
    write_tables(data)
    for path in [*data.glob("mart_transition__*.parquet"), data / "mart_coverage.parquet"]:
        pl.read_parquet(path).clear().write_parquet(path)
    site.build_site(home, data, tmp_path / "empty", gate())
    assert (tmp_path / "empty" / "index.html").exists()


def test_a_page_says_where_an_indicator_told_by_differential_privacy_is_found(home, tmp_path, no_drawing):
    data = write_tables(tmp_path / "data")
    rows = {"indicator_code": ["employment_year_1_after_high_school"] * 2, "cohort_year": [2028, 2027]}
    pl.DataFrame(rows).write_parquet(data / "mart_earnings_private.parquet")
    site.build_site(home, data, tmp_path / "site", gate())
    page = (tmp_path / "site" / "organizations" / "state-state.html").read_text()
    told = "From the cohort of 2027 on, how many were found and what they earned is told with random noise"
    assert text(page).count(told) == 1
    assert told in text(page[page.index('id="employment_year_1_after_high_school"') :])


def test_flows_made_from_files_of_third_parties_are_labeled(home, tmp_path, no_drawing):
    data = write_tables(tmp_path / "data")
    pl.DataFrame(
        [("public_oulad", "postsecondary__enrollment", "college_going_fall", 2014, "available", "")],
        schema=["source", "collection", "indicator_code", "school_year", "status", "missing"],
        orient="row",
    ).write_parquet(data / "mart_availability.parquet")
    site.build_site(home, data, tmp_path / "site", gate())
    page = (tmp_path / "site" / "transitions" / "index.html").read_text()
    assert "Not this state’s own records" in part(page, "high_school__college")
    assert "Not this state’s own records" not in part(page, "early_childhood__kindergarten")
