"""Safe multisig accounts: what their owners sign (EIP-712, EIP-1271), how it is collected, sent and judged."""

from __future__ import annotations

from bursar.ethereum.safe.calls import SafeExecution, decode_execution, encode_approve_hash, encode_execution
from bursar.ethereum.safe.confirmations import Confirmations
from bursar.ethereum.safe.contract import Safe, SafeVersion
from bursar.ethereum.safe.delegates import KNOWN_DELEGATES, check_delegate_calls
from bursar.ethereum.safe.foreign import ForeignTransaction, read_foreign
from bursar.ethereum.safe.message import SafeMessage
from bursar.ethereum.safe.multisend import MultiSendCall, decode_multi_send, encode_multi_send
from bursar.ethereum.safe.on_chain import check_agreement, check_hash, has_approved
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.proposal import OwnerConfirmation, Proposal, SafeHashes, read_proposal
from bursar.ethereum.safe.review import safe_cautions, unfold
from bursar.ethereum.safe.settings import KNOWN_CODE, SafeSettings, read_settings
from bursar.ethereum.safe.signatures import OwnerSignature, decode_signatures, encode_signatures
from bursar.ethereum.safe.state import SafeState, read_state
from bursar.ethereum.safe.transaction import SafeTransaction

__all__ = [
    "KNOWN_CODE",
    "KNOWN_DELEGATES",
    "Confirmations",
    "ForeignTransaction",
    "MultiSendCall",
    "Operation",
    "OwnerConfirmation",
    "OwnerSignature",
    "Proposal",
    "Safe",
    "SafeExecution",
    "SafeHashes",
    "SafeMessage",
    "SafeSettings",
    "SafeState",
    "SafeTransaction",
    "SafeVersion",
    "check_agreement",
    "check_delegate_calls",
    "check_hash",
    "decode_execution",
    "decode_multi_send",
    "decode_signatures",
    "encode_approve_hash",
    "encode_execution",
    "encode_multi_send",
    "encode_signatures",
    "has_approved",
    "read_foreign",
    "read_proposal",
    "read_settings",
    "read_state",
    "safe_cautions",
    "unfold",
]
