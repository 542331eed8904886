"""A signer holds many accounts: only the one the review names may pay."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.scheme import Scheme
from bursar.signing.checks import request_signatures
from bursar.signing.spending import check_inputs

if TYPE_CHECKING:
    from bursar.backends.software import SoftwareSigner
    from bursar.bitcoin.account import BitcoinAccount
    from bursar.bitcoin.psbt import Psbt


def refused(psbt: Psbt, account: BitcoinAccount, fingerprint: Fingerprint | None = None) -> str:
    with pytest.raises(InvalidInputError) as caught:
        check_inputs(psbt, account, fingerprint=fingerprint)
    assert caught.value.code == "input.psbt.account"
    return caught.value.message


@pytest.mark.parametrize("scheme", list(Scheme))
def test_the_account_itself_may_pay(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount], scheme: Scheme
) -> None:
    check_inputs(ask.question([ask.spend(scheme), ask.spend(scheme, 1, 4)]), account(scheme))


@pytest.mark.parametrize("scheme", list(Scheme))
def test_another_account_of_the_signer_may_not(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Callable[..., BitcoinAccount], scheme: Scheme
) -> None:
    payer, vault = account(scheme), account(scheme, number=7)
    for spends in ([ask.of(vault)], [ask.of(payer), ask.of(vault, 1, 2)]):
        psbt = ask.question(spends)
        message = refused(psbt, payer)
        assert "m/" in message
        with pytest.raises(InvalidInputError, match="not of the account at"):
            request_signatures(signer, psbt, account=payer)
        request_signatures(signer, psbt)  # without an account there is nothing to hold it to


def test_another_scheme_of_the_signer_may_not(ask: SimpleNamespace, account: Callable[..., BitcoinAccount]) -> None:
    refused(ask.question([ask.spend(Scheme.BIP84), ask.spend(Scheme.BIP86)]), account(Scheme.BIP84))
    refused(ask.question([ask.spend(Scheme.BIP84), ask.spend(Scheme.BIP86)]), account(Scheme.BIP86))


def test_strangers_that_are_allowed_and_final_inputs_do_not_matter(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount]
) -> None:
    psbt = ask.question([ask.spend(), ask.of(ask.stranger()), ask.spend(Scheme.BIP86)])
    psbt.inputs[2].final_witness = (bytes(64),)
    check_inputs(psbt, account(), external=True)


def test_a_path_beside_branch_and_index_is_not_of_the_account(
    ask: SimpleNamespace, account: Callable[..., BitcoinAccount]
) -> None:
    ours = account()
    for path in (ours.origin.path, ours.origin.path / 0, ours.origin.path / 0 / 0 / 0, ours.origin.path.parent / 0 / 0):
        psbt = ask.one()
        for key in list(psbt.inputs[0].bip32_derivations):
            psbt.inputs[0].bip32_derivations[key] = KeyOrigin(ours.origin.fingerprint, path)
        refused(psbt, ours)


def test_the_signers_own_fingerprint_counts_where_the_account_names_none(
    ask: SimpleNamespace, signer: SoftwareSigner, account: Callable[..., BitcoinAccount]
) -> None:
    from dataclasses import replace

    ours, vault = account(), account(number=7)
    watched = replace(ours, origin=KeyOrigin(Fingerprint(bytes(4)), ours.origin.path))
    psbt = ask.question([ask.of(vault)])
    check_inputs(psbt, watched)
    refused(psbt, watched, signer.info.fingerprint)
    with pytest.raises(InvalidInputError, match="not of the account at"):
        request_signatures(signer, psbt, account=watched)
