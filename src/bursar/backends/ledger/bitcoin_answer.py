"""The app's signatures put back into the PSBT: each for an input and a key that was asked, once, and all of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from bursar.backends.ledger.bitcoin_spends import Asked

if TYPE_CHECKING:
    from collections.abc import Iterable

    from bursar.backends.ledger.bitcoin_app import Yielded
    from bursar.backends.ledger.bitcoin_spends import Spend
    from bursar.bitcoin.psbt import Psbt


class UnfitError(Exception):
    """The app's signatures do not belong to the request; the message says which and why."""


def add_signatures(psbt: Psbt, spend: Spend, yielded: Iterable[Yielded]) -> int:
    """Add to ``psbt`` what was asked for; how many signatures that was. ``UnfitError`` leaves ``psbt`` half done.

    Whether a signature verifies is for ``bursar.signing.checks``, which holds every signer's answer to the question.
    """
    expected = {one.index: one.slots for one in spend.inputs}
    seen: set[tuple[int, bytes, bytes]] = set()
    added = 0
    for one in yielded:
        slots = expected.get(one.index)
        if slots is None:
            raise UnfitError(f"it signed input {one.index}, which it was not asked to")
        place = one.public_key, one.leaf
        if (one.index, *place) in seen:
            raise UnfitError(f"it signed input {one.index} twice")
        seen.add((one.index, *place))
        asked = slots.get(place)
        if asked is None:
            raise UnfitError(f"it signed input {one.index} under the key {one.public_key.hex()}, which is another")
        if asked is not Asked.WANTED:
            continue
        if len(one.signature) not in ((64, 65) if spend.taproot else range(9, 74)):
            raise UnfitError(f"its signature of input {one.index} has {len(one.signature)} bytes, which none has")
        fields = psbt.inputs[one.index]
        if one.leaf:
            fields.tap_script_sigs[one.public_key + one.leaf] = one.signature
        elif spend.taproot:
            fields.tap_key_sig = one.signature
        else:
            fields.partial_sigs[one.public_key] = one.signature
        added += 1
    for index, slots in expected.items():
        if any(asked is not Asked.UNASKED and (index, *place) not in seen for place, asked in slots.items()):
            raise UnfitError(f"it did not sign input {index} and gave no reason")
    return added
