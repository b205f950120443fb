"""Who is the same person, and how right that is: two steps after the pairs. The rules are in `pipelines/identity`."""

from collections.abc import Iterator

import dagster as dg

from pipelines import planner
from pipelines.defs.boundary import step, untouched

TABLES = ("brg_record_person", "person", "person_redirect", "organization_key", "link_not_determined")
LINK_QUALITY = dg.AssetKey(["evidence", "link_quality"])


@dg.multi_asset(
    name="identity",
    specs=[
        dg.AssetSpec(
            ["registry", table],
            deps=[dg.AssetKey(["linkage", "int_linkage__pair"])],
            group_name="identity",
            description="Random lasting keys, as they cross from the vault to the warehouse.",
        )
        for table in TABLES
    ],
)
def identity() -> Iterator[dg.MaterializeResult]:
    from pipelines.identity.run import run_identity
    from pipelines.intake.views import create_views

    with step("identity") as settings:
        reason = untouched(settings)
        metadata = {"state": f"kept: {reason}"}
        if reason is None:
            summary = run_identity(settings, planner.current_build(settings))
            create_views(settings)
            metadata = summary.as_metadata()
    for table in TABLES:
        yield dg.MaterializeResult(asset_key=["registry", table], metadata=metadata)


@dg.asset(
    key=LINK_QUALITY,
    deps=[dg.AssetKey(["registry", table]) for table in TABLES],
    group_name="identity",
    description="How right the links are by pair of sectors, and, where the truth is known, what their errors do to "
    "indicators.",
)
def link_quality() -> dg.MaterializeResult:
    from pipelines.identity.measure import measure_links
    from pipelines.quality.recompute.linkage import linkage_effect

    with step("linkage measurement") as settings:
        reason = untouched(settings)
        if reason is not None:
            return dg.MaterializeResult(metadata={"state": f"kept: {reason}"})
        build_id = planner.current_build(settings)
        measured = measure_links(settings, build_id)
        if (settings.truth / "record_truth.parquet").exists():
            linkage_effect(settings, build_id)
    return dg.MaterializeResult(metadata={"figures": measured.height})
