"""``bursar doctor``: is everything in order."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from bursar.cli.exits import UNHEALTHY
from bursar.cli.lazy import command, pass_session

if TYPE_CHECKING:
    from bursar.cli.diagnosis import Finding
    from bursar.cli.session import Session

_MARKS = {"ok": ("ok", "green"), "note": ("note", "yellow"), "problem": ("PROBLEM", "red")}


@command(
    "doctor", examples=("bursar doctor", "bursar doctor --json | jq '.findings[] | select(.state == \"problem\")'")
)
@click.pass_context
@pass_session
def doctor(session: Session, ctx: click.Context) -> None:
    """Check this installation, the wallet's folder, its store and journal, and its nodes; change nothing.

    Each finding that is not in order says what to do. The exit code is 4 if there is a problem.
    """
    from bursar.cli.diagnosis import examine

    findings: list[Finding] = []
    for finding in examine(session):
        findings.append(finding)
        if not session.json:
            _show(finding)
    healthy = all(finding.state != "problem" for finding in findings)
    rows = [{"subject": one.subject, "state": one.state, "text": one.text} for one in findings]
    session.output.answer({"healthy": healthy, "findings": rows}, lambda: None)
    if not healthy:
        ctx.exit(UNHEALTHY)


def _show(finding: Finding) -> None:
    word, colour = _MARKS[finding.state]
    click.echo(f"{click.style(f'{word:<8}', fg=colour)} {finding.subject:<16} {finding.text}")
