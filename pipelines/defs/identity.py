"""Who is the same person: one step after the pairs. The rules are in `pipelines/identity`."""

from collections.abc import Iterator

import dagster as dg

from pipelines import planner
from pipelines.defs.boundary import step, untouched

TABLES = ("brg_record_person", "person", "person_redirect", "organization_key", "link_not_determined")


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
    from pipelines.identity.measure import measure_links
    from pipelines.identity.run import run_identity
    from pipelines.intake.views import create_views
    from pipelines.quality.recompute.linkage import linkage_effect

    with step("identity") as settings:
        reason = untouched(settings)
        metadata = {"state": f"kept: {reason}"}
        if reason is None:
            build_id = planner.current_build(settings)
            summary = run_identity(settings, build_id)
            measure_links(settings, build_id)
            create_views(settings)
            if (settings.truth / "record_truth.parquet").exists():
                linkage_effect(settings, build_id)
            metadata = summary.as_metadata()
    for table in TABLES:
        yield dg.MaterializeResult(asset_key=["registry", table], metadata=metadata)
