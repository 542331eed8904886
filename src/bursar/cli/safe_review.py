"""A proposal for a Safe in words: what it does, the hashes to compare, and who of the owners has agreed."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bursar.cli import compose
from bursar.cli.ethereum_accounts import coin_symbol
from bursar.ethereum.safe import KNOWN_DELEGATES, Safe, SafeVersion, safe_cautions
from bursar.policy.render import plain_text, review_text
from bursar.policy.review import DOMAIN_MISMATCH, ReviewWarning
from bursar.policy.typed_data import review_of_typed_data

if TYPE_CHECKING:
    from bursar.cli.safe_chain import Standing
    from bursar.cli.session import Session
    from bursar.ethereum.address import Address
    from bursar.policy.review import Review


def review_of(session: Session, standing: Standing, account: str, *, delegates: frozenset[Address]) -> Review:
    """What the transaction does, for people and the policy; ``account`` is the one asked to sign."""
    tx = standing.proposal.transaction
    chain_id = tx.safe.chain_id
    tokens = {one.contract: one for one in compose.wallet(session).tokens() if one.chain_id == chain_id}
    # older versions mean the same by other names; what their domain lacks is said below
    modern = tx if tx.safe.binds_chain else replace(tx, safe=Safe(chain_id, tx.safe.address, SafeVersion(1, 4, 1)))
    review = review_of_typed_data(
        modern.unsafe_typed_data(),
        account=account,
        chain_id=chain_id,
        tokens=tokens,
        symbol=coin_symbol(session, chain_id),
    )
    said = {one.code for one in review.warnings}
    own = [one for one in safe_cautions(tx, delegates=delegates | KNOWN_DELEGATES) if one.code not in said]
    warnings = [ReviewWarning(one.code, one.text) for one in (*own, *standing.cautions)]
    if not tx.safe.binds_chain:
        text = "the Safe's domain names no chain: a policy has to allow that by name"
        warnings.append(ReviewWarning(DOMAIN_MISMATCH, text))
    warnings += [ReviewWarning("safe-owners", doubt) for doubt in standing.doubts]
    if standing.place is None:
        text = "the chain was not asked: the Safe's owners, nonce and hash are what the file says"
        warnings.append(ReviewWarning("safe-unchecked", text))
    elif standing.place:
        text = f"{standing.place} other transactions of the Safe have to be executed before this one"
        warnings.append(ReviewWarning("safe-nonce", text))
    extra = {"safe": str(tx.safe.address), "safe nonce": tx.nonce, "safe version": str(tx.safe.version)}
    return replace(review, warnings=(*review.warnings, *warnings), extra={**review.extra, **extra})


def proposal_text(standing: Standing, review: Review, *, clear: str = "") -> str:
    """All of it for the one who decides: effects, warnings, the words of descriptors, hashes, owners."""
    proposal = standing.proposal
    tx, held = proposal.transaction, proposal.confirmations
    lines = [
        f"Transaction {tx.nonce} of the Safe {tx.safe.address} (version {tx.safe.version}, chain {tx.safe.chain_id})"
    ]
    if proposal.note:
        lines.append(f'Note, which nobody signs: "{plain_text(proposal.note)}"')
    lines += ["Once enough owners agree, anybody can have the Safe do this, with the Safe's money:"]
    lines += ["", f"{review_text(review)}{clear}", "Compare with what the other owners and the device show"]
    lines += [f"  {name.ljust(12)}  {value}" for name, value in hash_rows(standing)]
    where = "as the file says" if standing.found is None else "as the chain says"
    lines += ["", f"{len(held.signatures)} of {held.threshold} needed owners agree ({where})"]
    lines += [f"  {owner}  {state}" for owner, state in owner_rows(standing)]
    return "\n".join(lines) + "\n"


def hash_rows(standing: Standing) -> list[tuple[str, str]]:
    """The three hashes by the names that devices and other programs give them."""
    found = standing.proposal.hashes.to_json()
    return [
        ("Domain hash", found["domain"]),
        ("Message hash", found["message"]),
        ("safeTxHash", found["safe_tx"]),
    ]


def owner_rows(standing: Standing) -> list[tuple[str, str]]:
    """Each owner and how it agreed."""
    held = standing.proposal.confirmations
    kinds = {one.owner: one.kind.value for one in held.signatures}
    words = {
        "typed": "signed",
        "personal": "signed the hash as a message",
        "approved": "approved on chain",
        "contract": "a contract's signature",
    }
    owners = sorted(held.owners, key=lambda one: one.value)
    return [(str(one), words[kinds[one]] if one in kinds else "-") for one in owners]


def document(standing: Standing) -> dict[str, Any]:
    """The same for programs."""
    proposal = standing.proposal
    held = proposal.confirmations
    return {
        "transaction": proposal.transaction.to_json(),
        "hashes": proposal.hashes.to_json(),
        "note": proposal.note,
        "owners": [str(one) for one in sorted(held.owners, key=lambda one: one.value)],
        "threshold": held.threshold,
        "signatures": [one.to_json() for one in held.signatures],
        "missing": held.missing,
        "checked_on_chain": standing.found is not None,
        "before_it": standing.place,
        "doubts": list(standing.doubts),
    }
