"""The gate: absent evidence and shared core refuse everything, the rest is decided family by family."""

from __future__ import annotations

import json

import pytest
from release_home import row

BUILD = "20261121T191500-3fa2"
ALL = "course;graduation"


def decisions(decision) -> dict[str, str]:
    return {name: family.decision for name, family in decision.families.items()}


def test_a_good_night_publishes_every_family(installation):
    decision = installation.night(BUILD)
    assert decision.outcome == "publish"
    assert decisions(decision) == dict.fromkeys(("course", "graduation", "mart_availability", "mart_flow"), "publish")


@pytest.mark.parametrize(
    "source",
    ["intake", "disclosure", "release_attack", "told_once", "expectation", "dbt_identity", "dbt_warehouse", "dbt_mart"],
)
def test_absent_evidence_refuses_the_whole_release(installation, source):
    decision = installation.night(BUILD, without=(source,))
    assert decision.outcome == "refuse"
    assert [reason.code for reason in decision.reasons] == ["evidence_absent"]
    assert set(decisions(decision).values()) == {"refuse"}


def test_expectations_of_another_candidate_are_no_evidence(installation):
    first = installation.night(BUILD)
    installation.warehouse({("graduation", 2024): 50})
    second = installation.night("20261121T191500-4444", without=("expectation",))
    installation.evidence("20261121T191500-5555", first.candidate_id)
    assert second.outcome == "refuse"


def test_a_disclosure_finding_refuses_everything_and_no_waiver_helps(installation):
    finding = row("disclosure.official_indicator.null_space", "disclosure", category="disclosure", status="fail")
    waive(installation, check_id=finding["check_id"])
    decision = installation.night(BUILD, [finding])
    assert decision.outcome == "refuse"
    assert decision.reasons[0].code == "disclosure_finding"
    assert "cannot be waived" in decision.waiver_errors[0]


def test_a_failed_check_on_shared_core_refuses_everything(installation):
    for layer, check_id in (
        ("warehouse", "warehouse.dim_organization.unique__organization_key"),
        ("linkage", "linkage.x.y"),
    ):
        decision = installation.night(f"20261121T191500-{layer[:4]}", [row(check_id, layer, status="fail", family="")])
        assert (decision.outcome, decision.reasons[0].code) == ("refuse", "shared_core_failed")


def test_a_skipped_shared_table_counts_as_its_failure(installation):
    decision = installation.night(BUILD, [row("warehouse.dim_organization.builds", "warehouse", status="skipped")])
    assert decision.outcome == "refuse"


def test_a_missing_delivery_holds_the_years_that_read_it(installation):
    missing = row(
        "intake.k12__completion.delivered", "intake", category="completeness", status="fail",
        collection="k12__completion", submitter="lea_2", school_year=2023,
    )  # fmt: skip
    decision = installation.night(BUILD, [missing])
    assert decision.families["graduation"].decision == "hold"
    assert decision.families["graduation"].held_years == [2023, 2024]
    assert decision.families["graduation"].reasons[0].submitter == "lea_2"
    assert decision.families["course"].decision == "publish"


def of_linked_families(installation) -> None:
    """Three official families, the first nested in the second; a perturbed one nested as well, and one apart."""
    names = ("indicator_code", "protection", "nested_in", "collections", "reads_years", "certification_rule")
    rows = (
        ("fall", "official", "year", "k12__completion", "0", "certified"),
        ("year", "official", "", "postsecondary__enrollment", "0;1", "certified"),
        ("absence", "official", "", "k12__attendance", "0", "latest"),
        ("course", "perturbed", "year", "postsecondary__course_result", "0", "latest"),
    )
    more = {"breakdowns": "all", "levels": "state"}
    installation.seed("registers/indicator.csv", [dict(zip(names, row, strict=True)) | more for row in rows])
    numbers = {(code, year): 80 for code, *_ in rows for year in (2023, 2024)}
    installation.warehouse(numbers, official=("fall", "year", "absence"))


@pytest.mark.parametrize(
    ("collection", "school_year", "held"),
    [
        ("k12__completion", 2024, [2024]),  # the inner one, so the outer one too
        ("postsecondary__enrollment", 2024, [2023, 2024]),  # the outer one, so the inner one too
        ("k12__completion", None, None),
    ],
)
def test_linked_official_families_are_held_together_and_no_other(installation, collection, school_year, held):
    of_linked_families(installation)
    missing = row(
        f"intake.{collection}.delivered", "intake", category="completeness", status="fail",
        collection=collection, submitter="lea_2", school_year=school_year,
    )  # fmt: skip
    decision = installation.night(BUILD, [missing])
    assert {name: (each.decision, each.held_years) for name, each in decision.families.items()} == {
        "fall": ("hold", held),
        "year": ("hold", held),
        "absence": ("publish", []),
        "course": ("publish", []),
        "mart_availability": ("publish", []),
        "mart_flow": ("publish", []),
    }
    drawn = "year" if collection == "k12__completion" else "fall"
    reason = decision.families[drawn].reasons[-1]
    assert (reason.code, reason.family) == ("linked_family_held", "fall" if drawn == "year" else "year")
    assert [each.code for each in decision.families[reason.family].reasons] == ["delivery_missing_or_failing"]
    assert {"code": "linked_family_held", "family": reason.family}.items() <= reason.public().items()


def preliminary(submitter: str, school_year: int) -> dict:
    return row(
        "intake.k12__completion.certified", "intake", severity="warn", status="fail", total_count=0,
        collection="k12__completion", submitter=submitter, school_year=school_year, message="Certify it.",
    )  # fmt: skip


def test_a_preliminary_delivery_holds_the_years_of_families_that_read_certified_ones(installation):
    of_linked_families(installation)
    installation.seed("registers/family.csv", [{"family": "mart_flow", "collections": "k12__completion"}])
    decision = installation.night(BUILD, [preliminary("lea_1", 2024), preliminary("lea_2", 2024)])
    fall = decision.families["fall"]
    assert (fall.decision, fall.held_years) == ("hold", [2024])
    assert [(each.code, each.collection, each.submitter, each.school_year) for each in fall.reasons] == [
        ("delivery_not_certified", "k12__completion", "lea_1", 2024),
        ("delivery_not_certified", "k12__completion", "lea_2", 2024),
    ]
    assert decisions(decision)["absence"] == decisions(decision)["mart_flow"] == "publish"


def test_families_that_read_the_latest_delivery_do_not_wait_for_certification(installation):
    decision = installation.night(BUILD, [preliminary("lea_1", 2024)])  # the register names no rule
    assert set(decisions(decision).values()) == {"publish"}


def test_a_failed_check_on_one_family_holds_the_others_with_that_cause(installation):
    rule = "warehouse.ind_graduation.one_row_a_person"
    skipped = row("warehouse.cube_indicator.builds", "warehouse", status="skipped", family=ALL, cause=rule)
    failed = row(rule, "warehouse", status="fail", family="graduation")
    decision = installation.night(BUILD, [failed, skipped])
    assert decision.outcome == "publish" and decisions(decision)["mart_flow"] == "publish"
    found = {
        name: [(each.code, each.check_id, each.family) for each in decision.families[name].reasons]
        for name in ("course", "graduation")
    }
    assert found == {
        "course": [("skipped_because_of_failure", rule, "graduation")],
        "graduation": [("check_failed", rule, "")],
    }
    # A waiver for the check does not make the table: what was not rebuilt stays held.
    waive(installation, check_id=rule)
    decision = installation.night("20261121T191500-0002", [failed, skipped])
    assert decisions(decision)["course"] == decisions(decision)["graduation"] == "hold"


def test_a_failure_without_year_holds_all_years_and_without_collection_all_families(installation):
    decision = installation.night(BUILD, [row("intake.x.balances", "intake", status="fail")])
    assert decision.families["course"].held_years is None
    assert decision.families["graduation"].decision == "hold"
    # nothing of mart_availability was released before and it cannot say "incomplete"
    assert decision.families["mart_availability"].decision == "refuse"


def test_thresholds_are_applied_again_to_stored_counts(installation):
    few = row(
        "intake.k12__completion.quarantined", "intake", status="fail", failing_count=1, total_count=1000,
        collection="k12__completion", school_year=2024,
    )  # fmt: skip
    assert installation.night(BUILD, [few]).families["graduation"].decision == "hold"
    installation.seed("policy/check_threshold.csv", [{"check_id": "intake.*.quarantined", "maximum_share": "0.005"}])
    assert installation.night("20261121T191500-0002", [few]).families["graduation"].decision == "publish"
    many = {**few, "failing_count": 6}
    assert installation.night("20261121T191500-0003", [many]).families["graduation"].decision == "hold"
    could_not_run = {**few, "status": "error"}
    assert installation.night("20261121T191500-0004", [could_not_run]).families["graduation"].decision == "hold"


def test_no_threshold_lets_a_disclosure_finding_pass(installation):
    installation.seed("policy/check_threshold.csv", [{"check_id": "*", "maximum_share": "0.01"}])
    found = row(
        "disclosure.release.attack", "disclosure", category="disclosure", status="fail", failing_count=3,
        total_count=100_000,
    )  # fmt: skip
    decision = installation.night(BUILD, [found])
    assert decision.outcome == "refuse"
    assert [reason.code for reason in decision.reasons] == ["disclosure_finding"]


@pytest.mark.parametrize("share", ["much", "nan", "2", ""])
def test_a_malformed_threshold_refuses_and_is_named(installation, share):
    installation.seed("policy/check_threshold.csv", [{"check_id": "intake.*", "maximum_share": share}])
    decision = installation.night(BUILD)
    assert decision.outcome == "refuse"
    assert "check_threshold.csv, line 2" in decision.reasons[0].message


def test_unreadable_evidence_refuses(installation):
    installation.night(BUILD)
    broken = installation.settings.evidence / "check_result" / "20261121T191500-9999"
    broken.mkdir()
    (broken / "intake.parquet").write_text("no parquet")
    decision = installation.night("20261121T191500-9999")
    assert decision.outcome == "refuse"
    assert decision.reasons[0].code == "evidence_unreadable"
    assert "no parquet" not in decision.reasons[0].message


def test_a_failed_test_holds_the_families_that_its_lineage_names(installation):
    decision = installation.night(BUILD, [row("warehouse.fct_x.unique", "warehouse", status="fail", family="course")])
    assert decisions(decision)["course"] == "hold"
    assert decisions(decision)["graduation"] == "publish"
    decision = installation.night(
        "20261121T191500-0002", [row("warehouse.cube.builds", "warehouse", status="error", family=ALL)]
    )
    assert decisions(decision)["graduation"] == "hold"
    assert decisions(decision)["mart_flow"] == "publish"


def test_an_expectation_holds_the_cohort_year_of_its_rows(installation):
    extra = row("expectation.mart.key", "expectation", status="fail", family="graduation", school_year=2023)
    made = installation.night(BUILD).candidate_id
    decision = installation.night("20261121T191500-0002", [{**extra, "input_fingerprint": made}])
    assert decision.families["graduation"].held_years == [2023]


def test_warnings_stop_nothing(installation):
    decision = installation.night(
        BUILD, [row("warehouse.dim_organization.x", "warehouse", severity="warn", status="warn")]
    )
    assert set(decisions(decision).values()) == {"publish"}


def test_a_waiver_lets_a_named_check_pass_and_is_printed(installation):
    failed = row("warehouse.fct_x.unique", "warehouse", status="fail", family="course")
    waive(installation, check_id="warehouse.fct_x.unique")
    decision = installation.night(BUILD, [failed])
    assert decisions(decision)["course"] == "publish"
    assert decision.waivers[0]["approved_by"] == "chair"
    assert decision.waiver_errors == []


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"expires_on": "2026-11-01"}, "expired on 2026-11-01"),
        ({"expires_on": "2028-11-01"}, "more than a year"),
        ({"expires_on": "soon"}, "is not a date"),
        ({"approved_by": "somebody"}, "not an officer"),
        ({"approved_by": "former"}, "not an officer"),
        ({"entered_by": "chair"}, "another officer"),
        ({"entered_by": "chair "}, "another officer"),
        ({"reason": ""}, "reason is empty"),
        ({"approved_on": "2026-12-01"}, "in the future"),
    ],
)
def test_a_wrong_waiver_has_no_effect_and_is_named(installation, change, words):
    failed = row("warehouse.fct_x.unique", "warehouse", status="fail", family="course")
    waive(installation, check_id="warehouse.fct_x.unique", **change)
    decision = installation.night(BUILD, [failed])
    assert decisions(decision)["course"] == "hold"
    assert words in decision.waiver_errors[0]
    assert "warehouse.fct_x.unique" in decision.waiver_errors[0]


def test_the_public_edition_has_no_counts_and_the_restricted_one_has(installation):
    failed = row(
        "intake.k12__completion.quarantined", "intake", status="fail", failing_count=3, total_count=71,
        collection="k12__completion", school_year=2024, message="3 of 71 rows",
    )  # fmt: skip
    installation.night(BUILD, [failed])
    public = (installation.settings.candidate / "gate.json").read_text()
    exact = (installation.settings.evidence / "gate" / f"{BUILD}.json").read_text()
    assert "71" not in public.replace(json.loads(public)["candidate_id"], "")
    assert "failing_count" not in public
    assert "3 of 71 rows" in exact


def test_a_family_that_the_night_did_not_make_is_refused(installation):
    installation.seed("registers/family.csv", [{"family": "mart_nowhere", "collections": "", "reads_years": "0"}])
    decision = installation.night(BUILD)
    assert decision.outcome == "publish"
    assert decisions(decision)["mart_nowhere"] == "refuse"


def test_a_recorded_decision_can_be_read_back(installation):
    from pipelines.release.gate import load_decision

    decision = installation.night(BUILD, [row("warehouse.fct_x.unique", "warehouse", status="fail", family="course")])
    assert load_decision(installation.settings, BUILD) == decision


def waive(installation, **change) -> None:
    waiver = {
        "check_id": "", "collection": "", "submitter": "", "reason": "known gap",
        "effect_on_numbers": "rates of course up to 1 point higher", "entered_by": "clerk", "approved_by": "chair",
        "approved_on": "2026-11-02", "meeting": "2026-11", "expires_on": "2027-05-01",
    }  # fmt: skip
    installation.seed("registers/waiver.csv", [{**waiver, **change}])
