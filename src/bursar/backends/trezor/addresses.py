"""Addresses shown on a Trezor's own screen: the four single-key schemes, multisig, and Ethereum's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.trezor import bitcoin_paths as paths
from bursar.backends.trezor.bitcoin_multisig import (
    MOST_KEYS,
    SPENDS,
    MultisigScript,
    Placed,
    multisig_of,
    redeem_message,
)
from bursar.backends.trezor.ethereum_paths import check_ethereum_path
from bursar.backends.trezor.exchange import Exchange, one
from bursar.bitcoin.script import ScriptType
from bursar.errors import InvalidInputError, SignerMisbehavedError

if TYPE_CHECKING:
    from bursar.backends.trezor.abilities import Firmware
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.multisig import MultisigAccount
    from bursar.bitcoin.network import Network
    from bursar.keys.origin import Fingerprint
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


def show_multisig_address(
    messages: Any,
    account: MultisigAccount,
    branch: int,
    index: int,
    *,
    fingerprint: Fingerprint,
    firmware: Firmware,
    strict: bool = True,
) -> Exchange[str]:
    """Show an address of several cosigners, and their keys where the model does; the text it says it showed.

    Keys that are sorted in each script (BIP-67) are sorted by the device where its firmware can, else here.
    ``InvalidInputError`` (``input.account``) where the device is no cosigner, ``input.path`` for a forbidden path.
    """
    origin, _ = account.own_keys(fingerprint)[0]
    path = origin.path / branch / index
    paths.network_of(path.indexes, account.network)
    paths.check_multisig_path(path.indexes, account.network, strict=strict)
    if len(account.cosigners) > MOST_KEYS:
        raise firmware.cannot(f"{len(account.cosigners)} cosigners are more than {MOST_KEYS}", "display_address")
    sort = account.sorted and firmware.sorted_multisig
    cosigners = [xpub for _, xpub in account.cosigners]
    if account.sorted and not sort:
        cosigners.sort(key=lambda xpub: xpub.derive((branch, index)).key)
    keys = tuple(xpub.derive((branch, index)).key for xpub in cosigners)
    script = MultisigScript(account.threshold, keys, SPENDS[account.kind])
    placed = Placed(script, tuple(cosigners), (branch, index))
    reply = yield from one(
        messages.GetAddress(
            address_n=list(path.indexes),
            coin_name=paths.coin_name(account.network, firmware),
            show_display=True,
            multisig=redeem_message(messages, script, placed, sort=sort),
            script_type=messages.InputScriptType[script.spend],
            ignore_xpub_magic=True,
        ),
        messages.Address,
    )
    return _text(reply.address)


def show_bare_multisig_address(
    messages: Any,
    account: ScriptAccount,
    branch: int,
    index: int,
    *,
    fingerprint: Fingerprint,
    firmware: Firmware,
    strict: bool = True,
) -> Exchange[str]:
    """As ``show_multisig_address`` for a multisig script whose extended keys are not known, only the keys in it.

    ``UnsupportedError`` for scripts of other kinds, which no Trezor knows.
    """
    spending = account.spending(branch, index)
    script = multisig_of(spending, spending.script)
    if script is None:
        raise firmware.cannot(
            "it knows scripts of one key and of multi or sortedmulti only: compare this address on another signer",
            "display_address",
        )
    path = next((origin.path for origin in spending.origins.values() if origin.fingerprint == fingerprint), None)
    if path is None:
        raise InvalidInputError(f"the signer {fingerprint} is no cosigner of this account", code="input.account")
    paths.network_of(path.indexes, account.network)
    paths.check_multisig_path(path.indexes, account.network, strict=strict)
    reply = yield from one(
        messages.GetAddress(
            address_n=list(path.indexes),
            coin_name=paths.coin_name(account.network, firmware),
            show_display=True,
            multisig=redeem_message(messages, script, None, sort=False),
            script_type=messages.InputScriptType[script.spend],
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
