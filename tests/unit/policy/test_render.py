"""The clerk's view: everything said, aligned, and nothing that misleads the eye."""

from __future__ import annotations

import unicodedata
from dataclasses import replace
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bursar.policy.render import amount_text, plain_text, review_text, text_width
from bursar.policy.review import Asset, Called, Change, Granted, Payment, ReviewWarning


def test_a_bitcoin_review_says_who_gets_what_and_what_it_costs(stage: SimpleNamespace) -> None:
    review = stage.review((stage.BTC, stage.ALICE, 150_000_000), (stage.BTC, stage.BOB, 1000), fee=2820)
    review = replace(
        review, change=(Change("bc1qchange", 5, "m/84h/0h/0h/1/0"),), warnings=(ReviewWarning("n", "new payee"),)
    )
    text = review_text(review)
    assert text.splitlines() == [
        "Transfer to approve",
        "  From account  treasury",
        "  On            Bitcoin, main network (real money)",
        "",
        "Pays",
        f"      1.5 BTC  to  {stage.ALICE}",
        f"  0.00001 BTC  to  {stage.BOB}",
        "  1.50001 BTC  in all",
        "",
        "Costs",
        "  Network fee         0.0000141 BTC (12.5 sat/vB)",
        "  At most             0.0000282 BTC",
        "  Leaves the account  1.5000382 BTC, fee included",
        "",
        "Comes back to this account",
        "  0.00000005 BTC  on  bc1qchange (m/84h/0h/0h/1/0)",
        "",
        "Warnings (1)",
        "  ! new payee",
    ]


def test_a_token_review_names_the_contract_and_both_costs(stage: SimpleNamespace) -> None:
    text = review_text(stage.review((stage.TUSD, stage.CAROL, 12_500_000), fee=10**15))
    assert "12.5 TUSD  to  " + stage.CAROL in text
    assert "token contract " + stage.TOKEN in text
    assert "Leaves the account  12.5 TUSD and 0.001 ETH, fee included" in text


def test_a_review_without_payments_says_so(stage: SimpleNamespace) -> None:
    assert "nobody: only the network fee" in review_text(stage.review())


def test_nothing_that_leaves_is_not_said_to_leave(stage: SimpleNamespace) -> None:
    free = replace(stage.review(), fee=0, max_fee=0)
    assert "Leaves the account" not in review_text(free)
    assert "Leaves the account" in review_text(stage.review())


def test_one_call_that_only_repeats_what_it_pays_or_allows_is_left_out(stage: SimpleNamespace) -> None:
    transfer = Called(stage.TOKEN, 0, "transfer", (("to", stage.CAROL), ("amount", "5")))
    paid = replace(stage.review((stage.TUSD, stage.CAROL, 5)), calls=(transfer,))
    approve = Called(stage.TOKEN, 0, "approve", (("spender", stage.CAROL), ("amount", "5")))
    granted = replace(
        stage.review((stage.TUSD, stage.CAROL, 5)),
        payments=(),
        allowances=(Granted(stage.TUSD, stage.CAROL, 5),),
        calls=(approve,),
    )
    for review in (paid, granted):
        assert "Calls" not in review_text(review)
        call = review.calls[0]
        for other in (
            (call, call),
            (replace(call, calls=(call,)),),
            (replace(call, understood=False),),
            (replace(call, delegate=True),),
            (replace(call, value=1),),
            (replace(call, to=stage.CAROL),),
            (replace(call, name="transferFrom"),),
            (replace(call, name="increaseAllowance"),),
            (replace(call, arguments=(*call.arguments, ("data", "0x00"))),),
            (replace(call, arguments=(("to", stage.TOKEN), ("amount", "5"))),),
        ):
            assert "Calls" in review_text(replace(review, calls=other)), other
    assert "Calls" in review_text(replace(paid, allowances=granted.allowances))


def test_payments_beyond_the_bound_are_counted_and_summed(stage: SimpleNamespace) -> None:
    text = review_text(stage.review(*[(stage.BTC, stage.ALICE, 10**8)] * 250), most=100)
    assert "and 150 more payments that are not shown" in text
    assert "250 BTC  in all" in text
    assert len(text.splitlines()) < 120


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("Acme\u202eUSD", r"Acme\u202eUSD"),
        ("a\x1b[31mb", r"a\u001b[31mb"),
        ("a\nb\tc", r"a\u000ab\u0009c"),
        ("zero\u200bwidth", r"zero\u200bwidth"),
        ("\\u202e", r"\\u202e"),
        ("שלום", r"\u05e9\u05dc\u05d5\u05dd"),
        ("no\u00a0break", r"no\u00a0break"),
        ("a" + "\u0301" * 4, "a\u0301\u0301" + r"\u0301\u0301"),
        ("tag\U000e0041", r"tag\U000e0041"),
        ("blank\u3164", r"blank\u3164"),
        ("Zoë 銀行", "Zoë 銀行"),
    ],
)
def test_what_hides_is_written_out(text: str, plain: str) -> None:
    assert plain_text(text) == plain


@given(st.text(max_size=600), st.booleans())
def test_plain_text_is_bounded_visible_and_on_one_line(text: str, ascii_only: bool) -> None:
    plain = plain_text(text, longest=50, ascii_only=ascii_only)
    assert len(plain) <= 50 + len("… (600 more)")
    assert all(unicodedata.category(character) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for character in plain)
    assert len(plain.splitlines()) <= 1


@given(st.text(max_size=8), st.text(max_size=8))
def test_escaping_never_makes_two_texts_look_alike(one: str, other: str) -> None:
    assert (plain_text(one) == plain_text(other)) == (one == other)


def test_a_lying_token_symbol_is_bounded_and_ascii() -> None:
    asset = Asset("ethereum", "eip155:1", "USDС" + "X" * 10**6, 77, "0x" + "00" * 20)  # Cyrillic С
    text = amount_text(1, asset)
    assert r"USD\u0421" in text
    assert len(text) < 150


def test_columns_line_up_with_wide_letters() -> None:
    assert text_width("銀行") == 4
    assert text_width("e\u0301") == 1


@given(st.text(max_size=80), st.text(max_size=80))
def test_no_text_in_a_review_can_add_a_line(to: str, label: str) -> None:
    coin = Asset("bitcoin", "main", "BTC", 8)
    from bursar.policy.review import Review

    review = Review("bitcoin", "main", to, (Payment(coin, to, 1, label),), (), 1, 1, coin, to, extra={"note": label})
    lines = review_text(review).split("\n")
    assert len(lines) == len(review_text(review).splitlines()) + 1
    assert len(lines) <= 17
