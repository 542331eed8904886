"""Which inputs of a PSBT are ours, and under which policy the app signs each; nothing is guessed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
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


@dataclass(frozen=True, slots=True)
class OurInput:
    """One input the app shall sign: its number, the key it must sign under as the app will name it, and whether
    that signature is still wanted. A taproot key is the output's (tweaked, x-only)."""

    index: int
    public_key: bytes
    wanted: bool


@dataclass(slots=True)
class Spend:
    """The inputs of one policy: one request to the app."""

    policy: AppPolicy
    script_type: ScriptType
    inputs: list[OurInput] = field(default_factory=list)


def default_policy(script_type: ScriptType, origin: KeyOrigin, xpub: ExtendedPublicKey) -> AppPolicy:
    """The policy of a single-key account, which the app knows without registration."""
    return AppPolicy(TEMPLATES[script_type], (key_text(origin, xpub),))


def key_text(origin: KeyOrigin, xpub: ExtendedPublicKey) -> str:
    """``[f5acc2fd/84'/1'/0']tpub…``, with the mark of hardening that the app reads."""
    return f"[{origin}]{xpub}".replace("h/", "'/").replace("h]", "']")


def single_key_spends(
    psbt: Psbt, fingerprint: Fingerprint, *, model: str, xpub: XpubOf
) -> tuple[list[Spend], list[int]]:
    """The inputs of single-key accounts of ours, by policy; and the numbers of those with other scripts of ours.

    ``InvalidInputError``: an outpoint spent twice, a key that is not ours at its path or does not make the script it
    is named for, a hash type other than ALL (taproot: DEFAULT or ALL). ``UnsupportedError``: paths the app has no
    default policy for, taproot script paths, too many inputs.
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
    others: list[int] = []
    for index, one in enumerate(psbt.inputs):
        if one.is_final:
            continue
        named = _named(index, one, fingerprint, model)
        if not named:
            continue
        output = psbt.utxo(index)
        kind = _kind(index, one, output.script)
        if kind is None:
            others.append(index)
            continue
        check_sighash(index, one, kind)
        if len(named) != 1:
            raise _refused(index, "it names several keys of this signer where its script has one", "key")
        key, path = named[0]
        _check_path(index, kind, path, model)
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
            spend = spends[kind, account] = Spend(policy, kind)
        if kind is ScriptType.P2TR:
            spend.inputs.append(OurInput(index, output.script[2:], one.tap_key_sig is None))
        else:
            spend.inputs.append(OurInput(index, derived, derived not in one.partial_sigs))
    return list(spends.values()), others


def check_sighash(index: int, one: PsbtInput, kind: ScriptType) -> None:
    """Refuse a hash type other than ALL (taproot: DEFAULT or ALL)."""
    asked = one.sighash_type
    allowed = (None, DEFAULT, ALL) if kind is ScriptType.P2TR else (None, ALL)
    if asked not in allowed:
        raise _refused(index, f"it asks for the hash type 0x{asked:x}: only ALL is signed", "sighash")


def _named(index: int, one: PsbtInput, fingerprint: Fingerprint, model: str) -> list[tuple[bytes, DerivationPath]]:
    """The keys an input says are of the signer ``fingerprint``, each with its path."""
    named = [(key, origin.path) for key, origin in one.bip32_derivations.pairs() if origin.fingerprint == fingerprint]
    for key, (leaves, origin) in one.tap_bip32_derivations.pairs():
        if origin.fingerprint != fingerprint:
            continue
        if leaves:
            raise _unsupported(f"psbt input {index} asks for a taproot script path", model)
        named.append((key, origin.path))
    return named


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


def _check_path(index: int, kind: ScriptType, path: DerivationPath, model: str) -> None:
    purpose = PURPOSES[kind]
    steps = path.indexes
    usual = (
        len(steps) == 5
        and steps[0] == HARDENED + purpose
        and steps[1] >= HARDENED
        and HARDENED <= steps[2] <= HARDENED + MOST_ACCOUNT
        and steps[3] in (0, 1)
        and steps[4] < HARDENED
    )
    if not usual:
        raise _unsupported(
            f"psbt input {index} is {kind.value} with a key at {path}, and a ledger signs those at "
            f"m/{purpose}h/coin/account/branch/index only, account at most {MOST_ACCOUNT}, branch 0 or 1",
            model,
        )


def _unsupported(what: str, model: str) -> UnsupportedError:
    return UnsupportedError(f"{what}: a ledger does not sign that here", operation="sign_psbt", model=model)


def _refused(index: int, reason: str, cause: str) -> InvalidInputError:
    return InvalidInputError(f"psbt input {index}: {reason}", code=f"input.psbt.{cause}")
