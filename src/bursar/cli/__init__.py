"""The command line: the only click, the only printing, the only exit codes; it composes the rooms below it."""

from __future__ import annotations


def main() -> int:
    """Run the command line on ``sys.argv`` and return its exit code (the table is in ``bursar help exit-codes``)."""
    from bursar.cli.app import run

    return run()
