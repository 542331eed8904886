"""What a review says of authorizations (EIP-7702) and blobs (EIP-4844)."""

from __future__ import annotations

from collections.abc import Callable

from bursar.crypto.secp256k1 import ecdsa_sign_recoverable, public_key
from bursar.ethereum.address import ZERO_ADDRESS, Address
from bursar.ethereum.authorization import Authorization, SignedAuthorization
from bursar.ethereum.review import Delegation, Effects, effects
from bursar.ethereum.transaction import BLOB, SET_CODE, UnsignedTransaction

Make = Callable[..., UnsignedTransaction]
KEY = b"\x46" * 32
ME = Address.from_public_key(public_key(KEY))
CODE = Address(b"\x77" * 20)


def signed(one: Authorization) -> SignedAuthorization:
    return one.sign_with(ecdsa_sign_recoverable(KEY, one.digest()))


def codes(found: Effects) -> set[str]:
    return {one.code for one in found.cautions}


def test_C4_the_next_nonce_decides_whether_the_senders_own_counts(make: Make) -> None:
    for nonce, counts in ((10, True), (9, False), (11, False)):
        tx = make(SET_CODE, nonce=9, authorization_list=(signed(Authorization(1, CODE, nonce)),))
        found = effects(tx, sender=ME)
        assert found.delegations == (Delegation(ME, CODE, False, nonce, counts),)
        assert codes(found) >= {"delegation"}
        assert ("delegation-void" in codes(found)) is not counts
    assert effects(tx, sender=CODE).delegations[0].effective  # the nonce of another account is not known here


def test_C4_every_chain_another_chain_and_the_end_are_told(make: Make) -> None:
    wild = signed(Authorization(0, CODE, 10, any_chain=True))
    other, end = signed(Authorization(5, CODE, 10)), signed(Authorization(1, ZERO_ADDRESS, 11))
    found = effects(make(SET_CODE, authorization_list=(wild, other, end)), sender=ME)
    assert [(one.any_chain, one.effective) for one in found.delegations] == [
        (True, True),
        (False, False),
        (False, True),
    ]
    assert codes(found) >= {"delegation", "delegation-any-chain", "delegation-void", "delegation-end"}


def test_blobs_are_counted(make: Make) -> None:
    assert "blobs" in codes(effects(make(BLOB)))
    assert not effects(make()).delegations
