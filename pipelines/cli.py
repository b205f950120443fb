"""`p20w`: thin verbs over the packages that do the work. Nothing heavy is imported before a verb needs it."""

from __future__ import annotations

import os
import sys
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from typer.core import TyperGroup

from pipelines.progress import say
from pipelines.settings import child_environment, settings

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="p20w: from agencies' deliveries to a de-identified release, with its evidence.",
)
release_app = typer.Typer(no_args_is_help=True, help="Releases: list, verify, publish, roll back, rebuild.")
app.add_typer(release_app, name="release")
tokens_app = typer.Typer(no_args_is_help=True, help="Keyed tokens, for agencies that may not send identifiers.")
app.add_typer(tokens_app, name="tokens")
steward_app = typer.Typer(
    no_args_is_help=True, help="The identity steward: who is the same person, where the evidence does not say."
)
app.add_typer(steward_app, name="steward")
extract_app = typer.Typer(no_args_is_help=True, help="Extracts for research: whether their rows tell who somebody is.")
app.add_typer(extract_app, name="extract")


@app.command()
def setup() -> None:
    """Prepare this checkout: the database extension, the parsed models."""
    from pipelines import dbt
    from pipelines.identity import vault

    configuration = settings()
    vault.extension_directory(configuration)
    dbt.ensure_manifest(configuration)
    say("Ready.")


@app.command()
def demo(
    students: Annotated[int, typer.Option(help="K-12 students enrolled in any one school year.")] = 10_000,
    seed: Annotated[int, typer.Option(help="The same seed gives the same state.")] = 2026,
    fault: Annotated[list[str] | None, typer.Option(help="Plant a fault: see the README.")] = None,
    if_missing: Annotated[bool, typer.Option(help="Do nothing when deliveries are there.")] = False,
) -> None:
    """Make the synthetic state's deliveries in landing/."""
    from pipelines.demo_state import generate, plant

    configuration = settings()
    landing = configuration.landing
    is_there = landing.exists() and any(not each.name.startswith(".") for each in landing.iterdir())
    if is_there and if_missing:
        return
    if is_there and fault:
        for name in fault:
            say(str(plant(configuration, name)))
        return
    say(str(generate(configuration, students=students, seed=seed, faults=tuple(fault or ()))))


@app.command()
def nightly(
    real: Annotated[bool, typer.Option(help="Lay the real third-party files into landing first.")] = False,
) -> None:
    """Run the nightly job: from deliveries to a release."""
    configuration = settings()
    if real:
        from pipelines.intake.third_party import lay_files

        if not configuration.real_data.is_dir():
            say(
                f"There is no folder {configuration.real_data} with third-party files. "
                "Set P20W_REAL_DATA to the folder that holds them."
            )
            raise typer.Exit(1)
        lay_files(configuration)
    from pipelines.defs.run import run_nightly

    raise typer.Exit(run_nightly(configuration))


@app.command(hidden=True)
def candidate(build: Annotated[str, typer.Option(help="Build id of the release that is built again.")]) -> None:
    """Run the job up to the candidate, without a decision or a release."""
    from pipelines.defs.run import run_job

    raise typer.Exit(0 if run_job(settings(), "candidate", build) else 1)


@app.command()
def status(
    today: Annotated[str | None, typer.Option(help="Judge lateness as of this date (YYYY-MM-DD).")] = None,
) -> None:
    """What is expected, received, late and rejected. Exits 1 when anything is late."""
    from pipelines.intake.calendar import print_status

    as_of = date.fromisoformat(today) if today else date.today()
    raise typer.Exit(print_status(settings(), as_of))


@app.command()
def check(
    file: Annotated[Path, typer.Argument(help="The file as it would be sent.", exists=True, dir_okay=False)],
    collection: Annotated[str, typer.Option(help="The collection, for example k12__enrollment.")],
    package: Annotated[str | None, typer.Option(help="The package, when several take this collection.")] = None,
) -> None:
    """Check a file before sending it: the same result that intake would give. Exits 1 when a row fails."""
    from pipelines.intake.check import check_file

    report = check_file(settings(), file, collection, package)
    typer.echo(report.as_text())
    raise typer.Exit(0 if report.is_clean else 1)


class _TableFirst(TyperGroup):
    """`p20w link TABLE …` means `p20w link table TABLE …`: a first word that is no verb of the group is the table."""

    def parse_args(self, ctx: typer.Context, args: list[str]) -> list[str]:
        if args and args[0] not in self.commands and args[0] not in self.get_help_option_names(ctx):
            args = ["table", *args]
        return super().parse_args(ctx, args)


link_app = typer.Typer(
    cls=_TableFirst,
    no_args_is_help=True,
    help="Link the records of any table (`p20w link TABLE`), and train the state's linkage model.",
)
app.add_typer(link_app, name="link")


@link_app.command("table")
def link_table(
    table: Annotated[Path, typer.Argument(help="A CSV or Parquet file with one record a row.")],
    columns: Annotated[Path, typer.Option(help="YAML: which column means what; see the README.")],
    out: Annotated[Path, typer.Option(help="The CSV or Parquet file to write.")],
    truth: Annotated[
        str | None, typer.Option(help="Column with the true person, to print how right the links are.")
    ] = None,
) -> None:
    """Find out which records of any table are the same person, with the engine's shipped policy."""
    from pipelines.identity.linker.run import link_file

    done = link_file(settings(), table, columns, out, truth)
    typer.echo(
        f"{done.rows.height} records are {done.clusters} people, written to {out}. Groups join from a mean of "
        f"{done.join_weight:g} bits; by the model's own estimate {done.estimated_precision:.2%} of pairs are right."
    )
    if done.accuracy is not None:
        right = done.accuracy
        typer.echo(
            f"Against {truth}: pairs precision {right.precision:.5f}, recall {right.recall:.5f}, F1 {right.f1:.5f}; "
            f"B-cubed precision {right.bcubed_precision:.5f}, recall {right.bcubed_recall:.5f}, F {right.bcubed_f:.5f}."
        )


@link_app.command("train")
def link_train(
    out: Annotated[Path | None, typer.Option(help="Folder to write; by default below evidence/ of the home.")] = None,
) -> None:
    """Propose a new version of the linkage model from this home's records, with a report for the steward."""
    from pipelines import writer_lock
    from pipelines.identity.training import train_home

    configuration = settings()
    writer_lock.acquire(configuration, "p20w link train")
    folder = train_home(configuration, out)
    typer.echo(
        f"Wrote {folder / 'link_model.csv'} and its report {folder / 'index.html'}. When the identity steward agrees, "
        "append the rows to seeds/policy/link_model.csv; the next night scores every pair by them."
    )


@app.command()
def crosswalk(
    out: Annotated[Path, typer.Option(help="The Parquet file to write; keys only, restricted.")],
    build: Annotated[str | None, typer.Option(help="As of this build; without it, as of today.")] = None,
) -> None:
    """Which person every record belonged to as of any build, with the rule and its weight."""
    from pipelines import writer_lock
    from pipelines.identity.registry import crosswalk as read_crosswalk
    from pipelines.identity.registry import write_exchange
    from pipelines.identity.vault import open_vault

    configuration = settings()
    writer_lock.acquire(configuration, "p20w crosswalk")
    with open_vault(configuration) as con:
        found = read_crosswalk(con, build)
    write_exchange(found, out)
    typer.echo(f"{found.height} records of {found['person_key'].n_unique()} persons, written to {out}.")


@app.command()
def protect(
    table: Annotated[Path, typer.Argument(help="A CSV or Parquet table of exact counts; totals may be left out.")],
    family: Annotated[Path, typer.Option(help="YAML: the count, the least number and the dimensions; see the README.")],
    out: Annotated[Path, typer.Option(help="The CSV or Parquet file to write: every cell, shown or hidden.")],
    key_file: Annotated[
        Path | None, typer.Option(help="64 hexadecimal digits or more: the same key hides the same partners.")
    ] = None,
    evidence: Annotated[
        Path | None, typer.Option(help="Folder for certificates and losses. Restricted: they tell hidden counts.")
    ] = None,
    by_block: Annotated[
        bool, typer.Option("--by-block", help="For --before of a later run, which then costs what changed; hides more.")
    ] = False,
    before: Annotated[
        Path | None, typer.Option(help="The --evidence of an earlier run by block: what did not change is taken over.")
    ] = None,
) -> None:
    """Hide in any table of counts what gives people away, certified and verified before anything is written."""
    from pipelines.defs.boundary import alone

    with alone("protect"):
        from pipelines.disclosure.table.protect import protect_file

        typer.echo(protect_file(table, family, out, key_file, evidence, by_block, before).as_text(out))


@app.command()
def attack(
    target: Annotated[
        Path | None,
        typer.Argument(
            help="A protected CSV or Parquet table, or a release's folder; the current release if left out."
        ),
    ] = None,
    family: Annotated[
        Path | None, typer.Option(help="Of a table: YAML with the count, the least number and the dimensions.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Of a table: the CSV or Parquet file to write, with every cell's interval.")
    ] = None,
    earlier: Annotated[
        list[Path] | None, typer.Option(help="Of a release: the folder of an earlier one to join; may be repeated.")
    ] = None,
    seconds: Annotated[float, typer.Option(help="At most this long for programs over many sums.", min=0)] = 600.0,
    fail_on_finding: Annotated[
        bool, typer.Option("--fail-on-finding", help="Exit 1 when a reader learns what the rules forbid.")
    ] = False,
) -> None:
    """What a stranger can compute of a release or a protected table. Exits 0 when the attack ran, whatever it found."""
    from pipelines.defs.boundary import alone

    if target is not None and not target.is_dir():
        if family is None or out is None:
            raise typer.BadParameter(
                f"{target} is no folder of a release: to attack a table, give --family and --out too."
            )
        with alone("attack"):
            from pipelines.disclosure.table.attack import attack_file

            found = attack_file(target, family, out, seconds)
            typer.echo(found.as_text())
            typer.echo(f"Every cell's interval is in {out}: it may give people away, so keep it restricted.")
        raise typer.Exit(1 if fail_on_finding and found.has_finding else 0)
    with alone("attack"):
        from pipelines.disclosure.stranger.attack import attack_release
        from pipelines.disclosure.stranger.rules import read_rules

        folder = (settings().releases / "current" if target is None else target).resolve()
        beside = earlier or [path for path in sorted(folder.parent.glob("r*-*")) if path != folder]
        attacked = attack_release(folder, read_rules(folder), beside, seconds)
        typer.echo(attacked.as_text())
    raise typer.Exit(1 if fail_on_finding and attacked.findings else 0)


@extract_app.command("check")
def extract_check(
    table: Annotated[Path, typer.Argument(help="The extract: a CSV or Parquet file, one row a person and moment.")],
    declare: Annotated[Path, typer.Option(help="YAML: which column is what, k and l; see the README.")],
    out: Annotated[Path, typer.Option(help="The CSV or Parquet file of findings; it names people: restricted.")],
    earlier: Annotated[
        Path | None, typer.Option(help="Folder of extracts handed over before, each with its YAML beside it.")
    ] = None,
    release: Annotated[
        Path | None, typer.Option(help="Folder of a release: what its counts and the rows tell together.")
    ] = None,
) -> None:
    """Check an extract person by person over all of its years. Exits 1 when it must not be handed over as it is."""
    from pipelines.disclosure.extract import check_file

    outputs = settings().seeds / "registers" / "research_output.csv"
    report = check_file(table, declare, earlier, out, outputs, date.today(), release)
    typer.echo(report.as_text())
    raise typer.Exit(1 if report.has_finding else 0)


@app.command()
def ui(port: int = 3000) -> None:
    """Open the orchestrator's pages on this machine."""
    from pipelines.defs.run import prepare_instance

    configuration = settings()
    prepare_instance(configuration)
    os.execve(
        sys.executable,
        [sys.executable, "-m", "dagster", "dev", "-w", str(configuration.root / "workspace.yaml"), "-p", str(port)],
        child_environment(configuration),
    )


@release_app.command("list")
def release_list() -> None:
    """Every release, newest first; the current one is marked."""
    from pipelines.release.publish import list_releases

    for line in list_releases(settings()):
        typer.echo(line)


@release_app.command("verify")
def release_verify(release_id: Annotated[str | None, typer.Argument()] = None) -> None:
    """Check a release against its own checksums and descriptions. Exits 1 when anything differs."""
    from pipelines.release.verify import verify

    problems = verify(settings(), release_id)
    for problem in problems:
        typer.echo(problem)
    if not problems:
        typer.echo("The release is whole.")
    raise typer.Exit(1 if problems else 0)


@release_app.command("publish")
def release_publish(approved_by: Annotated[str, typer.Option(help="An officer of the register.")]) -> None:
    """Publish the candidate that the last night built, by an officer's approval."""
    from pipelines.release.night import publish_approved

    typer.echo(publish_approved(settings(), approved_by))


@release_app.command("rollback")
def release_rollback(
    release_id: str, approved_by: Annotated[str, typer.Option(help="An officer of the register.")]
) -> None:
    """Make an earlier release the current one again."""
    from pipelines.release.publish import rollback

    typer.echo(rollback(settings(), release_id, approved_by))


@release_app.command("rebuild")
def release_rebuild(release_id: str) -> None:
    """Build a release again from kept deliveries and the identity log. Exits 1 when a byte differs."""
    from pipelines.defs.run import rebuild_release

    differences = rebuild_release(settings(), release_id)
    for difference in differences:
        typer.echo(difference)
    if not differences:
        typer.echo(f"Release {release_id} was rebuilt: the same Parquet and CSV bytes.")
    raise typer.Exit(1 if differences else 0)


Item = Annotated[int, typer.Argument(help="Number of the item; `p20w steward next` shows the next one.")]
Who = Annotated[str | None, typer.Option(help="Steward of registers/officer.csv; otherwise the account that asks.")]
Why = Annotated[str, typer.Option(help="The reason, in words. Name nobody in it.")]
Bind = Annotated[bool, typer.Option("--bind", help="Of a sample's item: let the judgement bind later nights too.")]


@steward_app.command("next")
def steward_next(who: Who = None) -> None:
    """Show the next item that waits: two records side by side, with the evidence. The look is logged."""
    from pipelines.identity.steward import desk, queue, show

    configuration, name, today = settings(), who or desk.system_user(), date.today()
    with desk.at_desk(configuration, name) as con:
        waiting = queue.waiting(con, today)
        if not waiting:
            typer.echo("Nothing waits for a steward.")
            return
        sheet = show.look(con, configuration, waiting[0]["item_id"], name, "next", today)
    typer.echo(show.as_text(sheet))
    typer.echo(f"{len(waiting)} wait{'s' if len(waiting) == 1 else ''}, this one included.")


@steward_app.command("show")
def steward_show(item: Item, who: Who = None) -> None:
    """Show one item: two records side by side, with the evidence. The look is logged."""
    from pipelines.identity.steward import desk, show

    configuration, name = settings(), who or desk.system_user()
    with desk.at_desk(configuration, name) as con:
        sheet = show.look(con, configuration, item, name, "show", date.today())
    typer.echo(show.as_text(sheet))


def _give(item: int, verdict: str, who: str | None, why: str, bind: bool = False) -> None:
    from pipelines.identity.steward import desk
    from pipelines.identity.steward.verdict import give_verdict

    configuration, name = settings(), who or desk.system_user()
    with desk.at_desk(configuration, name) as con:
        typer.echo(give_verdict(con, configuration, item, verdict, name, why, bind))


@steward_app.command("same")
def steward_same(item: Item, why: Why, who: Who = None, bind: Bind = False) -> None:
    """Both records are of one person; binds later nights."""
    _give(item, "same", who, why, bind)


@steward_app.command("distinct")
def steward_distinct(item: Item, why: Why, who: Who = None, bind: Bind = False) -> None:
    """The records are of two people; binds later nights."""
    _give(item, "distinct", who, why, bind)


@steward_app.command("defer")
def steward_defer(item: Item, why: Why, who: Who = None) -> None:
    """Hide the item for the days that the policy says; of a judged item, take the verdict back."""
    _give(item, "defer", who, why)


@steward_app.command("sample")
def steward_sample(
    size: Annotated[int, typer.Option(help="About how many pairs to draw.", min=1)], who: Who = None
) -> None:
    """Draw pairs to be judged, so that errors of linkage can be estimated. They wait behind the queue."""
    from pipelines.identity.steward import desk, sample

    configuration, name = settings(), who or desk.system_user()
    with desk.at_desk(configuration, name) as con:
        typer.echo(sample.draw(con, configuration, size))


@steward_app.command("serve")
def steward_serve(
    port: Annotated[int, typer.Option(help="Port of this machine; 0 takes a free one.")] = 0, who: Who = None
) -> None:
    """Open the steward's page on this machine, for this machine only, until it is interrupted."""
    from pipelines.identity.steward import desk, page

    page.serve(settings(), who or desk.system_user(), port)


@tokens_app.command("make")
def tokens_make(
    file: Annotated[Path, typer.Argument(help="A CSV or Parquet file with one record a row.")],
    columns: Annotated[Path, typer.Option(help="YAML: which column means what; see the README.")],
    key_file: Annotated[Path, typer.Option(help="The key agreed with the state: 64 hexadecimal digits or more.")],
    out: Annotated[Path, typer.Option(help="The file to send.")],
) -> None:
    """Replace a file's identifiers by keyed tokens. Run it where the identifiers are; nothing is sent."""
    from pipelines.identity.token_file import make_tokens

    typer.echo(make_tokens(settings(), file, columns, key_file, out).as_text())


def main() -> None:
    """Entry point of the command. Errors end as a sentence; a traceback could quote a row."""
    try:
        app()
    except Exception as error:
        from pipelines.defs.boundary import is_own, sentence

        # Our own error may be that the settings cannot be read.
        say(str(error) if is_own(error) else sentence(settings(), "p20w", error))
        sys.exit(2)


if __name__ == "__main__":
    main()
