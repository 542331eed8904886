"""What each command of ``bursar-hwi`` does with an open signer."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.message import encode_signature
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.script import ScriptType
from bursar.cli import psbt_file
from bursar.cli.hwi.keys import SCHEMES, Keys, details, is_single_key, one_address
from bursar.cli.hwi.registering import registerdescriptor, registered_accounts, use
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.path import HARDENED, DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.change import change_outputs
from bursar.signing.checks import confirm_address, request_message, request_signatures
from bursar.signing.ownership import named_keys, names_key_of
from bursar.signing.preflight import PreflightLimits
from bursar.signing.protocols import AddressDisplay, MessageSigner, PsbtSigner, ScriptAddressDisplay
from bursar.signing.spending import check_disguised

if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable

    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.accounts import ScriptAccount


def getmasterxpub(keys: Keys, options: Namespace) -> dict[str, Any]:
    """The account's extended public key."""
    return {"xpub": str(keys.account(SCHEMES[options.addr_type], options.account).xpub)}


def getxpub(keys: Keys, options: Namespace) -> dict[str, Any]:
    """The extended public key at a path."""
    xpub = keys.xpub(DerivationPath.from_text(options.path))
    return {"xpub": str(xpub), **(details(xpub) if options.expert else {})}


def getdescriptors(keys: Keys, options: Namespace) -> dict[str, Any]:
    """Receive and internal descriptors."""
    return dict(keys.descriptors(options.account))


def getkeypool(keys: Keys, options: Namespace) -> list[dict[str, Any]]:
    """The same in the form of ``importdescriptors``."""
    if not 0 <= options.start <= options.end < HARDENED:
        raise InvalidInputError(f"the range {options.start} to {options.end} is none", code="input.range")
    if options.path is not None:
        if options.all:
            raise InvalidInputError("--path and --all exclude each other", code="input.usage")
        text = keys.descriptor_at(options.path, SCHEMES[options.addr_type])
        return [_import(text, options, internal=options.internal)]
    schemes = list(SCHEMES.values()) if options.all else [SCHEMES[options.addr_type]]
    branches = [True] if options.internal else [False, True]
    accounts = [keys.account(scheme, options.account) for scheme in schemes]
    return [
        _import(account.descriptor(int(internal)), options, internal=internal)
        for account in accounts
        for internal in branches
    ]


def _import(descriptor: str, options: Namespace, *, internal: bool) -> dict[str, Any]:
    return {
        "desc": descriptor,
        "range": [options.start, options.end],
        "timestamp": "now",
        "internal": internal,
        "keypool": options.keypool,
        "active": options.keypool,
        "watchonly": True,
    }


def signtx(keys: Keys, options: Namespace) -> dict[str, Any]:
    """Sign; ``signed`` is true only where a new signature was added and verified."""
    signer = keys.signer
    if not isinstance(signer, PsbtSigner):
        raise UnsupportedError("this device does not sign psbts", operation="sign_psbt", model=signer.info.model)
    question = psbt_file.read(options.file) if options.file is not None else Psbt.from_text(options.psbt)
    psbt_file.require_new(options.output)
    if options.registration is not None:
        use(options.registration, keys)
    if not options.external_inputs:
        _refuse_strangers(keys, question)
    # beside a single-key account an output of it could seem to claim a registered one with the same key
    accounts: list[ScriptAccount] = [*_accounts(keys, question)] or [*registered_accounts(keys, question)]
    for account in accounts:
        change_outputs(question, account)
        check_disguised(question, account, fingerprint=keys.fingerprint)
    limits = PreflightLimits(external_inputs=options.external_inputs)
    answer = request_signatures(signer, question, limits=limits, network=keys.network)
    if options.output is not None:
        with Path(options.output).open("xb") as file:
            file.write(answer.serialize())
    return {"psbt": str(answer), "signed": True}


def _refuse_strangers(keys: Keys, psbt: Psbt) -> None:
    """Somebody else's open input may make this device pay for what its human does not see."""
    ours = [names_key_of(one, keys.fingerprint) for one in psbt.inputs]
    for index, one in enumerate(psbt.inputs):
        if any(ours) and not ours[index] and not one.is_final:
            raise InvalidInputError(
                f"psbt refused: input {index} names no key of this signer: let its owner sign first, or allow it by "
                "--external-inputs",
                code="input.psbt.external",
            )


def _accounts(keys: Keys, psbt: Psbt) -> list[BitcoinAccount]:
    """The BIP-44 accounts of ours that the inputs spend from, so that change can be derived anew."""
    found: dict[DerivationPath, Scheme] = {}
    for one in psbt.inputs:
        for _, origin in named_keys(one):
            above = origin.path.indexes[:3]
            purposes = {HARDENED + scheme.value: scheme for scheme in Scheme}
            if origin.fingerprint == keys.fingerprint and len(origin.path) == 5 and above[0] in purposes:
                found[DerivationPath(above)] = purposes[above[0]]
    return [keys.account_of(path / 0 / 0, scheme) for path, scheme in found.items()]


def signmessage(keys: Keys, options: Namespace) -> dict[str, Any]:
    """Sign a message in the form Bitcoin Core verifies."""
    signer = keys.signer
    if not isinstance(signer, MessageSigner):
        raise UnsupportedError("this device signs no messages", operation="sign_message", model=signer.info.model)
    path = DerivationPath.from_text(options.path)
    made = request_message(signer, path, options.message.encode(), public_key=keys.xpub(path).key)
    return {"signature": encode_signature(made, ScriptType.P2PKH)}


def displayaddress(keys: Keys, options: Namespace) -> dict[str, Any]:
    """Show an address on the device; what it showed was compared with what is derived here."""
    if options.registration is not None:
        if options.index is None:
            raise InvalidInputError("--registration needs --index", code="input.usage")
        policy = use(options.registration, keys).policy
        account = DescriptorAccount(keys.network, policy.descriptor())
        return _shown(keys, account, options.index, options.multipath_index or 0)
    if options.index is not None or options.multipath_index is not None:
        raise InvalidInputError("--index, --multipath-index and --change go with --registration", code="input.usage")
    if options.desc is not None and not is_single_key(options.desc):
        return _shown(keys, one_address(options.desc, keys.network), 0, 0)
    if options.path is not None:
        path, scheme = DerivationPath.from_text(options.path), SCHEMES[options.addr_type]
    else:
        path, scheme = keys.address_named(options.desc)
    if len(path) < 3 or max(path.indexes[-2:]) >= HARDENED:
        raise InvalidInputError(f"{path} is no path of an address: it must end in a branch and an index")
    return _shown(keys, keys.account_of(path, scheme), path.indexes[-1], path.indexes[-2])


def _shown(keys: Keys, account: ScriptAccount, index: int, branch: int) -> dict[str, Any]:
    signer = keys.signer
    if not isinstance(signer, (AddressDisplay, ScriptAddressDisplay)):
        raise UnsupportedError(
            "this signer has no screen of its own", operation="display_address", model=signer.info.model
        )
    return {"address": str(confirm_address(signer, account, index, branch=branch))}


COMMANDS: dict[str, Callable[[Keys, Namespace], Any]] = {
    "getmasterxpub": getmasterxpub,
    "getxpub": getxpub,
    "getkeypool": getkeypool,
    "getdescriptors": getdescriptors,
    "signtx": signtx,
    "signmessage": signmessage,
    "displayaddress": displayaddress,
    "registerdescriptor": registerdescriptor,
}
