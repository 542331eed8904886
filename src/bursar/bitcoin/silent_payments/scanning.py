"""Finding silent payments (BIP-352): one shared secret for each transaction, then its output keys, labels too."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.script import p2tr
from bursar.bitcoin.silent_payments.inputs import point_and_hash
from bursar.bitcoin.silent_payments.keys import CHANGE_LABEL, SilentPaymentKeys
from bursar.bitcoin.silent_payments.sending import MOST
from bursar.crypto.payment_points import SpendPoint, multiply_in_secret, payment_tweak, shared_point
from bursar.crypto.points import multiply_secret_key
from bursar.crypto.secp256k1 import public_key, tweak_add_secret
from bursar.crypto.secret import Secret
from bursar.errors import InvalidInputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bursar.bitcoin.transaction import Transaction, Txid

_ADDING_LABELS: Final = 4  # labels for each output up to which adding them all is quicker than subtracting outputs


@dataclass(frozen=True, slots=True)
class FoundOutput:
    """A payment: output number, its x-only key, what to add to the spend key, and the label it was sent to."""

    vout: int
    key: bytes
    tweak: Secret
    label: int | None = None

    @property
    def script(self) -> bytes:
        """The output script."""
        return p2tr(self.key)

    def secret_key(self, spend: Secret) -> Secret:
        """The secret key of the output, from the secret spend key; ``InvalidInputError`` if that is another's.

        It signs as it is: there is no further taproot tweak.
        """
        secret = Secret(tweak_add_secret(spend.expose(), self.tweak.expose()))
        if public_key(secret.expose())[1:] != self.key:
            raise InvalidInputError("this spend key is not the one that the output was paid to")
        return secret


class Scanner:
    """Looks for payments to ``keys`` and to ``labels``; change (label 0) is always looked for.

    Threads may share it.
    """

    def __init__(self, keys: SilentPaymentKeys, *, labels: Iterable[int] = ()) -> None:
        self._keys = keys
        self._labels: dict[bytes, tuple[int, Secret]] = {}
        for label in sorted({CHANGE_LABEL, *labels}):
            tweak = keys.label_tweak(label)
            self._labels[public_key(tweak.expose())] = (label, tweak)
        self._by_place = list(self._labels.values())
        self._adding = SpendPoint(keys.spend, list(self._labels))

    @property
    def labels(self) -> tuple[int, ...]:
        """The labels looked for, in order."""
        return tuple([label for label, _ in self._by_place])

    def transaction(self, tx: Transaction, spent: Sequence[bytes]) -> tuple[FoundOutput, ...]:
        """The payments in ``tx``; ``spent`` are the scripts that its inputs spend, in their order."""
        inputs = point_and_hash(tx, spent)
        if inputs is None:
            return ()
        point, factor = inputs
        shared = multiply_in_secret(point, multiply_secret_key(self._keys.scan.expose(), factor))
        return self._found(shared, taproot_outputs(tx))

    def block(
        self, transactions: Iterable[tuple[Transaction, Sequence[bytes]]]
    ) -> Iterator[tuple[Txid, tuple[FoundOutput, ...]]]:
        """The payments of many transactions, each with the scripts it spends; those without any are left out."""
        for tx, spent in transactions:
            found = self.transaction(tx, spent)
            if found:
                yield tx.txid, found

    def outputs(self, tweak: bytes, outputs: Sequence[tuple[int, bytes]]) -> tuple[FoundOutput, ...]:
        """The payments among a transaction's taproot outputs (number, x-only key), given its tweak data (33 bytes)."""
        return self._found(shared_point(tweak, self._keys.scan.expose()), outputs)

    def _found(self, shared: bytes, outputs: Sequence[tuple[int, bytes]]) -> tuple[FoundOutput, ...]:
        places = {key: number for number, key in reversed(outputs)}
        found: list[FoundOutput] = []
        labels = self._by_place
        for number in range(MOST):
            if not places:
                break
            tweak = payment_tweak(shared, number)
            key = self._adding.key(tweak)[1:]
            if len(labels) <= _ADDING_LABELS * len(places):
                hits = [(places[key], key, -1)] if key in places else []
                for place, one in enumerate(self._adding.labelled()):
                    if one is not None and one in places:
                        hits.append((places[one], one, place))
                if not hits:
                    break
                _, key, place = min(hits)
                label = None if place < 0 else labels[place]
            else:
                hit = self._subtracted(key, places)
                if hit is None:
                    break
                key, label = hit
            del places[key]
            total = tweak if label is None else tweak_add_secret(tweak, label[1].expose())
            found += [
                FoundOutput(vout, key, Secret(total), None if label is None else label[0])
                for vout, one in outputs
                if one == key
            ]
        return tuple(found)

    def _subtracted(self, key: bytes, places: dict[bytes, int]) -> tuple[bytes, tuple[int, Secret] | None] | None:
        """The first output that is ``key`` or a label away from it."""
        for one in sorted(places, key=places.__getitem__):
            if one == key:
                return one, None
            for difference in self._adding.differences(one):
                label = self._labels.get(difference)
                if label is not None:
                    return one, label
        return None


def taproot_outputs(tx: Transaction) -> list[tuple[int, bytes]]:
    """Number and x-only key of every taproot output."""
    return [
        (number, output.script[2:])
        for number, output in enumerate(tx.outputs)
        if output.script[:2] == b"\x51\x20" and len(output.script) == 34
    ]
