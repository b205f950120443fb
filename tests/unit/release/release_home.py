"""A tiny installation: a warehouse with a few marts, registers of its own, and all evidence of a good night."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

from pipelines import planner
from pipelines.quality import check_result
from pipelines.release import candidate, gate, publish
from pipelines.settings import Settings

LONG_COLUMNS = """
    indicator_code TEXT, subject_code TEXT, definition_version TEXT, school_year INTEGER, cohort_year INTEGER,
    organization_level TEXT, organization_id_state TEXT, organization_id_nces TEXT, organization_name TEXT,
    lea_id_state TEXT, lea_name TEXT, breakdown_code TEXT, group_code TEXT, group_name TEXT,
    denominator_count BIGINT, numerator_count BIGINT, rate DECIMAL(9,6), rate_low DECIMAL(9,6),
    rate_high DECIMAL(9,6), rate_label TEXT, value_amount BIGINT, value_unit TEXT, value_status TEXT,
    suppression_reason TEXT, protection TEXT
"""


@dataclass
class Installation:
    """Settings of a test's own home, and the acts of a night on it."""

    settings: Settings

    def seed(self, name: str, rows: list[dict]) -> None:
        path = self.settings.seeds / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("w", newline="") as handle:
            writer = csv.DictWriter(handle, list(rows[0]))
            writer.writeheader()
            writer.writerows(rows)

    def warehouse(
        self,
        numerators: dict[tuple[str, int], int],
        statuses: dict[tuple[str, int], str] | None = None,
        official: tuple[str, ...] = ("graduation",),
    ):
        """Marts with one State row for each (indicator, cohort year) of 100 people, and two small marts."""
        rows = []
        for (code, year), numerator in numerators.items():
            status = (statuses or {}).get((code, year), "shown")
            hidden = status != "shown"
            protection = "official" if code in official else "perturbed"
            rows.append(
                [code, "all", "1", year, year, "state", "STATE", None, "The State", None, None, "all", "all", "All",
                 None if hidden else 100, None if hidden else numerator, None if hidden else numerator / 100, None,
                 None, None, None, None, status, "", protection]
            )  # fmt: skip
        self.settings.home.mkdir(exist_ok=True)
        self.settings.warehouse_file.unlink(missing_ok=True)
        with duckdb.connect(str(self.settings.warehouse_file)) as con:
            con.execute("CREATE SCHEMA marts")
            con.execute(f"CREATE TABLE marts.mart_indicator__organization ({LONG_COLUMNS})")
            con.executemany(f"INSERT INTO marts.mart_indicator__organization VALUES ({', '.join('?' * 25)})", rows)
            con.execute(
                "CREATE TABLE marts.mart_availability AS SELECT 'lea_1' AS source, 'k12__completion' AS collection, "
                "'graduation' AS indicator_code, 2024 AS school_year, 'available' AS status, '' AS missing"
            )
            con.execute(
                "CREATE TABLE marts.mart_flow AS SELECT 2024 AS cohort_year, 'a' AS origin_code, 'b' AS "
                "destination_code, 20::BIGINT AS person_count, 'shown' AS value_status, 'perturbed' AS protection"
            )

    def evidence(self, build_id: str, candidate_id: str, extra: list[dict] = (), without: tuple[str, ...] = ()):
        """All evidence that a good night leaves, and rows of the test's own."""
        sources = {
            "intake": [row("intake.k12__completion.delivered", "intake")],
            "disclosure": [row("disclosure.official_indicator.no_cell_found", "disclosure", category="disclosure")],
            "release_attack": [row(gate.ATTACK, "disclosure", category="disclosure", input_fingerprint=candidate_id)],
            "told_once": [
                row(
                    "disclosure.candidate.told_once",
                    "disclosure",
                    category="disclosure",
                    input_fingerprint=candidate_id,
                )
            ],
            "expectation": [row("expectation.mart.rate", "expectation", input_fingerprint=candidate_id)],
            "dbt_identity": [row("linkage.dbt_identity.run_results_recorded", "linkage")],
            "dbt_warehouse": [row("warehouse.dbt_warehouse.run_results_recorded", "warehouse")],
            "dbt_mart": [row("warehouse.dbt_mart.run_results_recorded", "warehouse")],
        }
        for source, rows in sources.items():
            if source not in without:
                check_result.record(self.settings, build_id, source, rows)
        if extra:
            check_result.record(self.settings, build_id, "extra", list(extra))

    def night(self, build_id: str, extra: list[dict] = (), without: tuple[str, ...] = ()) -> gate.GateDecision:
        """Candidate, evidence and decision of one night on the warehouse as it is."""
        made = candidate.build_candidate(self.settings, build_id)
        self.evidence(build_id, made.id, extra, without)
        return gate.decide(self.settings, build_id, made, planner.day_of(build_id))

    def publish(self, decision: gate.GateDecision, today: date, **more) -> publish.PublishResult:
        return publish.publish(self.settings, decision.build_id, decision, today=today, **more)

    def rows(self, columns: str, where: str = "true") -> list[tuple]:
        """Rows of the long mart of the current release."""
        path = self.settings.releases / "current" / "data" / "mart_indicator__organization.parquet"
        query = f"SELECT {columns} FROM read_parquet('{path}') WHERE {where} ORDER BY ALL"
        return duckdb.sql(query).fetchall()


def row(check_id: str, layer: str, **more) -> dict:
    """A passing check row, changed by `more`."""
    return {
        "check_id": check_id,
        "layer": layer,
        "category": "conformance",
        "severity": "error",
        "status": "pass",
        "total_count": 100,
        **more,
    }


def keep_delivery(settings: Settings, delivery_id: str) -> None:
    """A delivery as intake keeps it, in use."""
    folder = settings.landing / ".received" / delivery_id
    folder.mkdir(parents=True)
    (folder / "enrollment.csv").write_text("a\n1\n")
    settings.evidence.mkdir(parents=True, exist_ok=True)
    place = {"submitter": "lea_1", "package": "k12_annual", "period": "2024"}
    line = {"delivery_id": delivery_id, **place, "status": "accepted"}
    pl.DataFrame([line]).write_parquet(settings.evidence / "ledger.parquet")
