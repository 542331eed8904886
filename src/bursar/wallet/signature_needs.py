"""What it takes to sign a transfer, told from its PSBT: how many signatures, of whom, behind which timelocks."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from bursar.bitcoin.account import BitcoinAccount
from bursar.bitcoin.accounts import descriptor_of
from bursar.bitcoin.descriptors.plan import Assets
from bursar.bitcoin.multisig import MultisigAccount
from bursar.bitcoin.timelocks import LOCKTIME_IS_TIME
from bursar.crypto.hashes import hash160, ripemd160, sha256, sha256d
from bursar.errors import InvalidInputError
from bursar.keys.origin import Fingerprint

if TYPE_CHECKING:
    from bursar.bitcoin.accounts import ScriptAccount
    from bursar.bitcoin.descriptors.plan import SpendPlan
    from bursar.bitcoin.psbt import Psbt, PsbtInput
    from bursar.keys.origin import KeyOrigin
    from bursar.wallet.coin_control import SpendWith

_LOCK_OFF = 1 << 31  # BIP-68
_LOCK_BY_TIME = 1 << 22


@dataclass(frozen=True, slots=True)
class SignatureNeeds:
    """How many signatures an input needs, of whom, out of how many keys, and which timelocks its way has."""

    signatures: int
    signers: tuple[str, ...]
    keys: int
    sequence: int | None = None
    locktime: int | None = None

    def __str__(self) -> str:
        text = f"{self.signatures} of {self.keys}: {', '.join(self.signers)}"
        if self.sequence is not None:
            text += f"; coins older than {_relative(self.sequence)}"
        if self.locktime is not None:
            text += f"; {_absolute(self.locktime)}"
        return text


def _relative(sequence: int) -> str:
    value = sequence & 0xFFFF
    return f"{value * 512} seconds" if sequence & (1 << 22) else f"{value} blocks"


def _absolute(locktime: int) -> str:
    return f"not before block {locktime}" if locktime < 500_000_000 else f"not before the time {locktime}"


def signature_needs(account: ScriptAccount, choice: SpendWith, psbt: Psbt) -> SignatureNeeds:
    """What the inputs of a planned PSBT need, of the most demanding where they differ."""
    if isinstance(account, BitcoinAccount):
        return SignatureNeeds(1, (str(account.origin.fingerprint),), 1)
    if isinstance(account, MultisigAccount):
        return SignatureNeeds(account.threshold, _chosen(account, choice), len(account.cosigners))
    found = [_of_input(account, choice, psbt, number) for number in range(len(psbt.inputs))]
    return max(found, key=lambda one: (one.signatures, one.sequence or 0, one.locktime or 0))


def signers_in(one: PsbtInput) -> set[Fingerprint]:
    """The master keys whose signatures an input has."""
    found = {one.bip32_derivations[key].fingerprint for key in one.partial_sigs if key in one.bip32_derivations}
    origins = one.tap_bip32_derivations
    found |= {origins[key[:32]][1].fingerprint for key in one.tap_script_sigs if key[:32] in origins}
    internal = one.tap_internal_key
    if one.tap_key_sig is not None and internal is not None and internal in origins:
        found.add(origins[internal][1].fingerprint)
    return found


def _chosen(account: ScriptAccount, choice: SpendWith) -> tuple[str, ...]:
    names = tuple(str(one) for one in account.fingerprints)
    return names if choice.signers is None else tuple(one for one in names if one in choice.signers)


def _of_input(account: ScriptAccount, choice: SpendWith, psbt: Psbt, number: int) -> SignatureNeeds:
    one = psbt.inputs[number]
    origins = dict(one.bip32_derivations.items())
    origins |= {key: origin for key, (_, origin) in one.tap_bip32_derivations.items()}
    place = next((found for origin in origins.values() if (found := account.locate(origin)) is not None), None)
    plan = None if place is None else _planned(account, choice, place, psbt, number)
    if plan is None:
        return SignatureNeeds(1, _chosen(account, choice), len(account.fingerprints))
    signing = _signing_keys(account, one, plan, origins)
    names = tuple(dict.fromkeys(str(origins[key].fingerprint) for key in signing))
    count = max(len(plan.keys), len(signing))
    return SignatureNeeds(
        count, names or _chosen(account, choice), len(account.fingerprints), plan.sequence, plan.locktime
    )


def _signing_keys(
    account: ScriptAccount, one: PsbtInput, plan: SpendPlan, origins: dict[bytes, KeyOrigin]
) -> list[bytes]:
    """The keys of signers; those of a key they make together (BIP-373) where the plan names that one."""
    own = [key for key in plan.keys if key in origins and origins[key].fingerprint in account.fingerprints]
    if len(own) == len(plan.keys):
        return own
    together = {key[1:]: None for _, keys in one.musig2_participants.pairs() for key in keys}
    return [*own, *(key for key in together if key in origins and key not in own)]


def _planned(
    account: ScriptAccount, choice: SpendWith, place: tuple[int, int], psbt: Psbt, number: int
) -> SpendPlan | None:
    """The way the input was planned for: its locks are those the transaction keeps."""
    sequence, locktime = psbt.tx.inputs[number].sequence, psbt.tx.locktime
    kept = None if sequence & _LOCK_OFF else sequence
    by_time = locktime >= LOCKTIME_IS_TIME
    age = 0 if kept is None or kept & _LOCK_BY_TIME else kept & 0xFFFF
    seconds = (kept & 0xFFFF) * 512 if kept is not None and kept & _LOCK_BY_TIME else None
    open_assets = assets_of(choice)
    locked = replace(
        open_assets,
        age=age,
        seconds=seconds,
        height=None if by_time else locktime,
        time=locktime + 1 if by_time else None,
    )
    tries = (locked,) if choice.locks or kept is not None else (open_assets, locked)
    for assets in tries:
        try:
            return descriptor_of(account).plan(*place, assets)
        except InvalidInputError as error:
            if error.code != "input.descriptor.plan":
                raise
    return None


def assets_of(choice: SpendWith) -> Assets:
    """What is at hand whatever the time: keys and preimages."""
    preimages = [bytes.fromhex(text) for text in choice.preimages]
    signers = choice.signers
    return Assets(
        keys=None if signers is None else frozenset(bytes(Fingerprint.from_text(text)) for text in signers),
        preimages=frozenset(make(one) for one in preimages for make in (sha256, sha256d, ripemd160, hash160)),
    )
