"""What is registered on Ledgers, in and out of a backup: the same policies, as BIP-388 writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.crypto.hashes import sha256

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from bursar.bitcoin.wallet_policy import WalletPolicy
    from bursar.wallet.backup import RegisteredPolicy

_VERSION = b"\x02"


def registered(path: Path) -> tuple[RegisteredPolicy, ...]:
    """Every registration kept at ``path``, retired ones too."""
    from bursar.backends.ledger.policies import FilePolicyStore
    from bursar.wallet.backup import RegisteredPolicy

    found = FilePolicyStore(path).everything()
    return tuple(RegisteredPolicy(one.policy, one.fingerprint, one.hmac, one.retired) for one in found)


def adopt(path: Path, policies: Sequence[RegisteredPolicy]) -> int:
    """Keep at ``path`` what it lacks; how many those were. What is there already, retired or not, stays as it is."""
    from bursar.backends.ledger.policies import FilePolicyStore, Registration

    store = FilePolicyStore(path)
    known = {(one.fingerprint, one.identity) for one in store.everything()}
    added = 0
    for one in policies:
        number = identity(one.policy)
        if (one.fingerprint, number) not in known:
            store.add(Registration(one.policy, one.fingerprint, number, one.hmac, one.retired))
            added += 1
    return added


def identity(policy: WalletPolicy) -> bytes:
    """The 32 bytes by which Ledger's Bitcoin app names a policy: a hash of its name, template and tree of keys."""
    name, template = policy.name.encode("ascii"), policy.template.encode("ascii")
    keys = [sha256(b"\x00" + text.encode("ascii")) for text in policy.key_texts]
    return sha256(
        b"".join(
            [_VERSION, _sized(len(name)), name, _sized(len(template)), sha256(template), _sized(len(keys)), _root(keys)]
        )
    )


def _root(hashes: list[bytes]) -> bytes:
    if len(hashes) == 1:
        return hashes[0]
    half = 1 << (len(hashes) - 1).bit_length() - 1
    return sha256(b"\x01" + _root(hashes[:half]) + _root(hashes[half:]))


def _sized(count: int) -> bytes:
    return bytes((count,)) if count < 0xFD else b"\xfd" + count.to_bytes(2, "little")
