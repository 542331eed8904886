"""Wallets of every shape on a network, as descriptors."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.descriptors import Descriptor
from bursar.bitcoin.multisig import MultisigAccount, MultisigKind
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import MultisigScript, Scheme, account_path, multisig_path

if TYPE_CHECKING:
    from bursar.bitcoin.network import Network

KINDS = {
    MultisigKind.SH: MultisigScript.SH,
    MultisigKind.SH_WSH: MultisigScript.SH_WSH,
    MultisigKind.WSH: MultisigScript.WSH,
}


def _wallets(network: Network) -> dict[str, Descriptor]:
    roots = [ExtendedPrivateKey.from_seed(bytes((number,)) * 32, testnet=network.testnet) for number in (1, 2, 3)]
    found = {}
    for scheme in Scheme:
        path = account_path(scheme, network.coin_type, 0)
        origin = KeyOrigin(roots[0].fingerprint, path)
        found[scheme.name] = BitcoinAccount(network, scheme, origin, roots[0].derive(path).public()).descriptor()
    for kind, script in KINDS.items():
        path = multisig_path(script, network.coin_type, 0)
        keys = tuple((KeyOrigin(root.fingerprint, path), root.derive(path).public()) for root in roots)
        for in_order in (False, True):
            name = f"{kind.value}{' in order' if in_order else ''}"
            found[name] = MultisigAccount(network, kind, 2, keys, not in_order).descriptor()
    path = account_path(Scheme.BIP84, network.coin_type, 1)
    texts = [f"[{root.fingerprint}{path.suffix()}]{root.derive(path).public()}/<0;1>/*" for root in roots]
    found["miniscript"] = f"wsh(or_d(pk({texts[0]}),and_v(v:pkh({texts[1]}),older(1000))))"
    leaves = f"pk({texts[1]}),multi_a(1,{texts[1].replace('<0;1>', '<2;3>')},{texts[2]})"
    found["tree"] = f"tr({texts[0]},{{{leaves}}})"
    found["other branches"] = f"wpkh({texts[0].replace('<0;1>', '<4;7>')})"
    found["one address"] = f"wpkh({texts[0].replace('<0;1>/*', '0/5')})"
    found["receiving only"] = f"wpkh({texts[0].replace('<0;1>', '0')})"
    return {name: Descriptor.parse(text) for name, text in found.items()}


@pytest.fixture(scope="session")
def wallets() -> Callable[[Network], dict[str, Descriptor]]:
    return _wallets
