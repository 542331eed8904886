"""What devices were measured to do with hostile requests, what is done here, and the tests that show it."""

from __future__ import annotations

from typing import NamedTuple

_HOST = "hil/test_hil_hostile_host.py"
_REFUSED = f"{_HOST}::test_every_row_is_refused_before_the_device_is_asked"
_SHOWN = f"{_HOST}::test_what_is_no_change_is_shown_as_a_payment"
_POLICIES = "unit/backends/ledger/test_policies.py"

BEHAVIOUR_HEAD = """\
## What devices sign, and what is refused before them

Measured on the vendors' firmware (Trezor core 2.6.4, Ledger's Bitcoin Test app 2.4.6): what a device does by itself
with requests that nobody honest makes, and what is done with them here. What is refused is refused before the device
is asked.
"""


class Row(NamedTuple):
    """``devices`` is what they do by themselves; ``tests`` are names as pytest has them."""

    request: str
    devices: str
    here: str
    tests: tuple[str, ...]


BEHAVIOUR = (
    Row("the same coin twice", "both sign, silently", "refused", (_REFUSED,)),
    Row("change at an index no wallet searches", "Trezor refuses, Ledger hides it", "refused", (_REFUSED,)),
    Row("change on the receiving branch", "Trezor hides it, Ledger shows it", "shown as a payment", (_SHOWN,)),
    Row("change of another account of ours", "shown", "shown as a payment", (_SHOWN,)),
    Row("change on branch 7, or of account 150", "Trezor refuses", "shown as a payment", (_SHOWN,)),
    Row("change whose path or script lies", "Ledger shows it as a payment", "refused", (_REFUSED,)),
    Row("an amount too high or too low", "both refuse", "refused", (_REFUSED,)),
    Row("a previous transaction altered, or without that output", "Trezor refuses", "refused", (_REFUSED,)),
    Row("no previous transaction (segwit version 0)", "Ledger warns and signs", "refused", (_REFUSED,)),
    Row(
        "no witness UTXO (segwit version 0)",
        "Ledger refuses",
        "added from the previous transaction",
        (f"{_HOST}::test_a_missing_witness_utxo_is_filled_in",),
    ),
    Row("neither of the two", "Ledger refuses", "refused", (_REFUSED,)),
    Row("a fee of 99 percent, or of 9.9 BTC", "silent, or a warning", "refused", (_REFUSED,)),
    Row("more paid than spent", "both refuse", "refused", (_REFUSED,)),
    Row("hash types other than ALL, one that is none", "Ledger warns and signs", "refused", (_REFUSED,)),
    Row("a coin of ours at another path, or at none", "both refuse", "refused", (_REFUSED,)),
    Row(
        "a coin of a stranger",
        "Trezor refuses, Ledger warns",
        "refused unless one job allows it",
        (
            _REFUSED,
            f"{_HOST}::test_an_input_of_a_stranger_beside_ours",
            "safety/test_checklist_e.py::test_row_41_42_others_pay_along_only_where_that_was_allowed",
            "unit/cli/test_hwi_devices.py::test_a_stranger_pays_along",
        ),
    ),
    Row(
        "Bitcoin at an Ethereum path, and the reverse",
        "both refuse",
        "refused",
        (_REFUSED, "hil/test_hil_hostile_paths.py::test_ether_at_a_bitcoin_path"),
    ),
    Row(
        "a Ledger policy with `h` for `'`, a proof that is wrong or missing, an address of index 60000",
        "0x6A80, whichever it is",
        "written the vendor's way; refused in words",
        (
            "unit/backends/ledger/test_bitcoin_errors.py::test_the_vendors_mark_of_hardening",
            f"{_POLICIES}::test_a_proof_that_is_not_the_devices_is_refused",
            f"{_POLICIES}::test_without_registration_it_is_refused",
            "unit/backends/ledger/test_bitcoin_signer.py::test_addresses_it_does_not_show",
        ),
    ),
    Row(
        "a passphrase of more than 50 bytes, or with spaces",
        "Trezor refuses it; spaces make another wallet",
        "counted after NFKD, never trimmed",
        (
            f"{_HOST}::test_a_passphrase_longer_than_the_device_takes",
            "unit/backends/trezor/test_with_simulator.py::test_passphrases",
        ),
    ),
    Row(
        "a question after a time-out",
        "the vendor's library gives it the answer to the one before",
        "the conversation is over; the next one hears new answers only",
        (
            "safety/test_checklist_j.py::test_row_86_no_question_gets_the_answer_to_an_earlier_one",
            "unit/backends/ledger/test_reopening.py::test_a_late_answer_goes_to_nobody",
        ),
    ),
    Row(
        "a device that is gone in the middle of a call",
        "an error of the operating system",
        "a typed error, nothing half-signed",
        (
            "safety/test_checklist_j.py::test_row_86_pulled_out_while_it_signs",
            "hil/test_hil_disconnects.py::test_pulled_out_at_random",
        ),
    ),
    Row(
        "what a Ledger says beside 0x6A80",
        "the vendor's library drops it",
        "kept in the error",
        ("unit/backends/ledger/test_bitcoin_signer.py::test_what_the_device_says_against_a_request_is_kept",),
    ),
)


def section() -> str:
    """The rows as a part of the page."""
    lines = [BEHAVIOUR_HEAD, "| request | devices by themselves | here | tests |", "|---|---|---|---|"]
    for row in BEHAVIOUR:
        named = (f"{file}: `{name}`" for file, _, name in (test.partition("::") for test in row.tests))
        lines.append(f"| {row.request} | {row.devices} | {row.here} | {'<br>'.join(named)} |")
    return "\n".join(lines)
