"""Coin names, script types and the paths a Trezor lets pass: ours is the message, before "Forbidden key path"."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from bursar.bitcoin.network import Network
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Sequence

    from bursar.backends.trezor.abilities import Firmware
    from bursar.keys.path import DerivationPath

MOST_ACCOUNT: Final = 100
MOST_BRANCH: Final = 1
MOST_INDEX: Final = 1_000_000

INPUT_TYPES: Final = {
    ScriptType.P2PKH: "SPENDADDRESS",
    ScriptType.P2SH_P2WPKH: "SPENDP2SHWITNESS",
    ScriptType.P2WPKH: "SPENDWITNESS",
    ScriptType.P2TR: "SPENDTAPROOT",
}
"""Our script types by the device's names of ``InputScriptType``."""

OUTPUT_TYPES: Final = {
    ScriptType.P2PKH: "PAYTOADDRESS",
    ScriptType.P2SH_P2WPKH: "PAYTOP2SHWITNESS",
    ScriptType.P2WPKH: "PAYTOWITNESS",
    ScriptType.P2TR: "PAYTOTAPROOT",
}
"""The same as ``OutputScriptType``, for change."""

_PURPOSES: Final = {
    44: ScriptType.P2PKH,
    49: ScriptType.P2SH_P2WPKH,
    84: ScriptType.P2WPKH,
    86: ScriptType.P2TR,
}
_MULTISIG_PURPOSE: Final = 48
_OTHER_MULTISIG: Final = ((HARDENED + 45,), (49,))
_COIN_NAMES: Final = {
    Network.MAIN: "Bitcoin",
    Network.TESTNET: "Testnet",
    Network.TESTNET4: "Testnet",
    Network.SIGNET: "Signet",
    Network.REGTEST: "Regtest",
}


def coin_name(network: Network, firmware: Firmware) -> str:
    """The device's name of ``network``. Firmware that knows no Signet takes it for Testnet, whose addresses it has."""
    if network is Network.SIGNET and not firmware.signet:
        return _COIN_NAMES[Network.TESTNET]
    return _COIN_NAMES[network]


def network_of(path: Sequence[int], network: Network | None = None) -> Network:
    """The network a path's coin type belongs to: ``network`` where it agrees, else Main or Testnet.

    ``InvalidInputError`` (``input.path``) where it does not agree; a path without coin type (BIP-45) agrees with all.
    """
    coin_type = path[1] - HARDENED if len(path) > 1 else 0
    if network is None:
        return Network.TESTNET if coin_type == Network.TESTNET.coin_type else Network.MAIN
    if coin_type != network.coin_type and coin_type >= 0 and len(path) > 1:
        raise InvalidInputError(
            f"{text(path)} is no path of {network}: its coin type is {network.coin_type}h", code="input.path"
        )
    return network


def script_type_of(path: DerivationPath) -> ScriptType:
    """The script type of the path's purpose (BIP-44, 49, 84, 86); ``InvalidInputError`` (``input.path``)."""
    kind = _PURPOSES.get(path[0] - HARDENED) if len(path) else None
    if kind is None:
        raise InvalidInputError(f"{path} says no script type: use m/44h, m/49h, m/84h or m/86h", code="input.path")
    return kind


def check_path(path: Sequence[int], network: Network, *, strict: bool = True) -> None:
    """Refuse a path of a single key that the device's strict safety checks forbid.

    ``InvalidInputError`` (``input.path``) says what is wrong; ``strict`` is false for a device set to warn instead.
    """
    if not strict:
        return
    reason = _fault(path, network)
    if reason is not None:
        raise InvalidInputError(
            f"a trezor signs and shows nothing at {text(path)}: {reason} (its safety checks are strict)",
            code="input.path",
        )


def _fault(path: Sequence[int], network: Network) -> str | None:
    if len(path) != 5 or path[0] - HARDENED not in _PURPOSES:
        return "it must be like m/84h/0h/0h/0/0, with purpose 44h, 49h, 84h or 86h"
    if path[1] != HARDENED + network.coin_type:
        return f"the coin type of {network} is {network.coin_type}h"
    return _below(path[2], path[3:])


def check_multisig_path(path: Sequence[int], network: Network, *, strict: bool = True) -> None:
    """As ``check_path`` for a key of a multisig script: BIP-48 or a single key's path; BIP-45 is left to the device."""
    if not strict or _fault(path, network) is None or path[:1] in _OTHER_MULTISIG:
        return
    reason: str | None = "it must be like m/48h/0h/0h/2h/0/0"
    if len(path) == 6 and path[0] == HARDENED + _MULTISIG_PURPOSE and HARDENED <= path[3] <= HARDENED + 2:
        reason = f"the coin type of {network} is {network.coin_type}h"
        if path[1] == HARDENED + network.coin_type:
            reason = _below(path[2], path[4:])
    if reason is not None:
        raise InvalidInputError(
            f"a trezor signs and shows nothing of a multisig at {text(path)}: {reason} (its safety checks are strict)",
            code="input.path",
        )


def _below(account: int, place: Sequence[int]) -> str | None:
    branch, index = place
    if not HARDENED <= account <= HARDENED + MOST_ACCOUNT:
        return f"its account must be from 0h to {MOST_ACCOUNT}h"
    if branch > MOST_BRANCH:
        return "its branch must be 0 (receive) or 1 (change)"
    if index > MOST_INDEX:
        return f"its index must be at most {MOST_INDEX}"
    return None


def text(path: Sequence[int]) -> str:
    """Indexes as ``m/84h/0h/0h/0/0``."""
    return "/".join(["m", *[f"{index - HARDENED}h" if index >= HARDENED else str(index) for index in path]])
