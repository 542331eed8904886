"""What a PSBT signer must do (BIP-174, BIP-371): sign what is asked, all of it, and leave everything else alone."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from bursar.bitcoin.finalize import extract, finalize
from bursar.bitcoin.sighash import ALL, DEFAULT
from bursar.keys.path import DerivationPath
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.conformance.case import Case, Profile, demand, refused
from bursar.signing.conformance.questions import Spend, account_of, question, stranger
from bursar.signing.protocols import EthereumSigner, PsbtSigner, Signer, SignerInfo

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt

_UNKNOWN = bytes.fromhex("fc04626e636801")  # a proprietary key: 0xfc, "bnch", subtype 1


def info_is_told(signer: Signer, _profile: Profile) -> None:
    """``info`` is a ``SignerInfo``, always the same, and its fingerprint that of the keys."""
    info = signer.info
    demand(isinstance(info, SignerInfo), f"info is {type(info).__name__}, not SignerInfo")
    demand(info == signer.info, "info differs from one moment to the next")
    demand(info.trouble is None, f"an open signer reports trouble: {info.trouble}")


def xpubs_agree(signer: Signer, profile: Profile) -> None:
    """Extended public keys sit where they were asked for, and parents derive their children."""
    for scheme in profile.schemes:
        account = account_of(signer, profile, scheme)
        path, xpub = account.origin.path, account.xpub
        demand(xpub.depth == len(path) and xpub.index == path[-1], f"the key at {path} has another depth or index")
        demand(signer.xpub(path) == xpub, f"the key at {path} differs when asked for twice")
        below = signer.xpub(path / 0 / 7)
        demand(below == xpub.derive((0, 7)), f"the key at {path / 0 / 7} is no child of the one at {path}")
        other = account_of(signer, profile, scheme, number=1)
        demand(other.xpub.key != xpub.key, "two accounts have the same key")
    if isinstance(signer, EthereumSigner):
        ether = signer.xpub(DerivationPath.from_text("m/44h/60h/0h"))
        demand(ether.depth == 3, "the ethereum account has another depth")


def every_scheme_signs(signer: PsbtSigner, profile: Profile) -> None:
    """One input of each scheme, one at a time."""
    for scheme in profile.schemes:
        account = account_of(signer, profile, scheme)
        _signed(signer, question([Spend(account, 0, 5)], salt=scheme.value))


def several_inputs_sign_with_change(signer: PsbtSigner, profile: Profile) -> None:
    """Five inputs of both branches, and change that is provably ours."""
    for scheme in profile.schemes:
        account = account_of(signer, profile, scheme)
        spends = [Spend(account, number % 2, number * 7) for number in range(5)]
        _signed(signer, question(spends, change=account, locktime=500))


def mixed_schemes_sign_together(signer: PsbtSigner, profile: Profile) -> None:
    """Inputs of every scheme in one transaction."""
    _signed(signer, question([Spend(account_of(signer, profile, scheme)) for scheme in profile.schemes]))


def other_peoples_inputs_stay(signer: PsbtSigner, profile: Profile) -> None:
    """Inputs of a stranger's keys are neither signed nor touched."""
    scheme = profile.schemes[-1]
    ours, theirs = account_of(signer, profile, scheme), stranger(profile, scheme)
    asked = question([Spend(theirs), Spend(ours), Spend(theirs, 1, 1)])
    if not profile.foreign_inputs:
        refused(lambda: request_signatures(signer, asked), "a psbt with inputs of others")
        return
    signed = request_signatures(signer, asked)
    for index in (0, 2):
        demand(signed.inputs[index] == asked.inputs[index], f"input {index} is a stranger's and was changed")
    demand(signed.inputs[1] != asked.inputs[1], "our input between two of a stranger was not signed")


def a_named_hash_type_is_used(signer: PsbtSigner, profile: Profile) -> None:
    """ALL where ALL is written; taproot: DEFAULT where it is written, and ALL in 65 bytes."""
    for scheme in profile.schemes:
        account = account_of(signer, profile, scheme)
        for sighash in (DEFAULT, ALL) if scheme is Scheme.BIP86 else (ALL,):
            asked = question([Spend(account)], salt=sighash)
            asked.inputs[0].sighash_type = sighash
            if scheme is Scheme.BIP86 and sighash == ALL and not profile.taproot_all:
                refused(partial(request_signatures, signer, asked), "hash type ALL for a taproot input")
            else:
                _signed(signer, asked)


def unknown_fields_stay(signer: PsbtSigner, profile: Profile) -> None:
    """Fields the signer does not know come back byte for byte, or stay out of its answer's way."""
    asked = question([Spend(account_of(signer, profile, profile.schemes[0]))])
    for where in (asked, asked.inputs[0], asked.outputs[0]):
        where.unknown[_UNKNOWN] = b"\x00\xff unknown"
    signed = _signed(signer, asked)
    for where in (signed, signed.inputs[0], signed.outputs[0]):
        demand(where.unknown.get(_UNKNOWN) == b"\x00\xff unknown", "a field it does not know was changed")


def the_question_is_not_changed(signer: PsbtSigner, profile: Profile) -> None:
    """The PSBT given is the caller's: the answer is another one."""
    asked = question([Spend(account_of(signer, profile, profile.schemes[0]))])
    before = asked.serialize()
    signer.sign_psbt(asked)
    demand(asked.serialize() == before, "it changed the psbt it was given")


def each_answer_belongs_to_its_question(signer: PsbtSigner, profile: Profile) -> None:
    """Question after question, none gets the answer of another."""
    account = account_of(signer, profile, profile.schemes[0])
    questions = [question([Spend(account, 0, number)], salt=number) for number in range(3)]
    for asked in (*questions, *reversed(questions)):
        _signed(signer, asked)


def signatures_of_others_stay(signer: PsbtSigner, profile: Profile) -> None:
    """A PSBT that carries a signature already keeps it."""
    scheme = profile.schemes[0]
    account = account_of(signer, profile, scheme)
    asked = question([Spend(account, 0, 0), Spend(account, 0, 1)])
    first = request_signatures(signer, asked)
    half = asked.copy()
    half.inputs[0].fields.update(first.inputs[0].fields)
    signed = _signed(signer, half)
    demand(signed.inputs[0] == first.inputs[0], "a signature that was there was changed")


def _signed(signer: PsbtSigner, asked: Psbt) -> Psbt:
    """``asked`` with every input signed; complete, or the case fails."""
    signed = request_signatures(signer, asked)
    tx = extract(finalize(signed))
    demand(tx.txid == asked.tx.txid or any(one.script_sig for one in tx.inputs), "the transaction is another one")
    return signed


CASES = (
    Case("info-is-told", Signer, info_is_told),
    Case("xpubs-agree", Signer, xpubs_agree),
    Case("every-scheme-signs", PsbtSigner, every_scheme_signs),
    Case("several-inputs-sign-with-change", PsbtSigner, several_inputs_sign_with_change),
    Case("mixed-schemes-sign-together", PsbtSigner, mixed_schemes_sign_together),
    Case("other-peoples-inputs-stay", PsbtSigner, other_peoples_inputs_stay),
    Case("a-named-hash-type-is-used", PsbtSigner, a_named_hash_type_is_used),
    Case("unknown-fields-stay", PsbtSigner, unknown_fields_stay),
    Case("the-question-is-not-changed", PsbtSigner, the_question_is_not_changed),
    Case("each-answer-belongs-to-its-question", PsbtSigner, each_answer_belongs_to_its_question),
    Case("signatures-of-others-stay", PsbtSigner, signatures_of_others_stay),
)
