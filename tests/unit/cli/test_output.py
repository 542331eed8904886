"""Output: one JSON document or words, never both; tables for terminals and for pipes."""

from __future__ import annotations

import json

import pytest

from bursar.cli.output import Output, error_document


def test_json_prints_the_document_and_no_words(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=True)
    output.say("for a person")
    output.answer({"amount": 10**30, "name": "ü"}, lambda: pytest.fail("words were asked for"))
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"amount": 10**30, "name": "ü"}
    assert shown.isascii()


def test_words_print_no_json(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(json=False)
    output.answer({"a": 1}, lambda: output.say("one"))
    assert capsys.readouterr().out == "one\n"


def test_a_table_in_a_pipe_is_tab_separated(capsys: pytest.CaptureFixture[str]) -> None:
    Output(json=False).table(("name", "amount"), [("a", "1 BTC"), ("b", "[red]2 BTC")], numbers=("amount",))
    assert capsys.readouterr().out == "name\tamount\na\t1 BTC\nb\t[red]2 BTC\n"


def test_a_table_on_a_terminal_is_drawn(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    Output(json=False).table(("name", "amount"), [("[b]a", "1 BTC")], numbers=("amount",))
    shown = capsys.readouterr().out
    assert "─" in shown
    assert "[b]a" in shown  # nothing in a cell is taken for markup


def test_progress_is_silent_without_a_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with Output(json=False).progress("mining") as more:
        more("block 3")
    captured = capsys.readouterr()
    assert captured.out == captured.err == ""


def test_a_notice_stands_above_the_progress(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    output = Output(json=False)
    with output.progress("signing"):
        output.aside("Confirm on the [device]")
    output.aside("afterwards")
    lines = capsys.readouterr().err.splitlines()
    assert any(line.endswith("Confirm on the [device]") and "signing" not in line for line in lines)
    assert lines[-1].endswith("afterwards")


def test_error_document_has_one_shape() -> None:
    assert error_document("a.b", "no") == {"error": {"code": "a.b", "message": "no", "retryable": False}}
    assert error_document("a", "no", retryable=True, needed=5)["error"] == {
        "code": "a",
        "message": "no",
        "retryable": True,
        "details": {"needed": 5},
    }
