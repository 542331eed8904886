"""Public keys of a Trezor: extended keys by path, and the master key's fingerprint (BIP-32)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from bursar.backends.trezor.exchange import Exchange, one
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.origin import Fingerprint
from bursar.keys.path import HARDENED, DerivationPath
from bursar.keys.scheme import CoinType

if TYPE_CHECKING:
    from collections.abc import Sequence

_TESTNET = HARDENED + CoinType.TESTNET
_FIRST_CHILD = (HARDENED,)


def public_key(messages: Any, path: DerivationPath) -> Exchange[ExtendedPublicKey]:
    """The extended public key at ``path``, not shown: a tpub below SLIP-44's coin type 1, an xpub everywhere else.

    ``SignerMisbehavedError`` where the answer is malformed or sits at another place.
    """
    return (yield from public_key_at(messages, path.indexes))


def public_key_at(messages: Any, indexes: Sequence[int]) -> Exchange[ExtendedPublicKey]:
    """As ``public_key``, by indexes."""
    reply = yield from one(_request(messages, indexes), messages.PublicKey)
    return _extended(reply, indexes)


def root_fingerprint(messages: Any) -> Exchange[Fingerprint]:
    """The fingerprint of the master key, as the parent of m/0h: the vendor's programs ask it this way too."""
    reply = yield from one(_request(messages, _FIRST_CHILD), messages.PublicKey)
    parent = _extended(reply, _FIRST_CHILD).parent
    told = reply.root_fingerprint
    if told is not None and told != int.from_bytes(parent, "big"):
        raise SignerMisbehavedError(
            f"the trezor names two master keys, {told:08x} and {parent}: do not trust it until you know why"
        )
    return parent


def _request(messages: Any, indexes: Sequence[int]) -> Any:
    coin = "Testnet" if len(indexes) > 1 and indexes[1] == _TESTNET else "Bitcoin"
    return messages.GetPublicKey(
        address_n=list(indexes),
        coin_name=coin,
        script_type=messages.InputScriptType.SPENDADDRESS,
        ignore_xpub_magic=True,
    )


def _extended(reply: Any, indexes: Sequence[int]) -> ExtendedPublicKey:
    testnet = len(indexes) > 1 and indexes[1] == _TESTNET
    node = reply.node
    try:
        key = ExtendedPublicKey(
            node.depth,
            Fingerprint(node.fingerprint.to_bytes(4, "big")),
            node.child_num,
            node.chain_code,
            node.public_key,
            testnet,
        )
    except (InvalidInputError, OverflowError) as error:
        raise _unfit("it is malformed") from error
    if key.depth != len(indexes) or (indexes and key.index != indexes[-1]):
        raise _unfit("it is of another place than the one asked for")
    if reply.xpub != str(key):
        raise _unfit("its text and its parts are two different keys")
    return key


def _unfit(reason: str) -> SignerMisbehavedError:
    return SignerMisbehavedError(f"the trezor's public key is not to be used: {reason}; do not trust it")
