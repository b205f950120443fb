"""The nightly job, its schedule, and the sensor that looks for deliveries."""

import dagster as dg

from pipelines import writer_lock
from pipelines.settings import settings

# Processes for each step cost more than the steps: one process runs the night.
nightly = dg.define_asset_job(
    "nightly",
    selection=dg.AssetSelection.all(),
    executor_def=dg.in_process_executor,
    description="From deliveries to a release, with its evidence.",
)

# What `p20w release rebuild` runs: the same steps, up to the files that a release is made from.
candidate_job = dg.define_asset_job(
    "candidate",
    selection=dg.AssetSelection.assets(["candidate", "marts"]).upstream().required_multi_asset_neighbors(),
    executor_def=dg.in_process_executor,
)

nightly_schedule = dg.ScheduleDefinition(job=nightly, cron_schedule="0 2 * * *", execution_timezone="UTC")


@dg.sensor(job=nightly, minimum_interval_seconds=300, description="Starts a night when a new delivery has arrived.")
def new_deliveries(context: dg.SensorEvaluationContext) -> dg.RunRequest | dg.SkipReason:
    from pipelines.intake.deliveries import landing_fingerprint

    configuration = settings()
    if writer_lock.is_held_elsewhere(configuration):
        return dg.SkipReason("A night is running.")
    fingerprint = landing_fingerprint(configuration)
    if fingerprint == context.cursor:
        return dg.SkipReason("No new delivery.")
    context.update_cursor(fingerprint)
    return dg.RunRequest(run_key=fingerprint)
