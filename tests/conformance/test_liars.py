"""The kit proves itself: every signer that lies in one way fails it, and our checks name the lie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.psbt import Psbt
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import Sats
from bursar.crypto.curve import ORDER
from bursar.crypto.hashes import keccak256
from bursar.crypto.secp256k1 import EcdsaSignature, public_key
from bursar.errors import InvalidInputError
from bursar.ethereum.units import Wei
from bursar.keys.bip32 import ExtendedPublicKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import Fingerprint
from bursar.keys.path import DerivationPath
from bursar.signing.conformance import CASES, NonconformanceError, Profile, assert_signer, run_case

if TYPE_CHECKING:
    from bursar.ethereum.account import EthereumAccount
    from bursar.ethereum.transaction import UnsignedTransaction
    from bursar.signing.protocols import SignerInfo

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"
OTHERS = "zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo zoo wrong"
PARTIAL, TAP_KEY_SIG = 0x02, 0x13


class Honest(SoftwareSigner):
    """What the liars differ from in one method each."""


class Lying:
    """Makes signers that lie: a method of the honest one replaced by ``lie(signer, honest method, *arguments)``."""

    def __init__(self, method: str, lie: Callable[..., Any]) -> None:
        def method_that_lies(signer: Any, *arguments: Any) -> Any:
            return lie(signer, getattr(super(made, signer), method), *arguments)

        members = {method: property(method_that_lies) if method == "info" else method_that_lies}
        made: type = type("Liar", (Honest,), members)
        self._made = made

    def __call__(self) -> SoftwareSigner:
        return self._made.from_mnemonic(Mnemonic.from_text(WORDS), verify_after_sign=False)  # type: ignore[attr-defined,no-any-return]


def signatures(psbt: Psbt) -> list[tuple[dict[bytes, bytes], bytes]]:
    return [(one.fields, key) for one in psbt.inputs for key in one.fields if key[0] in (PARTIAL, TAP_KEY_SIG)]


def with_signatures(change: Callable[[bytes, bytes], bytes]) -> Callable[..., Psbt]:
    """A lie about every signature: ``change(field key, value)``."""

    def lie(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
        signed = honest(psbt)
        for fields, key in signatures(signed):
            fields[key] = change(key, fields[key])
        return signed

    return lie


def high_s(key: bytes, value: bytes) -> bytes:
    if key[0] == TAP_KEY_SIG:
        return value
    signature = EcdsaSignature.from_der(value[:-1])
    return EcdsaSignature(signature.r, ORDER - signature.s).to_der() + value[-1:]


def with_psbt(change: Callable[[Psbt], object]) -> Callable[..., Psbt]:
    """A lie about the rest of the answer."""

    def lie(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
        signed = honest(psbt)
        changed = change(signed)
        return changed if isinstance(changed, Psbt) else signed

    return lie


def another_transaction(psbt: Psbt) -> Psbt:
    tx = psbt.tx
    first = tx.outputs[0]
    outputs = (TxOut(Sats(first.value - 1), first.script), *tx.outputs[1:])
    changed = Psbt(Transaction(tx.version, tx.inputs, outputs, tx.locktime))
    for index, one in enumerate(psbt.inputs):
        changed.inputs[index].fields.update(one.fields)
    for index, output in enumerate(psbt.outputs):
        changed.outputs[index].fields.update(output.fields)
    return changed


def another_transaction_well_signed(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
    return honest(another_transaction(psbt))


def of_another_key(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
    """Sound signatures of the right digests by a key that is in no script, filed under that key's own name."""
    from bursar.bitcoin.psbt import InputDigests
    from bursar.crypto.secp256k1 import ecdsa_sign_der

    answer = psbt.copy()
    secret = b"\x01" * 32
    for index, one in enumerate(answer.inputs):
        digest = InputDigests(psbt).digest(index)
        one.fields[bytes((PARTIAL,)) + public_key(secret)] = ecdsa_sign_der(secret, digest.digest) + b"\x01"
    return answer


def swapped(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
    signed = honest(psbt)
    found = [(fields, key) for fields, key in signatures(signed) if key[0] == PARTIAL]
    if len(found) > 1:
        (one, key), (other, name) = found[:2]
        one[key], other[name] = other[name], one[key]
    return signed


def yesterdays(signer: Any, honest: Callable[..., Any], *arguments: Any) -> Any:
    """The answer to the question before, as a connection out of step gives."""
    answer, signer.late = getattr(signer, "late", None), honest(*arguments)
    return signer.late if answer is None else answer


def in_place(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
    for mine, given in zip(honest(psbt).inputs, psbt.inputs, strict=True):
        given.fields.update(mine.fields)
    return psbt


def obliging(signer: Any, honest: Callable[[Psbt], Psbt], psbt: Psbt) -> Psbt:
    """Never refuses: where honesty would, something that looks like a signature."""
    try:
        return honest(psbt)
    except InvalidInputError:
        answer = psbt.copy()
        answer.inputs[0].fields[bytes((PARTIAL,)) + public_key(b"\x01" * 32)] = b"0" * 71
        return answer


def extra(psbt: Psbt) -> None:
    psbt.inputs[0].fields[b"\xfc\x03abc"] = b"hidden"


PSBT_LIES: dict[str, Callable[..., Any]] = {
    "a flipped bit": with_signatures(lambda key, value: value[:20] + bytes((value[20] ^ 1,)) + value[21:]),
    "a high s": with_signatures(high_s),
    "another hash type byte": with_signatures(lambda key, value: value[:-1] + b"\x81" if key[0] == PARTIAL else value),
    "no hash type byte": with_signatures(lambda key, value: value[:-1] if key[0] == PARTIAL else value),
    "65 bytes ending in zero": with_signatures(
        lambda key, value: value[:64] + b"\0" if key[0] == TAP_KEY_SIG else value
    ),
    "der with trailing bytes": with_signatures(
        lambda key, value: value[:-1] + b"\0\x01" if key[0] == PARTIAL and len(value) < 72 else value
    ),
    "zeros for signatures": with_signatures(lambda key, value: bytes(len(value) - 1) + value[-1:]),
    "signatures of another key": of_another_key,
    "signatures of another input": swapped,
    "signatures put in another transaction": with_psbt(another_transaction),
    "another transaction, well signed": another_transaction_well_signed,
    "the answer to the question before": yesterdays,
    "the question itself, signed in place": in_place,
    "an unknown field more in an input": with_psbt(extra),
    "an unknown field more in the global map": with_psbt(lambda psbt: psbt.fields.update({b"\xfc\x03abc": b"x"})),
    "an unknown field more in an output": with_psbt(lambda psbt: psbt.outputs[0].fields.update({b"\xfc\x03abc": b"x"})),
    "a final witness": with_psbt(lambda psbt: psbt.inputs[0].fields.update({b"\x08": b"\x01\x01\x00"})),
    "a finalised psbt": with_psbt(lambda psbt: finalize(psbt) if len(psbt.inputs) == 1 else None),
    "a lost field": with_psbt(lambda psbt: psbt.inputs[0].fields.pop(b"\x00", None)),
    "a changed amount": with_psbt(
        lambda psbt: psbt.inputs[0].fields.update(
            {b"\x01": bytes(8) + psbt.inputs[0].fields.get(b"\x01", bytes(31))[8:]}
        )
    ),
    "a sighash type more": with_psbt(lambda psbt: psbt.inputs[0].fields.setdefault(b"\x03", b"\x01\0\0\0")),
    "nothing signed": lambda signer, honest, psbt: psbt.copy(),
    "one signature short": with_psbt(lambda psbt: psbt.inputs[-1].fields.pop(bytes((TAP_KEY_SIG,)), None)),
    "none": lambda signer, honest, psbt: None,
    "bytes": lambda signer, honest, psbt: honest(psbt).serialize(),
    "a signature whatever is asked": obliging,
}


def other_key(method: str) -> Callable[..., Any]:
    def lie(signer: Any, honest: Callable[..., Any], *arguments: Any) -> Any:
        return getattr(SoftwareSigner.from_mnemonic(Mnemonic.from_text(OTHERS)), method)(*arguments)

    return lie


def with_signature(change: Callable[[EcdsaSignature], object]) -> Callable[..., Any]:
    def lie(signer: Any, honest: Callable[..., EcdsaSignature], *arguments: Any) -> object:
        return change(honest(*arguments))

    return lie


SIGNATURE_LIES: dict[str, Callable[..., Any]] = {
    "a high s": with_signature(
        lambda s: EcdsaSignature(s.r, ORDER - s.s, None if s.y_parity is None else 1 - s.y_parity)
    ),
    "the other parity": with_signature(lambda s: EcdsaSignature(s.r, s.s, 1 - (s.y_parity or 0))),
    "no parity": with_signature(lambda s: EcdsaSignature(s.r, s.s)),
    "another s": with_signature(lambda s: EcdsaSignature(s.r, s.s ^ 2, s.y_parity)),
    "r that is no point": with_signature(lambda s: EcdsaSignature(5, s.s, s.y_parity)),
    "none": with_signature(lambda s: None),
    "bytes": with_signature(lambda s: s.compact()),
    "the answer to the question before": yesterdays,
}
TRANSACTION_LIES: dict[str, Callable[..., Any]] = {
    "another recipient": lambda signer, honest, path, tx: honest(path, replace(tx, to=signer_address(signer, path))),
    "another value": lambda signer, honest, path, tx: honest(path, replace(tx, value=Wei(tx.value + 1))),
    "another nonce": lambda signer, honest, path, tx: honest(path, replace(tx, nonce=tx.nonce + 1)),
    "another chain": lambda signer, honest, path, tx: honest(path, replace(tx, chain_id=tx.chain_id + 1)),
    "no chain at all": lambda signer, honest, path, tx: signer.unsafe_sign_digest(path, without_chain(tx)),
    "a lost access list": lambda signer, honest, path, tx: honest(path, replace(tx, access_list=())),
    "lost data": lambda signer, honest, path, tx: honest(path, tx if tx.to is None else replace(tx, data=b"")),
    "another path": lambda signer, honest, path, tx: honest(path.parent / 9, tx),
    "a signature of the personal message": lambda signer, honest, path, tx: signer.sign_personal_message(
        path, tx.digest()
    ),
}
MESSAGE_LIES: dict[str, Callable[..., Any]] = {
    "another message": lambda signer, honest, path, message: honest(path, message + b"."),
    "another path": lambda signer, honest, path, message: honest(path.parent / 77, message),
    "the bare hash": lambda signer, honest, path, message: signer.unsafe_sign_digest(path, keccak256(message)),
}


def signer_address(signer: Any, path: DerivationPath) -> Any:
    from bursar.ethereum.address import Address

    return Address.from_public_key(signer.xpub(path).key)


def without_chain(tx: UnsignedTransaction) -> bytes:
    """The digest of before EIP-155: valid on every chain."""
    from bursar.crypto import rlp

    def number(value: int) -> bytes:
        return value.to_bytes((value.bit_length() + 7) // 8, "big")

    to = b"" if tx.to is None else bytes(tx.to)
    items = [number(tx.nonce), number(tx.max_gas_price), number(tx.gas_limit), to, number(tx.value), tx.data]
    return keccak256(rlp.encode(items))


def as_info(**changes: Any) -> Callable[..., SignerInfo]:
    return lambda signer, honest: replace(signer._info, **changes)


KEY_LIES: dict[str, tuple[str, Callable[..., Any]]] = {
    "another key": ("xpub", other_key("xpub")),
    "the parent's key": ("xpub", lambda signer, honest, path: honest(path if len(path) < 2 else path.parent)),
    "the same key everywhere": ("xpub", lambda signer, honest, path: honest(DerivationPath.from_text("m/84h/1h/0h"))),
    "another fingerprint": ("info", as_info(fingerprint=Fingerprint(b"\1\2\3\4"))),
    "open, but in trouble": ("info", as_info(trouble="locked")),
    "a closed signer that answers": ("close", lambda signer, honest: None),
}


def lies() -> list[Any]:
    found = [pytest.param("sign_psbt", lie, id=f"psbt: {name}") for name, lie in PSBT_LIES.items()]
    for method, own in (
        ("sign_transaction", TRANSACTION_LIES),
        ("sign_message", MESSAGE_LIES),
        ("sign_personal_message", MESSAGE_LIES),
    ):
        every = {**SIGNATURE_LIES, **own, "another key": other_key(method)}
        found += [pytest.param(method, lie, id=f"{method}: {name}") for name, lie in every.items()]
    return [*found, *(pytest.param(*lie, id=f"{lie[0]}: {name}") for name, lie in KEY_LIES.items())]


@pytest.mark.parametrize(("method", "lie"), lies())
def test_a_liar_does_not_conform(method: str, lie: Callable[..., Any]) -> None:
    liar = Lying(method, lie)
    with pytest.raises(NonconformanceError):
        run_until_one_fails(liar)


def run_until_one_fails(make_signer: Callable[[], SoftwareSigner]) -> None:
    for case in CASES:
        run_case(case, make_signer)


def test_the_honest_one_conforms() -> None:
    assert_signer(lambda: Honest.from_mnemonic(Mnemonic.from_text(WORDS), verify_after_sign=False))


def test_each_hostile_case_catches_the_obliging_signer() -> None:
    liar = Lying("sign_psbt", obliging)
    missed = []
    for case in CASES:
        if case.name.startswith("refuses-"):
            try:
                run_case(case, liar)
            except NonconformanceError:
                continue
            missed.append(case.name)
    assert not missed


class Showing(SoftwareSigner):
    """A software signer with a screen, to test the kit's display case."""

    lie = staticmethod(lambda text: text)

    def display_address(self, account: BitcoinAccount | EthereumAccount, branch: int, index: int) -> Any:
        shown = account.address(branch, index) if isinstance(account, BitcoinAccount) else account.address(index)
        return self.lie(str(shown))


@pytest.mark.parametrize(
    ("lie", "conforms"),
    [
        (lambda text: text, True),
        (lambda text: text.upper() if text.startswith("bcrt") else text, True),
        (lambda text: text[:-1] + ("q" if text[-1] != "q" else "p"), False),
        (lambda text: "bcrt1qw508d6qejxtdg4y5r3zarvary0c5xw7kygt080", False),
        (lambda text: "", False),
        (lambda text: text.encode(), False),
    ],
)
def test_displays(monkeypatch: pytest.MonkeyPatch, lie: Callable[[str], Any], conforms: bool) -> None:
    monkeypatch.setattr(Showing, "lie", staticmethod(lie))
    make = lambda: Showing.from_mnemonic(Mnemonic.from_text(WORDS))  # noqa: E731
    if conforms:
        assert "addresses-are-shown" in assert_signer(make).met
    else:
        with pytest.raises(NonconformanceError, match="addresses-are-shown"):
            assert_signer(make)


def test_a_profile_may_tolerate_a_known_weakness_by_name() -> None:
    liar = Lying("sign_psbt", obliging)
    hostile = frozenset(case.name for case in CASES if case.name.startswith("refuses-"))
    report = assert_signer(liar, profile=Profile(tolerated=hostile))
    assert report.tolerated == tuple(sorted(hostile))
    with pytest.raises(NonconformanceError, match="do not exist"):
        assert_signer(liar, profile=Profile(tolerated=frozenset({"refuses-everything"})))


def test_an_xpub_is_what_the_lies_are_about() -> None:
    assert isinstance(Lying("xpub", other_key("xpub"))().xpub(DerivationPath()), ExtendedPublicKey)
