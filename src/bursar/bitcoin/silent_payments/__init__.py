"""Silent payments (BIP-352): addresses, sending to them, and finding what was paid by scanning."""

from __future__ import annotations

from bursar.bitcoin.silent_payments.address import SilentPaymentAddress as SilentPaymentAddress
from bursar.bitcoin.silent_payments.inputs import PublicInputs as PublicInputs
from bursar.bitcoin.silent_payments.inputs import public_inputs as public_inputs
from bursar.bitcoin.silent_payments.keys import SilentPaymentKeys as SilentPaymentKeys
from bursar.bitcoin.silent_payments.scanning import FoundOutput as FoundOutput
from bursar.bitcoin.silent_payments.scanning import Scanner as Scanner
from bursar.bitcoin.silent_payments.sending import PayingInput as PayingInput
from bursar.bitcoin.silent_payments.sending import send_outputs as send_outputs
