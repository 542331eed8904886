"""What a Trezor asks its human about an Ethereum transaction."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from bursar_devices.trezor.ether.definitions import EthereumNetwork, EthereumToken


@dataclass(frozen=True, slots=True)
class Payment:
    """What the human is asked about: who gets how much of what."""

    network: EthereumNetwork
    to: bytes | None
    value: int
    token: EthereumToken | None
    contract: bytes | None
    data: bytes
    data_length: int
