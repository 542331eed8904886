"""What a registered policy pays to and is signed with, derived here: to tell its inputs and its change (BIP-388)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.account import CHANGE
from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.network import Network
from bursar.bitcoin.wallet_policy import placeholders
from bursar.signing.change import MOST_INDEX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.descriptors.spending import Spending
    from bursar.bitcoin.psbt import Psbt, PsbtInput, PsbtOutput
    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.keys.origin import Fingerprint, KeyOrigin

Slot = tuple[bytes, bytes]
"""A key the app may sign an input with, as it names it, and the leaf's hash, empty where it is no leaf's key."""

_PLAIN: Final = re.compile(r"(?:sh\(|wsh\()*(?:pk|pkh|wpkh|multi|sortedmulti)\([^()]*\)+")
_PLAIN_TREE: Final = re.compile(r"[{},]*(?:(?:pk|multi_a|sortedmulti_a)\([^()]*\)[{},]*)+\)")
_THRESH_OF_ONE: Final = re.compile(r"thresh\(1,(?:[^(),]|\([^()]*\))+\)")
_MUSIG: Final = re.compile(r"musig\([^()]*\)")
_WRAPPED: Final = re.compile(r"(?<![a-z0-9_])([asctdvjnlu]+):")


class PolicyScripts:
    """The scripts of one policy."""

    def __init__(self, policy: WalletPolicy) -> None:
        self.account = DescriptorAccount(
            Network.TESTNET if policy.keys[0][1].testnet else Network.MAIN, policy.descriptor()
        )

    def slots(self, psbt: Psbt, number: int, fingerprint: Fingerprint) -> dict[Slot, bool] | None:
        """Whether each key of ``fingerprint`` in input ``number`` is named there; ``None`` if it is not the policy's.

        The input is the policy's to the last byte of its scripts, and every key it names is where it says.
        """
        one, script = psbt.inputs[number], psbt.utxo(number).script
        named = dict(_named(one, fingerprint))
        spending = self._spending_of(named, script)
        if spending is None:
            return None
        if spending.witness_script != one.witness_script or spending.redeem_script != one.redeem_script:
            return None
        origins: dict[bytes, KeyOrigin] = dict(spending.origins)
        origins |= {key: origin for key, (_, origin) in spending.tap_origins.items()}
        if any(origins.get(key) != origin for key, origin in named.items()):
            return None
        return {
            slot: key in named for key, slot, origin in _slots(spending) if origin.fingerprint == fingerprint
        } or None

    def changes(self, psbt: Psbt, fingerprint: Fingerprint) -> frozenset[int]:
        """The outputs that return to the policy's second branch, at an index a wallet would look at."""
        found = []
        for number, (one, output) in enumerate(zip(psbt.outputs, psbt.tx.outputs, strict=True)):
            for origin in dict.fromkeys(origin for _, origin in _named(one, fingerprint)):
                place = self.account.locate(origin)
                if place is None or place[0] != CHANGE or place[1] > MOST_INDEX:
                    continue
                if self.account.script(*place) == output.script:
                    found.append(number)
                    break
        return frozenset(found)

    def _spending_of(self, named: dict[bytes, KeyOrigin], script: bytes) -> Spending | None:
        for origin in named.values():
            place = self.account.locate(origin)
            if place is not None and self.account.script(*place) == script:
                return self.account.spending(*place)
        return None


def _named(one: PsbtInput | PsbtOutput, fingerprint: Fingerprint) -> Iterator[tuple[bytes, KeyOrigin]]:
    for key, origin in one.bip32_derivations.pairs():
        if origin.fingerprint == fingerprint:
            yield key, origin
    for key, (_, origin) in one.tap_bip32_derivations.pairs():
        if origin.fingerprint == fingerprint:
            yield key, origin


def _slots(spending: Spending) -> Iterator[tuple[bytes, Slot, KeyOrigin]]:
    """Each key, how the app names what it signs with it, and where it comes from."""
    for key, origin in spending.origins.items():
        yield key, (key, b""), origin
    for key, (leaves, origin) in spending.tap_origins.items():
        if key == spending.internal_key:
            yield key, (spending.script[2:], b""), origin
        for leaf in leaves:
            yield key, (key, leaf), origin


def features(policy: WalletPolicy) -> tuple[str, ...]:
    """What versions of the app may get wrong about a policy, by the names that ``firmware.toml`` uses."""
    template = policy.template
    usual = all((one.receive, one.change) == (0, 1) for one in placeholders(template))
    head, _, tree = _MUSIG.sub("musig", template).partition(",")
    found = []
    if not head.startswith("tr(") or not tree:
        tree = ""
    if tree:
        found.append("taproot-scripts")
        if not usual:
            found.append("taproot-scripts-other-branches")
        if not _PLAIN_TREE.fullmatch(tree):
            found.append("taproot-miniscript")
    if "musig(" in template:
        found.append("musig")
    plain = _PLAIN_TREE.fullmatch(tree) if tree else _PLAIN.fullmatch(template) or template.startswith("tr(")
    if not plain:
        found += _miniscript_features(template)
    return tuple(found)


def _miniscript_features(template: str) -> Iterator[str]:
    yield "miniscript"
    if any("a" in wrappers for wrappers in _WRAPPED.findall(template)):
        yield "miniscript-a"
    if _THRESH_OF_ONE.search(template):
        yield "miniscript-thresh-1"
    if "older(" in template:
        yield "miniscript-older"
