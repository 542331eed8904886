"""The pytest plugin, as a third party meets it: a device of its own in a manifest of its own."""

from __future__ import annotations

from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HERE = Path(__file__).parent
MANIFEST = """
version = 1
[[device]]
name = "paper"
family = "paper"
model = "A4"
kind = "simulator"
capabilities = ["bitcoin", "colour"]
make = "paper_device:PaperDevice"
[device.with.colour]
ink = "red"
[[device]]
name = "cardboard"
family = "paper"
model = "B1"
kind = "emulator"
capabilities = ["bitcoin"]
make = "paper_device:WatchedDevice"
[[device]]
name = "parchment"
family = "paper"
model = "P0"
kind = "emulator"
capabilities = ["bitcoin"]
make = "paper_device:PaperDevice"
binary_env = "PARCHMENT_IMAGE"
"""
TESTS = """
import pytest
from bursar_devices.device import Page
from bursar_devices.humans import approve, reject

def test_pages(bench_device, attend, golden):
    with attend(approve()) as pages:
        assert bench_device.show(Page("Amount", ("1 BTC",)), Page("Sign transaction"))
    golden(pages)

@pytest.mark.needs("bitcoin")
@pytest.mark.needs("colour")
def test_colour(bench_device):
    assert bench_device.ink == "red"

def test_two(make_device, device_spec):
    assert make_device() is not make_device()

def test_without_a_device():
    pass
"""


@pytest.fixture
def bench(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    monkeypatch.delenv("PARCHMENT_IMAGE", raising=False)
    monkeypatch.delenv("BURSAR_DEVICES_MANIFEST", raising=False)
    pytester.syspathinsert(HERE)
    pytester.makefile(".toml", devices=MANIFEST)
    without = " ".join(f"-p no:{name}" for name in ("cacheprovider", "xdist", "cov", "timeout", "hypothesispytest"))
    pytester.makeini(f"[pytest]\naddopts = --strict-markers --strict-config {without}\nfilterwarnings = error")
    pytester.makepyfile(TESTS)
    return pytester


def run(bench: pytest.Pytester, *words: str) -> pytest.RunResult:
    return bench.runpytest_inprocess("-ra", "--bench-manifest", "devices.toml", *words)


def test_each_device_named_runs_each_test(bench: pytest.Pytester) -> None:
    run(bench, "--device", "paper,cardboard", "--update-golden").assert_outcomes(passed=6, skipped=1)
    again = run(bench, "--device", "paper,cardboard", "-v")
    again.assert_outcomes(passed=6, skipped=1)
    again.stdout.fnmatch_lines(["*test_pages?paper?*", "*cardboard (B1) has no colour*"])
    golden = bench.path / "golden" / "paper-B1" / "test_pages.txt"
    assert golden.read_text() == "== Amount\n1 BTC\n\n== Sign transaction\n"
    golden.write_text("== Amount\n2 BTC\n\n== Sign transaction\n")
    changed = run(bench, "--device", "cardboard", "-k", "pages")
    changed.assert_outcomes(failed=1)
    changed.stdout.fnmatch_lines(["*--update-golden accepts them*", "*-2 BTC", "*+1 BTC"])


def test_a_missing_golden_file_is_told(bench: pytest.Pytester) -> None:
    result = run(bench, "--device", "paper", "-k", "pages")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*run once with --update-golden*"])


def test_absent_firmware_skips(bench: pytest.Pytester) -> None:
    result = run(bench, "--device", "parchment", "-k", "two or without")
    result.assert_outcomes(passed=1, skipped=1)
    result.stdout.fnmatch_lines(["*set PARCHMENT_IMAGE to the vendor's file*"])


def test_our_simulators_are_the_default(bench: pytest.Pytester) -> None:
    result = bench.runpytest_inprocess("--collect-only", "-q")
    result.stdout.fnmatch_lines(["*test_two?trezor-simulator?", "*test_two?ledger-simulator?"])
    found = run(bench, "--device", "simulators", "--collect-only", "-q")
    found.stdout.fnmatch_lines(["*test_two?paper?"])


@pytest.mark.parametrize(
    ("words", "told"),
    [(["--device", "abacus"], "*there is no 'abacus'*"), (["--bench-manifest", "gone.toml"], "*cannot be read*")],
)
def test_mistakes_in_the_options(bench: pytest.Pytester, words: list[str], told: str) -> None:
    result = run(bench, *words)
    assert result.ret != 0
    (result.stderr if any("--device" in line for line in result.stderr.lines) else result.stdout).fnmatch_lines([told])


def test_the_plugin_imports_nothing_that_coverage_must_see() -> None:
    import subprocess
    import sys

    code = "import sys, bursar_devices.plugin; print([m for m in sys.modules if m.split('.')[0] == 'bursar'])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"
