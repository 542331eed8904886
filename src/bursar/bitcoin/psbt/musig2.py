"""MuSig2 in PSBTs: which aggregate keys spend an input, and the signature their parts make (BIP-373, BIP-328)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from bursar.bitcoin.psbt import rules as r
from bursar.bitcoin.psbt.digests import InputDigests
from bursar.bitcoin.psbt.script_keys import key_stands_in
from bursar.bitcoin.script import ScriptType
from bursar.bitcoin.sighash import DEFAULT
from bursar.crypto.hashes import hash160, hmac_sha512, tagged_hash
from bursar.crypto.key_aggregation import AggregateKey
from bursar.errors import InvalidInputError
from bursar.keys.path import HARDENED

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bursar.bitcoin.psbt.document import Psbt
    from bursar.bitcoin.psbt.maps import PsbtInput
    from bursar.crypto.musig2 import MusigSession

CHAIN_CODE: Final = bytes.fromhex("868087ca02a6f974c4598924c36b57762d32cb45717167e300622c7167e38965")  # BIP-328
_MOST_STEPS: Final = 8


@dataclass(frozen=True, slots=True)
class MusigSpend:
    """One signature that participants can make together.

    ``aggregate`` carries the tweaks of derivation and taproot; its ``key`` is what the fields of nonces and partial
    signatures name. ``leaf_hash`` is empty for the key path.
    """

    index: int
    aggregate: AggregateKey
    leaf_hash: bytes
    digest: bytes
    sighash: int

    def field_key(self, participant: bytes) -> bytes:
        """The key of ``musig2_nonces`` and ``musig2_partial_sigs`` for one participant."""
        return participant + self.aggregate.key + self.leaf_hash

    def nonces(self, psbt: Psbt) -> list[bytes] | None:
        """The participants' public nonces in their order, ``None`` while one lacks."""
        return self._all(psbt.inputs[self.index].musig2_nonces.pairs())

    def partials(self, psbt: Psbt) -> list[bytes] | None:
        """The participants' partial signatures in their order, ``None`` while one lacks."""
        return self._all(psbt.inputs[self.index].musig2_partial_sigs.pairs())

    def _all(self, pairs: list[tuple[bytes, bytes]]) -> list[bytes] | None:
        known = dict(pairs)
        found = [known[key] for key in map(self.field_key, self.aggregate.keys) if key in known]
        return found if len(found) == len(self.aggregate.keys) else None

    def session(self, psbt: Psbt) -> MusigSession | None:
        """The session over all nonces, ``None`` while one lacks; ``InvalidContributionError`` names a bad one."""
        from bursar.crypto.musig2 import MusigSession

        nonces = self.nonces(psbt)
        return None if nonces is None else MusigSession(self.aggregate, self.digest, nonces=nonces)

    def signature_field(self) -> bytes:
        """The whole key of the field that the finished signature belongs into."""
        return r.TAP_SCRIPT_SIG + self.aggregate.x_only + self.leaf_hash if self.leaf_hash else r.TAP_KEY_SIG


def musig_spends(digests: InputDigests, psbt: Psbt, index: int) -> tuple[MusigSpend, ...]:
    """Every way input ``index`` can be signed by the participants it names; none where it names none.

    ``InvalidInputError`` (``input.psbt.key``) if the participants do not make the aggregate they stand under.
    """
    one = psbt.inputs[index]
    named = one.musig2_participants.pairs()
    path = digests.digest(index) if named else None
    if path is None or path.script_type is not ScriptType.P2TR:
        return ()
    leaves = digests.leaves(index)
    output_key = path.script[2:]
    found = []
    for plain, participants in named:
        made = AggregateKey.of(participants)
        if made.key != plain:
            raise InvalidInputError(
                f"psbt input {index} names participants who do not make the key {plain.hex()}", code="input.psbt.key"
            )
        for candidate in (made, *_derived(one, made)):
            ends = _key_path(one, candidate, output_key)
            if ends is not None:
                found.append(MusigSpend(index, ends, b"", path.digest, path.sighash))
            for leaf in leaves:
                if key_stands_in(leaf.script, candidate.x_only):
                    asked = digests.leaf(index, leaf)
                    found.append(MusigSpend(index, candidate, leaf.hash, asked.digest, asked.sighash))
    return tuple(found)


def _derived(one: PsbtInput, made: AggregateKey) -> Iterator[AggregateKey]:
    """The keys below the aggregate that the input names, by BIP-328's way of deriving them."""
    fingerprint = hash160(made.key)[:4]
    for key, (_, origin) in one.tap_bip32_derivations.pairs():
        steps = origin.path.indexes
        if origin.fingerprint != fingerprint or not 0 < len(steps) <= _MOST_STEPS or max(steps) >= HARDENED:
            continue
        child, chain = made, CHAIN_CODE
        for step in steps:
            mixed = hmac_sha512(chain, child.key + step.to_bytes(4, "big"))
            child, chain = child.tweaked(mixed[:32], x_only=False), mixed[32:]
        if child.x_only == key:
            yield child


def _key_path(one: PsbtInput, candidate: AggregateKey, output_key: bytes) -> AggregateKey | None:
    if candidate.x_only == output_key:
        return candidate
    if candidate.x_only != one.tap_internal_key:
        return None
    tweak = tagged_hash("TapTweak", candidate.x_only + (one.tap_merkle_root or b""))
    tweaked = candidate.tweaked(tweak, x_only=True)
    return tweaked if tweaked.x_only == output_key else None


def aggregated(psbt: Psbt, index: int, *, digests: InputDigests | None = None) -> Psbt:
    """A copy with the signature of every set of partial ones of input ``index`` that is complete, verified.

    ``InvalidContributionError`` names the participant whose nonce or part is wrong.
    """
    result = psbt.copy()
    one = result.inputs[index]
    for spend in musig_spends(digests or InputDigests(psbt), psbt, index):
        partials = spend.partials(psbt)
        session = spend.session(psbt)
        if partials is not None and session is not None and spend.signature_field() not in one.fields:
            signature = session.signature(partials)
            end = b"" if spend.sighash == DEFAULT else bytes((spend.sighash,))
            one.fields[spend.signature_field()] = signature + end
    return result


def aggregate_signatures(psbt: Psbt) -> Psbt:
    """As ``aggregated``, for every input that is not final."""
    digests = InputDigests(psbt)
    for index, one in enumerate(psbt.inputs):
        if not one.is_final and len(one.musig2_partial_sigs):
            psbt = aggregated(psbt, index, digests=digests)
    return psbt
