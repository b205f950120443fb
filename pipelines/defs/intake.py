"""Deliveries become accepted rows: one step a sector. Rules are in `pipelines/intake` and `schemas/`."""

from collections.abc import Iterator

import dagster as dg

from pipelines import planner, writer_lock
from pipelines.defs.boundary import step
from pipelines.intake.calendar import freshness_windows
from pipelines.settings import settings as read_settings
from schemas import collections

BUILD = dg.AssetKey(["night", "build"])
PLAN = dg.AssetKey(["night", "plan"])
LANDING = dg.AssetKey(["landing", "deliveries"])
IDENTITY_RECORD = dg.AssetKey(["vault", "identity_record"])
CURRENT_RECORD = dg.AssetKey(["vault", "current_record"])
FRESHNESS_WINDOWS = freshness_windows(read_settings())

landing = dg.AssetSpec(LANDING, description="Deliveries as agencies sent them.", group_name="intake")


def freshness(collection: str) -> dg.FreshnessPolicy | None:
    """Stale once no delivery in time could explain the wait; None where the calendar register promises none."""
    window = FRESHNESS_WINDOWS.get(collection)
    return None if window is None else dg.FreshnessPolicy.time_window(fail_window=window)


def accepted_key(collection: str) -> dg.AssetKey:
    return dg.AssetKey(["accepted", collection])


@dg.asset(key=BUILD, group_name="night", deps=[LANDING], description="The night's build id; holds the writer's right.")
def night_build(context: dg.AssetExecutionContext) -> dg.MaterializeResult:
    from pipelines.release.publish import recover

    with step("begin") as settings:
        writer_lock.acquire(settings, f"run {context.run_id[:8]}")
        recover(settings)
        build_id = planner.begin(settings, context.run_tags.get("p20w/build_id"))
    return dg.MaterializeResult(metadata={"build_id": build_id})


def sector_assets(sector: str, names: list[str]) -> dg.AssetsDefinition:
    """One step for a sector: every collection is an asset with its conformance check."""

    @dg.multi_asset(
        name=f"intake_{sector}",
        specs=[
            dg.AssetSpec(
                accepted_key(name),
                deps=[BUILD],
                group_name="intake",
                description=collections()[name].title,
                freshness_policy=freshness(name),
            )
            for name in names
        ],
        check_specs=[
            dg.AssetCheckSpec("rows_conform", asset=accepted_key(name), description="Rows have the shape agreed.")
            for name in names
        ],
    )
    def intake(context: dg.AssetExecutionContext) -> Iterator[dg.MaterializeResult | dg.AssetCheckResult]:
        from pipelines.intake.run import run_intake

        with step(f"intake {sector}") as settings:
            summary = run_intake(settings, planner.current_build(settings), sector)
            for name in names:
                counts = summary.collections[name]
                yield dg.MaterializeResult(
                    asset_key=accepted_key(name),
                    metadata={"accepted rows": counts.accepted, "quarantined rows": counts.quarantined},
                )
                yield dg.AssetCheckResult(
                    asset_key=accepted_key(name),
                    check_name="rows_conform",
                    passed=counts.quarantined == 0,
                    severity=dg.AssetCheckSeverity.WARN,
                    metadata={"quarantined rows": counts.quarantined},
                )

    return intake


def by_sector() -> dict[str, list[str]]:
    sectors: dict[str, list[str]] = {}
    for name, collection in collections().items():
        sectors.setdefault(collection.sector, []).append(name)
    return sectors


SECTORS = by_sector()
(intake_shared, intake_early_childhood, intake_k12, intake_postsecondary, intake_workforce, intake_child_welfare) = (
    sector_assets(sector, SECTORS[sector])
    for sector in ("shared", "early_childhood", "k12", "postsecondary", "workforce", "child_welfare")
)


@dg.multi_asset(
    name="plan",
    specs=[
        dg.AssetSpec(
            PLAN,
            deps=[accepted_key(name) for name in collections()],
            group_name="night",
            description="What tonight touches: nothing, when its inputs equal the last complete build's.",
        ),
        dg.AssetSpec(
            IDENTITY_RECORD,
            deps=[accepted_key(name) for name in collections()],
            group_name="identity",
            description="Identifiers of every collection, inside the encrypted vault.",
        ),
        dg.AssetSpec(
            CURRENT_RECORD,
            deps=[accepted_key(name) for name in collections()],
            group_name="identity",
            description="Keys of the records that active deliveries hold.",
        ),
    ],
)
def night_plan() -> Iterator[dg.MaterializeResult]:
    from pipelines.identity.current import write_current
    from pipelines.intake import run, views

    with step("plan") as settings:
        run.finish_intake(settings, planner.current_build(settings))
        views.create_views(settings)
        plan = planner.plan(settings)
        current = {"records": write_current(settings)} if plan.is_touched else {"state": f"kept: {plan.reason}"}
    yield dg.MaterializeResult(asset_key=PLAN, metadata={"touched": plan.is_touched, "reason": plan.reason})
    yield dg.MaterializeResult(asset_key=IDENTITY_RECORD)
    yield dg.MaterializeResult(asset_key=CURRENT_RECORD, metadata=current)


@dg.multi_asset_check(
    specs=[
        dg.AssetCheckSpec(
            "delivered_in_time",
            asset=accepted_key(name),
            additional_deps=[PLAN],
            description="Every delivery that the calendar register expects by today has come and was taken in.",
        )
        for name in collections()
    ],
)
def deliveries_in_time() -> Iterator[dg.AssetCheckResult]:
    """A night makes every collection anew, new deliveries or none: whether they came is a check of its own."""
    from pipelines.quality import check_result

    with step("deliveries in time") as settings:
        rows = check_result.read(settings, planner.current_build(settings)).filter(layer="intake", status="fail")
        late = dict(rows["check_id"].value_counts().iter_rows())
        for name in collections():
            count = late.get(f"intake.{name}.delivered", 0)
            yield dg.AssetCheckResult(
                asset_key=accepted_key(name),
                check_name="delivered_in_time",
                passed=count == 0,
                severity=dg.AssetCheckSeverity.WARN,
                metadata={"submitters and years late": count},
            )
