"""Addresses shown on a Trezor's own screen: the four single-key schemes, and Ethereum's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import bitcoin_paths as paths
from bursar.backends.trezor.ethereum_paths import check_ethereum_path
from bursar.backends.trezor.exchange import Exchange, one
from bursar.bitcoin.script import ScriptType
from bursar.errors import SignerMisbehavedError

if TYPE_CHECKING:
    from bursar.backends.trezor.abilities import Firmware
    from bursar.bitcoin.network import Network
    from bursar.keys.path import DerivationPath


def show_address(
    messages: Any,
    path: DerivationPath,
    script_type: ScriptType,
    network: Network,
    *,
    firmware: Firmware,
    strict: bool = True,
) -> Exchange[str]:
    """Show the address of the key at ``path`` and return the text the device says it showed.

    ``InvalidInputError`` (``input.path``) for a path it would forbid, ``UnsupportedError`` for taproot on firmware
    without it.
    """
    paths.network_of(path.indexes, network)
    paths.check_path(path.indexes, network, strict=strict)
    if script_type is ScriptType.P2TR and not firmware.taproot:
        raise firmware.cannot("this firmware knows no taproot: update it", "display_address")
    reply = yield from one(
        messages.GetAddress(
            address_n=list(path.indexes),
            coin_name=paths.coin_name(network, firmware),
            show_display=True,
            script_type=messages.InputScriptType[paths.INPUT_TYPES[script_type]],
        ),
        messages.Address,
    )
    return _text(reply.address)


def show_ethereum_address(
    messages: Any, path: DerivationPath, *, network: bytes | None = None, strict: bool = True
) -> Exchange[str]:
    """Show the Ethereum address of the key at ``path`` (EIP-55) and return the text the device says it showed.

    ``network`` is the vendor-signed definition of the chain, where the caller has one.
    """
    check_ethereum_path(path, strict=strict)
    request = messages.EthereumGetAddress(address_n=list(path.indexes), show_display=True, encoded_network=network)
    reply = yield from one(request, messages.EthereumAddress)
    return _text(reply.address)


def _text(address: object) -> str:
    if not isinstance(address, str) or not address:
        raise SignerMisbehavedError("the trezor showed an address and does not say which: do not use it")
    return address
