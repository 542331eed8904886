"""Checklist D, what a signature commits to (rows 33 to 38): everything, or nothing is signed."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pytest

from bursar.bitcoin.finalize import finalize
from bursar.bitcoin.script import p2pkh
from bursar.bitcoin.sighash import NONE, SighashCache
from bursar.bitcoin.transaction import Transaction, TxOut
from bursar.bitcoin.units import FeeRate, Sats
from bursar.crypto.secp256k1 import ecdsa_sign_der
from bursar.errors import InvalidInputError, SignerMisbehavedError
from bursar.keys.bip32 import ExtendedPrivateKey
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.preflight import PreflightLimits
from bursar.wallet import FeeChoice

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

Refused = Callable[..., str]
WORDS = "abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon abandon about"
OPEN = (0x02, 0x03, 0x04, 0x41, 0x80, 0x81, 0x82, 0x83, 0x100, 0x101, 0x1FF, 0xFFFFFFFF)
LOOSE = PreflightLimits(previous_required=False, external_inputs=True, any_fee=True)
TEMPLATES = (
    "wsh(sortedmulti(2,@A,@B,@C))",
    "sh(sortedmulti(2,@A,@B,@C))",
    "sh(wsh(multi(2,@A,@B,@C)))",
    "wsh(or_d(pk(@A),and_v(v:pk(@B),older(100))))",
    "tr(@C,{pk(@A),pk(@B)})",
)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_33_only_all_and_taproots_default(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: Any, scheme: Scheme
) -> None:
    """No limit that can be loosened lets anything else through."""
    ours = account(scheme)
    for sighash in (*OPEN, *(() if scheme is Scheme.BIP86 else (0,))):
        psbt = ask.one(scheme)
        psbt.inputs[0].sighash_type = sighash
        refused(psbt, "sighash", account=ours)
        refused(psbt, "sighash", account=ours, limits=LOOSE)
        with pytest.raises(InvalidInputError):
            signer.sign_psbt(psbt)
    for sighash in (1, *((0,) if scheme is Scheme.BIP86 else ())):
        psbt = ask.one(scheme)
        psbt.inputs[0].sighash_type = sighash
        assert request_signatures(signer, psbt, account=ours).inputs != psbt.inputs


@pytest.mark.parametrize("template", TEMPLATES)
def test_row_33_of_scripts_too(template: str, party: Any, refused: Refused) -> None:
    account = party.account(template)
    for sighash in OPEN:
        psbt = party.question(account)
        psbt.inputs[1].sighash_type = sighash
        refused(psbt, "sighash", by=party.signers["A"], account=account)


@pytest.mark.parametrize("scheme", list(Scheme))
def test_row_34_single_without_an_output_of_its_own(
    ask: SimpleNamespace, refused: Refused, account: Any, scheme: Scheme
) -> None:
    """Legacy inputs would sign the number one, which spends anything of that key for ever."""
    psbt = ask.question([ask.spend(scheme, index=index) for index in range(3)], change=account(scheme))
    for sighash in (0x03, 0x83):
        psbt.inputs[2].sighash_type = sighash
        refused(psbt, "sighash", account=account(scheme), limits=LOOSE)


def answering(signer: Any, change: Callable[[Psbt], object]) -> Any:
    def sign(asked: Psbt) -> Psbt:
        answer: Psbt = signer.sign_psbt(asked)
        change(answer)
        return answer

    return SimpleNamespace(info=signer.info, sign_psbt=sign)


@pytest.mark.parametrize("byte", [0x00, 0x02, 0x03, 0x41, 0x81, 0x83])
def test_row_35_a_hash_type_that_was_not_asked(ask: SimpleNamespace, account: Any, signer: Any, byte: int) -> None:
    for scheme in (Scheme.BIP44, Scheme.BIP49, Scheme.BIP84):

        def other(answer: Psbt) -> None:
            for key, value in list(answer.inputs[0].partial_sigs.items()):
                answer.inputs[0].partial_sigs[key] = value[:-1] + bytes((byte,))

        with pytest.raises(SignerMisbehavedError):
            request_signatures(answering(signer, other), ask.one(scheme), account=account(scheme))

    def longer(answer: Psbt) -> None:
        answer.inputs[0].fields[b"\x13"] = (answer.inputs[0].tap_key_sig or b"")[:64] + bytes((byte,))

    with pytest.raises((SignerMisbehavedError, InvalidInputError)):
        request_signatures(answering(signer, longer), ask.one(Scheme.BIP86), account=account(Scheme.BIP86))


def test_row_35_a_signature_truly_made_over_less(ask: SimpleNamespace, account: Any) -> None:
    """Valid for NONE, delivered with its own byte and with the one asked for."""
    path = account().key_origin(0, 0).path
    with Mnemonic.from_text(WORDS).to_seed() as seed, ExtendedPrivateKey.from_seed(seed) as root:
        secret = root.derive(path).secret().expose()
    psbt = ask.one()
    output = psbt.utxo(0)
    cache = SighashCache(psbt.tx, [output])
    signature = ecdsa_sign_der(secret, cache.segwit_v0(0, p2pkh(output.script[2:]), output.value, NONE))
    for byte in (b"\x01", b"\x02"):

        def sign(asked: Psbt, byte: bytes = byte) -> Psbt:
            asked.inputs[0].partial_sigs[account().key(0, 0)] = signature + byte
            return asked

        liar = SimpleNamespace(info=SimpleNamespace(fingerprint=None, backend="a", label="b", location="c"))
        liar.sign_psbt = sign
        with pytest.raises(SignerMisbehavedError):
            request_signatures(liar, psbt, account=account())


def test_row_36_sixty_five_bytes_that_end_in_zero(ask: SimpleNamespace, account: Any, signer: Any) -> None:
    ours = account(Scheme.BIP86)

    def padded(answer: Psbt) -> None:
        answer.inputs[0].fields[b"\x13"] = (answer.inputs[0].tap_key_sig or b"") + b"\x00"

    for asked in (None, 0, 1):
        psbt = ask.one(Scheme.BIP86)
        psbt.inputs[0].sighash_type = asked
        with pytest.raises((SignerMisbehavedError, InvalidInputError)):
            request_signatures(answering(signer, padded), psbt, account=ours)
    signed = request_signatures(signer, ask.one(Scheme.BIP86), account=ours)
    padded(signed)
    with pytest.raises(InvalidInputError):
        finalize(signed)


def test_row_37_money_moved_to_oneself_needs_all_like_any(
    ask: SimpleNamespace,
    refused: Refused,
    account: Any,
    rebuilt: Callable[..., Psbt],
    funded: Any,
    policy: Any,
    fakes: Any,
) -> None:
    ours = account()
    psbt = ask.question([ask.spend(), ask.spend(index=1)], change=ours)
    own = rebuilt(psbt, outputs=[TxOut(Sats(100_000), ours.script(0, 9)), psbt.tx.outputs[1]])
    for sighash in OPEN:
        own.inputs[0].sighash_type = sighash
        refused(own, "sighash", limits=LOOSE)
    plan = funded.wallet.consolidate("btc", funded.node, fee=FeeChoice(rate=FeeRate(2_000)))
    assert plan.review.payments == ()
    wallet_signer = fakes.Signer()
    signed = funded.wallet.sign(funded.wallet.approve(plan, policy), signer=wallet_signer)
    wallet_signer.close()
    for one in Transaction.parse(signed.raw).inputs:
        assert one.witness[0][-1] == 1


@pytest.mark.parametrize("sighash", [0x81, 0x82, 0x83])
def test_row_38_nobody_else_may_add_inputs(
    ask: SimpleNamespace, refused: Refused, account: Any, signer: Any, sighash: int, line: Any, tmp_path: Any
) -> None:
    for scheme in Scheme:
        psbt = ask.one(scheme)
        psbt.inputs[0].sighash_type = sighash
        refused(psbt, "sighash", account=account(scheme), limits=LOOSE)
    file = tmp_path / "open.psbt"
    file.write_text(str(psbt))
    result = line.run("psbt", "sign", str(file), "--account", "vault", "--yes", "--external-inputs")
    assert isinstance(result.exception, InvalidInputError)
    assert result.exception.code == "input.psbt.sighash"
