"""Texts of strangers: one line, nothing hidden, nothing endless."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.ethereum.clear_signing.texts import LONGEST_LABEL, bounded, data_error, label, plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Amount to send", "Amount to send"),
        ("Überweisung 100 ₮ 送金", "Überweisung 100 ₮ 送金"),
        ("pay\nTo: somebody", "pay\\u{a}To: somebody"),
        ("100\u202e001 USDC", "100\\u{202e}001 USDC"),
        ("US\u200bDC", "US\\u{200b}DC"),
        ("a\u3164b\u2800c", "a\\u{3164}b\\u{2800}c"),
        ("\x1b[2J", "\\u{1b}[2J"),
        ("a\u00a0b", "a\\u{a0}b"),
        ("\U000e0041", "\\u{e0041}"),
        ("x\ufe0f", "x\\u{fe0f}"),
        ("e\u0301\u0301\u0301\u0301", "e\u0301\u0301\\u{301}\\u{301}"),
        ("\ud800", "\\u{d800}"),
    ],
)
def test_what_is_not_seen_is_written_out(text: str, shown: str) -> None:
    assert plain(text) == shown


@given(st.text(max_size=300))
def test_every_text_is_shown_on_one_bounded_line(text: str) -> None:
    shown = label(text)
    assert shown.isprintable()
    assert len(shown) <= LONGEST_LABEL + 30
    assert plain(shown) == shown
    shown.encode("utf-8")
    assert data_error(text).message.isprintable()


def test_a_cut_says_so() -> None:
    assert bounded("a" * 5, 5) == ("aaaaa", False)
    assert bounded("a" * 6, 5) == ("aaaaa… (cut, 6 characters)", True)
    assert bounded("\u202e" * 6, 50) == ("\\u{202e}" * 6, False)
    assert bounded("\u202e" * 7, 50)[1]
