"""`wave doctor`."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict

import click

from pipeline.cli.options import json_option
from pipeline.cli.output import table, write_json
from pipeline.cli.session import Session, with_session
from pipeline.cli.waiting import busy
from pipeline.formatting import plural
from pipeline.monitoring.doctor import examine
from pipeline.monitoring.findings import FAIL, OK, WARN


@click.command()
@json_option
@with_session
def doctor(session: Session, as_json: bool) -> None:
    """Check Redis, queues, workers, beat and deadlines, and say what to do. The exit code is 1 if a check fails."""
    with busy("looking"):
        findings = examine(session.runtime, session.flows.values())
    counts = Counter(finding.level for finding in findings)
    if as_json:
        write_json([asdict(finding) for finding in findings])
    else:
        table(["is", "check", "found"], [[f.level, f.check, f.text] for f in findings])
        for finding in findings:
            if finding.level != OK:
                click.echo(f"\n{finding.level}  {finding.check}: {finding.text}\n      {finding.advice}")
        click.echo(
            f"\n{plural(len(findings), 'check')}: {counts[FAIL]} failed, {plural(counts[WARN], 'warning')}"
        )
    if counts[FAIL]:
        raise click.exceptions.Exit(1)
