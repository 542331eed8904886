"""Plan, ApprovedPlan, SignedTransfer: what may be parked between two steps. Frozen, versioned, bound by digests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from bursar.errors import InvalidInputError
from bursar.wallet.canonical import digest, field, open_record
from bursar.wallet.review_json import review_from_json, review_to_json
from bursar.wallet.transfer import Transfer

if TYPE_CHECKING:
    from bursar.policy.review import Review


@dataclass(frozen=True, slots=True)
class Plan:
    """A transfer made concrete: the coins or the nonce are reserved, the fee is fixed, the review says all of it.

    ``psbt`` is the unsigned PSBT in base64 (Bitcoin); ``unsigned`` is the hex of the signing bytes, ``path`` the key's
    derivation path and ``sender`` the paying address (Ethereum). ``replaces`` is the id of the transfer this plan bumps
    or cancels. ``created`` is in Unix seconds.
    """

    id: str
    transfer: Transfer
    review: Review
    created: int
    psbt: str | None = None
    unsigned: str | None = None
    path: str | None = None
    sender: str | None = None
    replaces: str | None = None

    @property
    def account(self) -> str:
        return self.transfer.account

    def digest(self) -> str:
        """SHA-256 of the canonical JSON: what approvals bind to. Any change to any field changes it."""
        return digest(self.to_json())

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "plan",
            "version": 1,
            "id": self.id,
            "transfer": self.transfer.to_json(),
            "review": review_to_json(self.review),
            "created": self.created,
            "psbt": self.psbt,
            "unsigned": self.unsigned,
            "path": self.path,
            "sender": self.sender,
            "replaces": self.replaces,
        }

    @classmethod
    def from_json(cls, data: object) -> Plan:
        record = open_record(data, "plan", 1)
        text = (str, type(None))
        return cls(
            id=field(record, "id", str),
            transfer=Transfer.from_json(record.get("transfer")),
            review=review_from_json(record.get("review")),
            created=field(record, "created", int),
            psbt=field(record, "psbt", text),
            unsigned=field(record, "unsigned", text),
            path=field(record, "path", text),
            sender=field(record, "sender", text),
            replaces=field(record, "replaces", text),
        )


@dataclass(frozen=True, slots=True)
class ApprovedPlan:
    """A plan the policy allowed. Valid only for this plan's digest under this policy's digest; any change voids it."""

    plan: Plan
    plan_digest: str
    policy_digest: str
    rule: str  # the rule that allowed it
    approved: int  # Unix seconds

    @property
    def id(self) -> str:
        return self.plan.id

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "approved-plan",
            "version": 1,
            "plan": self.plan.to_json(),
            "plan_digest": self.plan_digest,
            "policy_digest": self.policy_digest,
            "rule": self.rule,
            "approved": self.approved,
        }

    @classmethod
    def from_json(cls, data: object) -> ApprovedPlan:
        record = open_record(data, "approved-plan", 1)
        return cls(
            plan=Plan.from_json(record.get("plan")),
            plan_digest=field(record, "plan_digest", str),
            policy_digest=field(record, "policy_digest", str),
            rule=field(record, "rule", str),
            approved=field(record, "approved", int),
        )


@dataclass(frozen=True, slots=True)
class SignedTransfer:
    """The bytes to broadcast, already stored when this value exists. ``txid`` is display hex (``0x…`` on Ethereum)."""

    id: str
    plan_digest: str
    txid: str
    raw: bytes

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "signed-transfer",
            "version": 1,
            "id": self.id,
            "plan_digest": self.plan_digest,
            "txid": self.txid,
            "raw": self.raw.hex(),
        }

    @classmethod
    def from_json(cls, data: object) -> SignedTransfer:
        record = open_record(data, "signed-transfer", 1)
        try:
            raw = bytes.fromhex(field(record, "raw", str))
        except ValueError as error:
            raise InvalidInputError("field 'raw' is not hex", code="input.json") from error
        return cls(
            id=field(record, "id", str),
            plan_digest=field(record, "plan_digest", str),
            txid=field(record, "txid", str),
            raw=raw,
        )


@dataclass(frozen=True, slots=True)
class SigningProgress:
    """How far the signing of a transfer is.

    ``have`` are the master fingerprints of those who signed every input, ``missing`` of those who still may;
    ``count`` of the ``need`` signatures are there. ``words`` says what it takes. ``signed`` is there once complete.
    """

    id: str
    need: int
    count: int
    have: tuple[str, ...]
    missing: tuple[str, ...]
    words: str
    signed: SignedTransfer | None = None

    @property
    def complete(self) -> bool:
        """Whether the transaction is whole and may be sent."""
        return self.signed is not None

    def to_json(self) -> dict[str, Any]:
        return {
            "kind": "signing-progress",
            "version": 1,
            "id": self.id,
            "need": self.need,
            "count": self.count,
            "have": list(self.have),
            "missing": list(self.missing),
            "words": self.words,
            "signed": None if self.signed is None else self.signed.to_json(),
        }
