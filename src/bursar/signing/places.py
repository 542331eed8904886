"""Where in an account a key that a PSBT names would stand, for keys that have a place of their own (BIP-380)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.bitcoin.descriptor_account import DescriptorAccount
from bursar.bitcoin.descriptors.keys import MusigExpression

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.keys.origin import Fingerprint, KeyOrigin


def aggregate_fingerprints(account: ScriptAccount) -> frozenset[Fingerprint]:
    """Those of keys that several participants make together: places are named below them (BIP-328)."""
    if not isinstance(account, DescriptorAccount):
        return frozenset()
    return frozenset(
        key.aggregate_at(branch, 0)[1].fingerprint
        for key in account.descriptor_value.node.keys
        if isinstance(key, MusigExpression)
        for branch in account.branches
    )


def fixed_origins(account: ScriptAccount) -> frozenset[KeyOrigin]:
    """The keys that are the same at every index: naming one says nothing of where an output stands."""
    if not isinstance(account, DescriptorAccount) or not account.ranged:
        return frozenset()
    return frozenset(
        key.origin_at(branch, 0)
        for key in account.descriptor_value.keys
        if key.wildcard is None
        for branch in account.branches
    )
