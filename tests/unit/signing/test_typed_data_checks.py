"""Typed data put to signers: the chain before they are asked, the sender after they answered."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.crypto.curve import ORDER
from bursar.crypto.secp256k1 import EcdsaSignature
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.typed_data import TypedData
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.signing.checks import request_typed_data
from bursar.signing.protocols import TypedDataSigner

HOME = DerivationPath.from_text("m/44h/60h/0h")
CHAINS = {"EIP712Domain": [("chainId", "uint256")], "Vote": [("yes", "bool")]}
NOWHERE = {"EIP712Domain": [("name", "string")], "Vote": [("yes", "bool")]}
VOTE = TypedData.of(CHAINS, "Vote", {"chainId": 5}, {"yes": True})


class Liar:
    def __init__(self, honest: SoftwareSigner, lie: Callable[[EcdsaSignature], Any]) -> None:
        self.info = honest.info
        self.asked = 0
        self._honest, self._lie = honest, lie

    def xpub(self, path: DerivationPath) -> Any:
        return self._honest.xpub(path)

    def sign_typed_data(self, path: DerivationPath, typed: TypedData) -> Any:
        self.asked += 1
        return self._lie(self._honest.sign_typed_data(path, typed))

    def close(self) -> None:
        self._honest.close()


@pytest.fixture
def honest() -> SoftwareSigner:
    return SoftwareSigner.from_mnemonic(Mnemonic.from_text(" ".join(["all"] * 12)))


def put(signer: Any, typed: TypedData = VOTE, *, chain_id: int = 5, **options: Any) -> EcdsaSignature:
    account = EthereumAccount(5, KeyOrigin(signer.info.fingerprint, HOME), signer.xpub(HOME))
    return request_typed_data(signer, account.path(0), typed, sender=account.address(0), chain_id=chain_id, **options)


def test_an_honest_signer(honest: SoftwareSigner) -> None:
    assert isinstance(honest, TypedDataSigner)
    assert put(honest).low_s


def test_the_chain_is_checked_before_the_signer_is_asked(honest: SoftwareSigner) -> None:
    signer = Liar(honest, lambda signature: signature)
    nowhere = TypedData.of(NOWHERE, "Vote", {"name": "x"}, {"yes": True})
    for typed, chain_id in ((VOTE, 1), (nowhere, 5)):
        with pytest.raises(InvalidInputError) as caught:
            put(signer, typed, chain_id=chain_id)
        assert caught.value.code == "input.typed-data.chain"
    with pytest.raises(InvalidInputError):
        put(signer, VOTE, chain_id=1, any_chain=True)
    assert signer.asked == 0
    put(signer, nowhere, any_chain=True)
    assert signer.asked == 1


@pytest.mark.parametrize(
    "lie",
    [
        lambda one: EcdsaSignature(one.r, ORDER - one.s, 1 - one.y_parity),
        lambda one: EcdsaSignature(one.r, one.s, 1 - one.y_parity),
        lambda one: EcdsaSignature(one.r, one.s, None),
        lambda one: EcdsaSignature(one.r, one.s - 1, one.y_parity),
        lambda one: one.compact(),
        lambda one: None,
    ],
)
def test_lies(honest: SoftwareSigner, lie: Callable[[EcdsaSignature], Any]) -> None:
    with pytest.raises(SignerMisbehavedError):
        put(Liar(honest, lie))


def test_typed_data_is_not_signed_by_keys_of_bitcoin(honest: SoftwareSigner) -> None:
    with pytest.raises(InvalidInputError, match="bitcoin keys"):
        honest.sign_typed_data(DerivationPath.from_text("m/84h/0h/0h/0/0"), VOTE)
