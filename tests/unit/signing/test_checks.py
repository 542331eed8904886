"""Answers held to their questions: the error for each lie, and nothing of the signer's but good signatures."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.bitcoin.psbt import InputDigests, Psbt
from bursar.bitcoin.script import p2wsh
from bursar.bitcoin.transaction import OutPoint, Transaction, TxIn, TxOut
from bursar.crypto.curve import ORDER
from bursar.crypto.hashes import sha256
from bursar.crypto.secp256k1 import EcdsaSignature, ecdsa_sign_der, public_key
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.ethereum.account import EthereumAccount
from bursar.ethereum.transaction import UnsignedTransaction
from bursar.ethereum.units import Wei
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing import checks
from bursar.signing.checks import request_message, request_personal_message, request_signatures, request_transaction
from bursar.signing.protocols import SignerInfo

if TYPE_CHECKING:
    from bursar.bitcoin.account import BitcoinAccount

PARTIAL, TAP_KEY_SIG = b"\x02", b"\x13"


class Scripted:
    """A PSBT signer whose answer is a function of the question."""

    def __init__(self, answer: Callable[[Psbt], Any], fingerprint: Fingerprint | None = None) -> None:
        self._answer = answer
        self.info = SignerInfo("scripted", "here", "test", label="liar", fingerprint=fingerprint)

    def sign_psbt(self, psbt: Psbt) -> Any:
        return self._answer(psbt)

    def xpub(self, path: DerivationPath) -> Any:
        raise NotImplementedError

    def close(self) -> None:
        pass


def misbehaves(psbt: Psbt, answer: Callable[[Psbt], Any], words: str, **options: Any) -> None:
    with pytest.raises(SignerMisbehavedError, match=f"^scripted:liar misbehaved: .*{words}.*do not trust it") as caught:
        request_signatures(Scripted(answer, **options), psbt)  # type: ignore[arg-type]
    assert not caught.value.retryable


def field_of(psbt: Psbt, kind: bytes) -> bytes:
    return next(key for key in psbt.inputs[0].fields if key.startswith(kind))


def changed(signer: SoftwareSigner, change: Callable[[dict[bytes, bytes]], object]) -> Callable[[Psbt], Psbt]:
    """The honest answer with ``change`` applied to the fields of its first input."""

    def answer(psbt: Psbt) -> Psbt:
        signed = signer.sign_psbt(psbt)
        change(signed.inputs[0].fields)
        return signed

    return answer


def test_the_answer_is_the_question_and_signatures(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(scheme) for scheme in Scheme])
    before = psbt.serialize()
    signed = request_signatures(signer, psbt)
    assert psbt.serialize() == before
    for one, old in zip(signed.inputs, psbt.inputs, strict=True):
        new = [key for key in one.fields if key not in old.fields]
        assert len(new) == 1
        assert list(one.fields) == [*old.fields, *new]
        del one.fields[new[0]]
    assert signed.serialize() == before


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (lambda psbt: None, "NoneType, which is no psbt"),
        (lambda psbt: psbt.serialize(), "bytes, which is no psbt"),
        (lambda psbt: psbt, "no signature"),
        (lambda psbt: Psbt(psbt.tx), "changed the field"),
    ],
)
def test_answers_that_are_none(ask: SimpleNamespace, answer: Callable[[Psbt], Any], words: str) -> None:
    misbehaves(ask.one(), answer, words)


def test_another_transaction_is_named(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    other = ask.one(locktime=7)
    misbehaves(ask.one(), lambda psbt: signer.sign_psbt(other), f"transaction {other.tx.txid} where")


def test_the_answer_to_another_question_on_the_same_keys(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    misbehaves(ask.one(salt=1), lambda psbt: signer.sign_psbt(ask.one(salt=2)), "where .* was asked")


@pytest.mark.parametrize("where", ["fields", "input", "output"])
@pytest.mark.parametrize("kind", ["more", "less", "other"])
def test_no_field_is_added_lost_or_changed(ask: SimpleNamespace, signer: SoftwareSigner, where: str, kind: str) -> None:
    psbt = ask.question([ask.spend()])
    for one in (psbt, psbt.inputs[0], psbt.outputs[0]):
        one.unknown[b"\xfc\x01a"] = b"mine"

    def answer(asked: Psbt) -> Psbt:
        signed = signer.sign_psbt(asked)
        fields = {"fields": signed, "input": signed.inputs[0], "output": signed.outputs[0]}[where].fields
        if kind == "less":
            del fields[b"\xfc\x01a"]
        else:
            fields[b"\xfc\x01b" if kind == "more" else b"\xfc\x01a"] = b"theirs"
        return signed

    misbehaves(psbt, answer, "field fc016")


@pytest.mark.parametrize("key", [b"\x07", b"\x08", b"\x03", b"\x05", b"\x14" + bytes(64), b"\x18"])
def test_no_field_but_a_signature_may_be_added(ask: SimpleNamespace, signer: SoftwareSigner, key: bytes) -> None:
    misbehaves(ask.one(), changed(signer, lambda fields: fields.update({key: b"\x01\0\0\0"})), "no signature asked for")


def test_ecdsa_signatures_do_not_go_to_taproot_nor_the_reverse(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    key = public_key(b"\x01" * 32)
    misbehaves(
        ask.one(Scheme.BIP86), changed(signer, lambda fields: fields.update({PARTIAL + key: bytes(71)})), "no signature"
    )
    misbehaves(
        ask.one(Scheme.BIP84), changed(signer, lambda fields: fields.update({TAP_KEY_SIG: bytes(64)})), "no signature"
    )


def test_a_signature_that_was_there_may_not_be_exchanged(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(), ask.spend(index=1)])
    half = psbt.copy()
    half.inputs[0].fields.update(signer.sign_psbt(psbt).inputs[0].fields)
    name = field_of(half, PARTIAL)
    misbehaves(half, changed(signer, lambda fields: fields.update({name: bytes(71)})), "changed the field 02")


def test_a_final_input_may_not_be_added_to(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(), ask.spend(index=1)])
    psbt.inputs[0].final_witness = (b"\x01",)
    misbehaves(psbt, changed(signer, lambda fields: fields.update({b"\xfc\x01a": b""})), "input 0, which was final")


def test_a_key_that_is_not_in_the_script(ask: SimpleNamespace) -> None:
    def answer(psbt: Psbt) -> Psbt:
        signed, secret = psbt.copy(), b"\x01" * 32
        digest = InputDigests(psbt).digest(0).digest
        signed.inputs[0].partial_sigs[public_key(secret)] = ecdsa_sign_der(secret, digest) + b"\x01"
        return signed

    misbehaves(ask.one(), answer, "which its script does not contain")


def test_a_cosigners_key_is_not_this_signers(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Callable[..., BitcoinAccount]
) -> None:
    """A sound signature, by a key of the script, that another master key is named for."""
    secret = b"\x01" * 32
    theirs, ours = public_key(secret), account().key(0, 0)
    script = b"\x51" + b"".join(b"\x21" + key for key in (ours, theirs)) + b"\x52\xae"
    psbt = ask.one()
    before = psbt.inputs[0].non_witness_utxo
    previous = Transaction(2, before.inputs, (TxOut(before.outputs[1].value, p2wsh(sha256(script))),), 0)
    both = Psbt(Transaction(2, (TxIn(OutPoint(previous.txid, 0)),), psbt.tx.outputs, 0))
    both.inputs[0].non_witness_utxo, both.inputs[0].witness_script = previous, script
    both.inputs[0].bip32_derivations[ours] = account().key_origin(0, 0)
    both.inputs[0].bip32_derivations[theirs] = KeyOrigin.from_text("01020304/0")
    assert list(request_signatures(signer, both).inputs[0].partial_sigs) == [ours]

    def answer(asked: Psbt) -> Psbt:
        signed, digest = asked.copy(), InputDigests(asked).digest(0).digest
        signed.inputs[0].partial_sigs[theirs] = ecdsa_sign_der(secret, digest) + b"\x01"
        return signed

    misbehaves(both, answer, "with a key of 01020304", fingerprint=signer.info.fingerprint)


def test_d35_the_hash_type_byte_is_the_one_asked_for(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    for byte in (0x00, 0x02, 0x03, 0x81):
        psbt = ask.one()

        def answer(asked: Psbt, byte: int = byte) -> Psbt:
            signed = signer.sign_psbt(asked)
            name = field_of(signed, PARTIAL)
            signed.inputs[0].fields[name] = signed.inputs[0].fields[name][:-1] + bytes((byte,))
            return signed

        misbehaves(psbt, answer, f"with hash type 0x{byte:02x}, 0x01 was asked")


def test_d35_taproot_default_and_all_are_not_each_other(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    default, everything = ask.one(Scheme.BIP86), ask.one(Scheme.BIP86)
    everything.inputs[0].sighash_type = 1
    short = signer.sign_psbt(default).inputs[0].fields[TAP_KEY_SIG]
    long = signer.sign_psbt(everything).inputs[0].fields[TAP_KEY_SIG]
    assert (len(short), len(long)) == (64, 65)

    def answering(value: bytes) -> Callable[[Psbt], Psbt]:
        return changed(signer, lambda fields: fields.update({TAP_KEY_SIG: value}))

    misbehaves(default, answering(long), "65 bytes, 64 belong")
    misbehaves(everything, answering(short), "64 bytes, 65 belong")
    misbehaves(everything, answering(long[:64] + b"\x02"), "hash type 0x02, 0x01 was asked")
    misbehaves(default, answering(long[:64]), "signature of input 0 is wrong")
    misbehaves(default, answering(bytes(64)), "signature of input 0 is wrong")
    misbehaves(everything, answering(short + b"\x01"), "signature of input 0 is wrong")
    for psbt, value in ((default, short), (everything, long)):
        assert request_signatures(Scripted(answering(value)), psbt).inputs[0].tap_key_sig == value  # type: ignore[arg-type]


def test_d36_a_schnorr_signature_of_65_bytes_ending_in_zero(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    answer = changed(signer, lambda fields: fields.update({TAP_KEY_SIG: fields[TAP_KEY_SIG] + b"\0"}))
    misbehaves(ask.one(Scheme.BIP86), answer, "65 bytes, 64 belong")
    explicit = ask.one(Scheme.BIP86)
    explicit.inputs[0].sighash_type = 0
    misbehaves(explicit, answer, "65 bytes, 64 belong")


@pytest.mark.parametrize("scheme", [Scheme.BIP44, Scheme.BIP49, Scheme.BIP84])
def test_f57_high_s_bad_der_and_wrong_signatures(ask: SimpleNamespace, signer: SoftwareSigner, scheme: Scheme) -> None:
    def to(change: Callable[[bytes], bytes]) -> Callable[[Psbt], Psbt]:
        def apply(fields: dict[bytes, bytes]) -> None:
            name = next(key for key in fields if key[0] == 2)
            fields[name] = change(fields[name][:-1]) + b"\x01"

        return changed(signer, apply)

    def high(der: bytes) -> bytes:
        signature = EcdsaSignature.from_der(der)
        return EcdsaSignature(signature.r, ORDER - signature.s).to_der()

    for change in (
        high,
        lambda der: der + b"\0",
        lambda der: der[:-1],
        lambda der: b"",
        lambda der: b"\x30\x06\x02\x01\x00\x02\x01\x00",
        lambda der: der[:10] + bytes((der[10] ^ 1,)) + der[11:],
        lambda der: EcdsaSignature.from_der(der).compact(),
        lambda der: b"\x30\x81" + der[1:],
        lambda der: der[:3] + bytes((der[3] + 1, 0)) + der[4:],
    ):
        misbehaves(ask.one(scheme), to(change), "signature of input 0 is wrong")


def test_f57_signatures_of_another_input(ask: SimpleNamespace, signer: SoftwareSigner) -> None:
    psbt = ask.question([ask.spend(), ask.of(ask.spend().account, 0, 0)])

    def answer(asked: Psbt) -> Psbt:
        signed = signer.sign_psbt(asked)
        (name, other) = (next(key for key in one.fields if key[0] == 2) for one in signed.inputs)
        first, second = signed.inputs[0].fields, signed.inputs[1].fields
        first[name], second[other] = second[other], first[name]
        return signed

    misbehaves(psbt, answer, "signature of input 0 is wrong")


def test_the_account_given_is_held_to_its_change(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Callable[..., BitcoinAccount]
) -> None:
    psbt = ask.question([ask.spend()], change=ask.stranger())
    for key in list(psbt.outputs[1].bip32_derivations):
        psbt.outputs[1].bip32_derivations[key] = account().key_origin(1, 3)
    with pytest.raises(InvalidInputError, match="claims to be change and is not"):
        request_signatures(signer, psbt, account=account())


def test_a_signer_of_other_keys_is_not_even_asked(ask: SimpleNamespace) -> None:
    asked: list[Psbt] = []
    with pytest.raises(InvalidInputError, match="01020304"):
        request_signatures(Scripted(asked.append, Fingerprint(b"\1\2\3\4")), ask.one())  # type: ignore[arg-type]
    assert not asked


FEES = {"max_fee_per_gas": Wei(2), "max_priority_fee_per_gas": Wei(1)}
PATH = DerivationPath.from_text("m/44h/60h/0h")


@pytest.fixture
def ethereum(signer: SoftwareSigner) -> EthereumAccount:
    assert signer.info.fingerprint is not None
    return EthereumAccount(1, KeyOrigin(signer.info.fingerprint, PATH), signer.xpub(PATH))


def transaction(**changes: Any) -> UnsignedTransaction:
    from bursar.ethereum.address import Address

    fields = {"chain_id": 1, "nonce": 0, "to": Address(b"\x11" * 20), "value": Wei(5), "gas_limit": 21000, **FEES}
    return UnsignedTransaction(**{**fields, **changes})


def test_s1_s2_transactions(signer: SoftwareSigner, ethereum: EthereumAccount, monkeypatch: pytest.MonkeyPatch) -> None:
    tx, path, sender = transaction(), ethereum.path(3), ethereum.address(3)
    signed = request_transaction(signer, path, tx, sender=sender)
    assert signed.unsigned is tx
    assert signed.sender == sender
    honest = signed.signature
    for answer, words in (
        (None, "NoneType, which is no signature"),
        (honest.compact(), "bytes, which is no signature"),
        (EcdsaSignature(honest.r, ORDER - honest.s, 1 - (honest.y_parity or 0)), "high s"),
        (EcdsaSignature(honest.r, honest.s), "no parity"),
        (EcdsaSignature(honest.r, honest.s, 1 - (honest.y_parity or 0)), "not one of this transaction"),
        (EcdsaSignature(5, honest.s, 0), "belongs to no key"),
        (signer.sign_transaction(path, transaction(value=Wei(6))), "not one of this transaction"),
        (signer.sign_transaction(path, transaction(chain_id=2)), "not one of this transaction"),
        (signer.sign_transaction(ethereum.path(4), tx), "not one of this transaction"),
    ):
        monkeypatch.setattr(SoftwareSigner, "sign_transaction", lambda *_, answer=answer: answer)
        with pytest.raises(SignerMisbehavedError, match=words):
            request_transaction(signer, path, tx, sender=sender)
        monkeypatch.undo()


def test_messages(signer: SoftwareSigner, account: Callable[..., BitcoinAccount], ethereum: EthereumAccount) -> None:
    ours = account()
    request_message(signer, ours.path(0, 2), b"hello", public_key=ours.key(0, 2))
    with pytest.raises(SignerMisbehavedError, match="not one of this message"):
        request_message(signer, ours.path(0, 2), b"hello", public_key=ours.key(0, 3))
    request_personal_message(signer, ethereum.path(0), b"hello", sender=ethereum.address(0))
    with pytest.raises(SignerMisbehavedError, match="not one of this message"):
        request_personal_message(signer, ethereum.path(0), b"hello", sender=ethereum.address(1))


def test_a_nameless_signer_is_named_by_its_place() -> None:
    assert checks.name_of(Scripted(lambda psbt: psbt)) == "scripted:liar"  # type: ignore[arg-type]


class Display:
    """A signer with a screen that shows what it is told to."""

    def __init__(self, shown: Any) -> None:
        self._shown = shown
        self.info = SignerInfo("scripted", "here", "test", label="liar")

    def display_address(self, account: Any, branch: int, index: int) -> Any:
        return self._shown(account, branch, index) if callable(self._shown) else self._shown


def test_b20_what_the_screen_shows_is_what_was_derived(
    account: Callable[..., BitcoinAccount], ethereum: EthereumAccount
) -> None:
    from bursar.bitcoin.address import Address
    from bursar.bitcoin.network import Network

    ours = account()
    honest = str(ours.address(0, 5))
    assert str(checks.confirm_address(Display(honest), ours, 5)) == honest  # type: ignore[arg-type]
    assert str(checks.confirm_address(Display(honest.upper()), ours, 5)) == honest  # type: ignore[arg-type]
    testnet = str(Address.from_script(ours.script(0, 5), Network.TESTNET))
    assert str(checks.confirm_address(Display(testnet), ours, 5)) == honest  # type: ignore[arg-type]
    on_main = str(Address.from_script(ours.script(0, 5), Network.MAIN))
    for shown in (str(ours.address(0, 6)), str(ours.address(1, 5)), on_main, "", "junk", honest[:-1], None, b"x", 5):
        with pytest.raises(SignerMisbehavedError, match="it showed"):
            checks.confirm_address(Display(shown), ours, 5)  # type: ignore[arg-type]
    mine = str(ethereum.address(2))
    assert str(checks.confirm_address(Display(mine.lower()), ethereum, 2)) == mine  # type: ignore[arg-type]
    for shown in (str(ethereum.address(3)), mine[:-1], mine + "0", "", None):
        with pytest.raises(SignerMisbehavedError, match="it showed"):
            checks.confirm_address(Display(shown), ethereum, 2)  # type: ignore[arg-type]


@pytest.mark.parametrize("place", ["inputs", "outputs"])
@pytest.mark.parametrize("more", [True, False])
def test_s57_another_number_of_maps(ask: SimpleNamespace, signer: SoftwareSigner, place: str, more: bool) -> None:
    def answer(psbt: Psbt) -> Psbt:
        signed = signer.sign_psbt(psbt)
        maps = getattr(signed, place)
        if more:
            maps.append(maps[-1].copy())
        else:
            maps.pop()
        return signed

    misbehaves(ask.question([ask.spend(), ask.spend(index=1)]), answer, "another number of inputs or outputs")
