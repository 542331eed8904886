"""Blocks taken for granted, so that a new wallet need not read every header since 2009."""

# A checkpoint is the last block of a retarget period: the 2,016 headers below it, which its hash commits to, are all
# that the rules look back at. Those of the main network are each period's last block; every one of these hashes carries
# the work of its time, so no list of false ones can be made up.

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from bursar.bitcoin.headers.difficulty import PERIOD
from bursar.bitcoin.network import Network
from bursar.errors import InvalidInputError


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """The trusted last block of a period: its height (2016 n - 1) and hash in display hex.

    ``header_root`` is the Merkle root over the hashes of all blocks up to it, display hex, if that is known too.
    """

    height: int
    hash: str
    header_root: str | None = None

    def __post_init__(self) -> None:
        if self.height < 0 or (self.height + 1) % PERIOD:
            raise InvalidInputError(
                f"height {self.height} does not end a period of {PERIOD} blocks: give one that does",
                code="input.checkpoint",
            )
        for text in (self.hash, self.header_root or self.hash):
            try:
                if len(text) != 64 or len(bytes.fromhex(text)) != 32:
                    raise ValueError
            except ValueError:
                raise InvalidInputError(f"{text[:80]!r} is not a block hash", code="input.checkpoint") from None


_TEST: Final = {
    Network.TESTNET: Checkpoint(5_011_775, "000000000000041b511bf0b926371d5045f70bbc30d36b66f1c84ed30d765886"),
    Network.TESTNET4: Checkpoint(139_103, "000000000001fa52cf7346a418640560743e051f8096a21ca452f3569bfe4f9e"),
    Network.SIGNET: Checkpoint(308_447, "0000000fce481bd689af96794ea36ad8e80bc4635f068104aeff53bc17326ecf"),
}


@cache
def main_periods() -> tuple[bytes, ...]:
    """The hash of each period's last block on the main network, internal byte order, from block 2,015 on."""
    text = Path(__file__).with_name("main_periods.txt").read_text("ascii")
    return tuple(bytes.fromhex(line)[::-1] for line in text.split())


def period_end(network: Network, period: int) -> bytes | None:
    """The hash of the last block of a period, counted from 0, where it is known without asking anyone."""
    known = main_periods() if network is Network.MAIN else ()
    return known[period] if 0 <= period < len(known) else None


def latest_checkpoint(network: Network) -> Checkpoint | None:
    """The highest block of a network taken for granted; ``None`` on regtest."""
    if network is Network.MAIN:
        known = main_periods()
        return Checkpoint(len(known) * PERIOD - 1, known[-1][::-1].hex())
    return _TEST.get(network)
