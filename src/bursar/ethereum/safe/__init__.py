"""Safe multisig accounts: what their owners sign (EIP-712, EIP-1271), how it is collected, sent and judged."""

from __future__ import annotations

from bursar.ethereum.safe.calls import SafeExecution, decode_execution, encode_approve_hash, encode_execution
from bursar.ethereum.safe.confirmations import Confirmations
from bursar.ethereum.safe.contract import Safe, SafeVersion
from bursar.ethereum.safe.delegates import KNOWN_DELEGATES, check_delegate_calls
from bursar.ethereum.safe.message import SafeMessage
from bursar.ethereum.safe.multisend import MultiSendCall, decode_multi_send, encode_multi_send
from bursar.ethereum.safe.operation import Operation
from bursar.ethereum.safe.review import safe_cautions, unfold
from bursar.ethereum.safe.signatures import OwnerSignature, decode_signatures, encode_signatures
from bursar.ethereum.safe.state import SafeState, read_state
from bursar.ethereum.safe.transaction import SafeTransaction

__all__ = [
    "KNOWN_DELEGATES",
    "Confirmations",
    "MultiSendCall",
    "Operation",
    "OwnerSignature",
    "Safe",
    "SafeExecution",
    "SafeMessage",
    "SafeState",
    "SafeTransaction",
    "SafeVersion",
    "check_delegate_calls",
    "decode_execution",
    "decode_multi_send",
    "decode_signatures",
    "encode_approve_hash",
    "encode_execution",
    "encode_multi_send",
    "encode_signatures",
    "read_state",
    "safe_cautions",
    "unfold",
]
