"""Signed messages: Bitcoin Core's form for P2PKH, BIP-137's for segwit keys, BIP-322's for every script."""

from __future__ import annotations

from bursar.bitcoin.message.legacy import encode_signature as encode_signature
from bursar.bitcoin.message.legacy import message_digest as message_digest
from bursar.bitcoin.message.proof import MessageFormat as MessageFormat
from bursar.bitcoin.message.proof import MessageProof as MessageProof
from bursar.bitcoin.message.signing import MESSAGE_FIELD as MESSAGE_FIELD
from bursar.bitcoin.message.signing import encode_proof as encode_proof
from bursar.bitcoin.message.signing import message_psbt as message_psbt
from bursar.bitcoin.message.signing import signed_message as signed_message
from bursar.bitcoin.message.verification import verify_message as verify_message
