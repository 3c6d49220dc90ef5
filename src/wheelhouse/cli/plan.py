"""`wheelhouse plan`: what would be built, and why, without building."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from wheelhouse.cli.selecting import Selected, make_builders, plan_for, reasons, selecting
from wheelhouse.cli.session import pass_session

if TYPE_CHECKING:
    from wheelhouse.cli.session import Session


@click.command(
    epilog="""\b
Examples:
  wheelhouse plan markupsafe
  wheelhouse plan --all --explain
  wheelhouse plan --all --arch all --json | jq '.[].job'
  wheelhouse plan --all --farm salt                    # on the minions of this Salt master
"""
)
@selecting
@click.option("--explain", is_flag=True, help="Name the inputs that changed, the builder, and why it was chosen.")
@click.option("--json", "as_json", is_flag=True, help="Print the plan as JSON.")
@pass_session
def plan(session: Session, /, *, explain: bool, as_json: bool, **options: Any) -> None:
    """Show what `build` would do with the same options, and why. Builds nothing and asks no network.

    With --farm salt, minions are asked what they can build.
    """
    from wheelhouse.process import Processes  # noqa: PLC0415 - start-up time
    from wheelhouse.results import Results  # noqa: PLC0415 - likewise

    selected = Selected(**options)
    if selected.farm == "salt":
        from wheelhouse.cli.fleet import plan_for_fleet  # noqa: PLC0415 - start-up time

        made = plan_for_fleet(session, selected)
    else:
        builders = make_builders(session, selected, Processes())
        made = plan_for(session, selected, builders=builders, results=Results(session.workspace))
    if as_json:
        session.json([entry.to_json() for entry in made.entries])
        return
    for entry in made.entries:
        if entry.action == "unavailable":
            continue
        click.echo(f"{entry.action:<6} {entry.job.id}: {entry.reason}")
        if explain:
            for change in entry.changes:
                click.echo(f"         changed {change}")
            click.echo(f"         builder {entry.builder}: {entry.builder_reason}")
            if entry.serves:
                kind = "abi3" if entry.job.extension else "no extension"
                click.echo(f"         {kind}: serves {', '.join(entry.serves)} too")
            if entry.depends:
                click.echo(f"         after {', '.join(entry.depends)}")
    for line in reasons(made.having("unavailable")):
        click.echo(f"cannot be built here: {line}", err=True)
    counts = f"{len(made.having('build'))} to build, {len(made.having('reuse'))} to reuse"
    click.echo(f"{counts}, {len(made.having('unavailable'))} not possible here", err=True)
