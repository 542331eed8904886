"""``bursar-hwi``: the command line of Bitcoin Core's external signers (HWI's conventions), over any Bursar signer."""

from __future__ import annotations


def main() -> int:
    """Run it on ``sys.argv``; the exit code is 0 for every answer, errors included, and 2 for a wrong command line."""
    from bursar.cli.hwi.front import run

    return run()
