"""What a human sees of a PSBT from outside before signing it."""

from __future__ import annotations

import pytest

from bursar.backends.software import SoftwareSigner
from bursar.cli.psbt_review import review_of
from bursar.errors import InvalidInputError
from bursar.keys.mnemonic import Mnemonic
from bursar.keys.origin import KeyOrigin
from bursar.keys.scheme import Scheme
from bursar.signing.conformance import Profile
from bursar.signing.conformance.questions import Spend, account_of, question

WORDS = "legal winner thank year wave sausage worth useful legal winner thank yellow"


def test_coins_of_another_account_are_refused_before_anybody_is_asked() -> None:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as signer:
        payer = account_of(signer, Profile(), Scheme.BIP84)
        vault = account_of(signer, Profile(), Scheme.BIP84, number=7)
    assert review_of(question([Spend(payer)]), payer, "payer").fee == 500
    with pytest.raises(InvalidInputError) as caught:
        review_of(question([Spend(payer), Spend(vault)]), payer, "payer")
    assert caught.value.code == "input.psbt.account"


def test_the_path_shown_is_the_one_that_proves_the_change() -> None:
    with SoftwareSigner.from_mnemonic(Mnemonic.from_text(WORDS)) as signer:
        payer = account_of(signer, Profile(), Scheme.BIP86)
    psbt = question([Spend(payer)], change=payer)
    derivations = psbt.outputs[1].tap_bip32_derivations
    proof = dict(derivations.items())
    derivations.clear()
    derivations[payer.key(0, 9)[1:]] = ((), KeyOrigin(payer.origin.fingerprint, payer.path(0, 77)))
    derivations.update(proof)
    assert [change.path for change in review_of(psbt, payer, "payer").change] == [str(payer.path(1, 3))]
