"""Every error Bursar raises, arranged by what the caller can do about it.

::

    BursarError(code, retryable)
    ├─ InvalidInputError (ValueError)       fix the argument
    │  ├─ InvalidSignatureError             the signature does not verify
    │  └─ InvalidContributionError          a cosigner sent something wrong; `signer` says which
    ├─ InconclusiveError                    neither valid nor invalid: this cannot be judged here
    ├─ SignerError
    │  ├─ SignerNotFoundError               name another signer, or plug it in
    │  ├─ SignerUnavailableError            unlock it, try again (retryable)
    │  ├─ UserCancelledError                a human said no: never retry
    │  ├─ UnsupportedError                  this signer cannot do that
    │  └─ SignerMisbehavedError             distrust this signer, call someone
    ├─ KeystoreError
    │  ├─ WrongPasswordError
    │  ├─ CorruptKeystoreError
    │  └─ KeystoreBusyError                 another process holds it (retryable)
    ├─ PolicyDeniedError                    the policy refused; `rule` and `reason` say why
    ├─ ApprovalPendingError                 more approvals are needed
    ├─ InsufficientFundsError               `needed` and `available`, in base units
    ├─ ConflictError                        the same key was used for something else
    ├─ StoreError
    │  ├─ CorruptStoreError                 stop, restore from a backup
    │  └─ StoreBusyError                    another process holds it (retryable)
    ├─ ChainError
    │  ├─ ChainUnavailableError             try again (retryable)
    │  ├─ WrongChainError                   the node is on another chain than the account
    │  ├─ ProvidersDisagreeError            several nodes were asked and differ; `evidence` says how
    │  └─ BroadcastRejectedError            the node refused the transaction
    └─ MissingExtraError                    install the named extra

Messages are lower case, name the value and the remedy, and never hold a secret. ``code`` is stable: the command
line's JSON, its exit codes and the documentation use it.
"""

from __future__ import annotations

from typing import ClassVar


class BursarError(Exception):
    """Base of every error raised on purpose by this package."""

    default_code: ClassVar[str] = "bursar"
    retryable: ClassVar[bool] = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.code = code or self.default_code


class InvalidInputError(BursarError, ValueError):
    """An argument is not acceptable; ``code`` may narrow it (``input.address``, ``input.amount``, …)."""

    default_code = "input"


class InvalidSignatureError(InvalidInputError):
    """A signature does not verify under the key and message given."""

    default_code = "input.signature"


class InvalidContributionError(InvalidInputError):
    """What a cosigner sent is not acceptable: ``contribution`` is what, ``signer`` its place from 0, or None."""

    default_code = "input.contribution"

    def __init__(self, message: str, *, signer: int | None, contribution: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.signer = signer
        self.contribution = contribution


class InconclusiveError(BursarError):
    """Something is neither shown valid nor invalid, because this program does not know all it would have to."""

    default_code = "inconclusive"


class SignerError(BursarError):
    """Something about a signer."""

    default_code = "signer"


class SignerNotFoundError(SignerError):
    """No signer answers to that name or fingerprint."""

    default_code = "signer.not-found"


class SignerUnavailableError(SignerError):
    """The signer exists but cannot answer now: locked, busy, unplugged."""

    default_code = "signer.unavailable"
    retryable = True


class UserCancelledError(SignerError):
    """A human refused, on the device or at the prompt."""

    default_code = "signer.cancelled"


class UnsupportedError(SignerError):
    """The signer has no way to do this."""

    default_code = "signer.unsupported"

    def __init__(self, message: str, *, operation: str = "", model: str = "", code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.operation = operation
        self.model = model


class SignerMisbehavedError(SignerError):
    """The signer's answer does not belong to the question."""

    default_code = "signer.misbehaved"


class KeystoreError(BursarError):
    """Something about a keystore file."""

    default_code = "keystore"


class WrongPasswordError(KeystoreError):
    """The password does not open this keystore."""

    default_code = "keystore.password"


class CorruptKeystoreError(KeystoreError):
    """The keystore file is damaged, truncated or not a keystore."""

    default_code = "keystore.corrupt"


class KeystoreBusyError(KeystoreError):
    """Another process holds the keystore's lock."""

    default_code = "keystore.busy"
    retryable = True


class PolicyDeniedError(BursarError):
    """The policy refused the plan."""

    default_code = "policy.denied"

    def __init__(self, message: str, *, rule: str, reason: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.rule = rule
        self.reason = reason


class ApprovalPendingError(BursarError):
    """The plan needs more approvals before it may be signed."""

    default_code = "policy.pending"

    def __init__(self, message: str, *, have: int, need: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.have = have
        self.need = need


class InsufficientFundsError(BursarError):
    """The account cannot pay this; both figures in base units (satoshi, wei, token units)."""

    default_code = "funds.insufficient"

    def __init__(self, message: str, *, needed: int, available: int, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.needed = needed
        self.available = available


class ConflictError(BursarError):
    """The same idempotency key, coin or nonce is already bound to something else."""

    default_code = "conflict"


class StoreError(BursarError):
    """Something about the wallet's store or journal."""

    default_code = "store"


class CorruptStoreError(StoreError):
    """The store or its journal is damaged; nothing was changed."""

    default_code = "store.corrupt"


class StoreBusyError(StoreError):
    """Another process is writing to the store."""

    default_code = "store.busy"
    retryable = True


class ChainError(BursarError):
    """Something about a node or the chain it serves."""

    default_code = "chain"


class ChainUnavailableError(ChainError):
    """The node did not answer."""

    default_code = "chain.unavailable"
    retryable = True


class WrongChainError(ChainError):
    """The node serves another chain than the account belongs to."""

    default_code = "chain.wrong"


class ProvidersDisagreeError(ChainError):
    """Not enough providers say the same; ``evidence`` is what each said, by its name."""

    default_code = "chain.disagreement"

    def __init__(self, message: str, *, evidence: tuple[tuple[str, str], ...], code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.evidence = evidence


class BroadcastRejectedError(ChainError):
    """The node refused the transaction; ``node_code`` and ``reason`` are the node's own."""

    default_code = "chain.rejected"

    def __init__(self, message: str, *, node_code: int | str, reason: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.node_code = node_code
        self.reason = reason


class MissingExtraError(BursarError):
    """An optional dependency is not installed."""

    default_code = "extra.missing"

    def __init__(self, message: str, *, extra: str, code: str | None = None) -> None:
        super().__init__(message, code=code)
        self.extra = extra
