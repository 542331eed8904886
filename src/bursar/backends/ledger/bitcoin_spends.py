"""Which inputs of a PSBT are ours, and under which policy the app signs each; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Final

from bursar.backends.ledger.bitcoin_app import MOST_ACCOUNT, AppPolicy
from bursar.bitcoin.account import single_key_script
from bursar.bitcoin.script import ScriptType, classify
from bursar.bitcoin.sighash import ALL, DEFAULT
from bursar.crypto.hashes import hash160
from bursar.errors import InvalidInputError, UnsupportedError
from bursar.keys.origin import Fingerprint, KeyOrigin
from bursar.keys.path import HARDENED, DerivationPath

if TYPE_CHECKING:
    from bursar.bitcoin.psbt import Psbt, PsbtInput
    from bursar.keys.bip32 import ExtendedPublicKey

_X_ONLY: Final = 32
MOST_INPUTS: Final = 512
"""The app signs transactions of at most so many inputs."""

PURPOSES: Final = {
    ScriptType.P2PKH: 44,
    ScriptType.P2SH_P2WPKH: 49,
    ScriptType.P2WPKH: 84,
    ScriptType.P2TR: 86,
}
TEMPLATES: Final = {
    ScriptType.P2PKH: "pkh(@0/**)",
    ScriptType.P2SH_P2WPKH: "sh(wpkh(@0/**))",
    ScriptType.P2WPKH: "wpkh(@0/**)",
    ScriptType.P2TR: "tr(@0/**)",
}
XpubOf = Callable[[DerivationPath], "ExtendedPublicKey"]


class Asked(Enum):
    """What is done with a signature that the app gives."""

    WANTED = "it must come, and is added"
    THERE = "it must come, and is there already"
    UNASKED = "it may come, and is left out"


@dataclass(frozen=True, slots=True)
class OurInput:
    """One input the app shall sign: its number, and the keys of ours in it, as the app will name them.

    A key stands with the hash of its leaf, empty where it is no leaf's; a taproot key path's is the output's (tweaked,
    x-only).
    """

    index: int
    slots: Mapping[tuple[bytes, bytes], Asked]

    @property
    def wanted(self) -> bool:
        """Whether a signature is still wanted."""
        return Asked.WANTED in self.slots.values()


@dataclass(slots=True)
class Spend:
    """The inputs of one policy: one request to the app. ``change`` are the outputs proven to be a registered
    policy's; of a default policy's (``None``) the app is told by path."""

    policy: AppPolicy
    inputs: list[OurInput] = field(default_factory=list)
    change: frozenset[int] | None = None

    @property
    def taproot(self) -> bool:
        return self.policy.template.startswith("tr(")

    @property
    def legacy(self) -> bool:
        """Whether it is no segwit script."""
        return self.policy.template.startswith(("pkh(", "sh(")) and not self.policy.template.startswith(
            ("sh(wpkh(", "sh(wsh(")
        )


@dataclass(frozen=True, slots=True)
class Other:
    """An input of ours that no default policy covers, and why not."""

    index: int
    reason: str


def default_policy(script_type: ScriptType, origin: KeyOrigin, xpub: ExtendedPublicKey) -> AppPolicy:
    """The policy of a single-key account, which the app knows without registration."""
    return AppPolicy(TEMPLATES[script_type], (key_text(origin, xpub),))


def key_text(origin: KeyOrigin, xpub: ExtendedPublicKey) -> str:
    """``[f5acc2fd/84'/1'/0']tpub…``, with the mark of hardening that the app reads."""
    return f"[{origin}]{xpub}".replace("h/", "'/").replace("h]", "']")


def single_key_spends(
    psbt: Psbt, fingerprint: Fingerprint, *, model: str, xpub: XpubOf
) -> tuple[list[Spend], list[Other]]:
    """The inputs of single-key accounts of ours, by policy; and those that need a registered one.

    ``InvalidInputError``: an outpoint spent twice, a key that is not ours at its path or does not make the script it
    is named for, a hash type other than ALL (taproot: DEFAULT or ALL). ``UnsupportedError``: too many inputs.
    """
    if len(psbt.inputs) > MOST_INPUTS:
        raise UnsupportedError(
            f"the transaction has {len(psbt.inputs)} inputs and a ledger signs at most {MOST_INPUTS}: split it",
            operation="sign_psbt",
            model=model,
        )
    outpoints, _, _ = psbt.tx.pieces()
    if len(set(outpoints)) != len(outpoints):  # the device signs these without a word
        raise InvalidInputError(
            "psbt refused: an outpoint is spent twice: such a transaction is never valid",
            code="input.psbt.duplicate-input",
        )
    spends: dict[tuple[ScriptType, tuple[int, ...]], Spend] = {}
    branches: dict[tuple[int, ...], ExtendedPublicKey] = {}
    others: list[Other] = []
    for index, one in enumerate(psbt.inputs):
        if one.is_final:
            continue
        named, leaves = _named(one, fingerprint)
        if not named:
            continue
        output = psbt.utxo(index)
        kind = None if leaves else _kind(index, one, output.script)
        if kind is None:
            others.append(Other(index, "has a script that a ledger signs under a registered policy only"))
            continue
        check_sighash(index, one, taproot=kind is ScriptType.P2TR)
        if len(named) != 1:
            raise _refused(index, "it names several keys of this signer where its script has one", "key")
        key, path = named[0]
        if not _is_usual(kind, path):
            others.append(Other(index, f"is {kind.value} with a key at {path}: {_usual_paths(kind)}"))
            continue
        account = path.indexes[:3]
        parent = branches.get(path.indexes[:4])
        if parent is None:
            parent = branches[path.indexes[:4]] = xpub(DerivationPath(account)).child(path[3])
        derived = parent.child(path[4]).key
        if derived[-len(key) :] != key:
            raise _refused(index, f"it names the key {key.hex()}, which is not ours at {path}", "key")
        if single_key_script(kind, derived) != output.script:
            raise _refused(index, f"it names the key {key.hex()}, which does not make the script it spends", "key")
        spend = spends.get((kind, account))
        if spend is None:
            home = DerivationPath(account)
            policy = default_policy(kind, KeyOrigin(fingerprint, home), xpub(home))
            spend = spends[kind, account] = Spend(policy)
        key = output.script[2:] if kind is ScriptType.P2TR else derived
        spend.inputs.append(our_input(index, one, {(key, b""): True}))
    return list(spends.values()), others


def our_input(index: int, one: PsbtInput, slots: Mapping[tuple[bytes, bytes], bool]) -> OurInput:
    """An input with the keys of ours in it, each with whether the PSBT names it."""
    return OurInput(index, {slot: _asked(one, slot) if named else Asked.UNASKED for slot, named in slots.items()})


def _asked(one: PsbtInput, slot: tuple[bytes, bytes]) -> Asked:
    key, leaf = slot
    if leaf:
        there = key + leaf in one.tap_script_sigs
    else:
        there = one.tap_key_sig is not None if len(key) == _X_ONLY else key in one.partial_sigs
    return Asked.THERE if there else Asked.WANTED


def check_sighash(index: int, one: PsbtInput, *, taproot: bool) -> None:
    """Refuse a hash type other than ALL (taproot: DEFAULT or ALL)."""
    asked = one.sighash_type
    allowed = (None, DEFAULT, ALL) if taproot else (None, ALL)
    if asked not in allowed:
        raise _refused(index, f"it asks for the hash type 0x{asked:x}: only ALL is signed", "sighash")


def _named(one: PsbtInput, fingerprint: Fingerprint) -> tuple[list[tuple[bytes, DerivationPath]], bool]:
    """The keys an input says are of the signer ``fingerprint``, each with its path; whether any is of a leaf."""
    named = [(key, origin.path) for key, origin in one.bip32_derivations.pairs() if origin.fingerprint == fingerprint]
    in_leaf = False
    for key, (leaves, origin) in one.tap_bip32_derivations.pairs():
        if origin.fingerprint == fingerprint:
            named.append((key, origin.path))
            in_leaf = in_leaf or bool(leaves)
    return named, in_leaf


def _kind(index: int, one: PsbtInput, script: bytes) -> ScriptType | None:
    """Which of the single-key scripts it is, if any."""
    kind = classify(script)
    if kind is ScriptType.P2SH:
        redeem = one.redeem_script
        if redeem is None or script[2:22] != hash160(redeem):
            raise _refused(index, "its redeem script is missing or not the one of its output", "script")
        return ScriptType.P2SH_P2WPKH if classify(redeem) is ScriptType.P2WPKH else None
    if kind is ScriptType.P2TR and one.tap_merkle_root:
        return None
    return kind if kind in PURPOSES else None


def _is_usual(kind: ScriptType, path: DerivationPath) -> bool:
    steps = path.indexes
    return (
        len(steps) == 5
        and steps[0] == HARDENED + PURPOSES[kind]
        and steps[1] >= HARDENED
        and HARDENED <= steps[2] <= HARDENED + MOST_ACCOUNT
        and steps[3] in (0, 1)
        and steps[4] < HARDENED
    )


def _usual_paths(kind: ScriptType) -> str:
    return (
        f"without registration a ledger signs those at m/{PURPOSES[kind]}h/coin/account/branch/index only, account at "
        f"most {MOST_ACCOUNT}, branch 0 or 1"
    )


def _refused(index: int, reason: str, cause: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {index}: {reason}", code=f"input.psbt.{cause}")
