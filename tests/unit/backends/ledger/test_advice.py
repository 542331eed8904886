from __future__ import annotations

import pytest

from bursar.backends.ledger.advice import check_feature, knowledge, notices
from bursar.backends.ledger.dashboard import AppInfo
from bursar.errors import SignerError
from bursar.signing.firmware import FirmwareLevel


def app(name: str, version: str) -> AppInfo:
    return AppInfo(name, version, b"\0")


def test_the_newest_versions_known_have_nothing_against_them() -> None:
    assert knowledge().vendor == "Ledger"
    features = ("message", "miniscript", "taproot-scripts", "musig", "contract-call", "typed-data", "typed-transaction")
    for name, version in (("Bitcoin", "2.4.6"), ("Bitcoin Test", "2.4.6"), ("Ethereum", "1.22.0")):
        assert notices(app(name, version), *features) == ()


def test_an_unknown_newer_version_is_a_warning() -> None:
    (notice,) = notices(app("Bitcoin", "2.5.0"))
    assert notice.level is FirmwareLevel.WARN
    assert "newer than 2.4.6" in notice.text


@pytest.mark.parametrize(
    ("name", "version", "feature", "words"),
    [
        ("Bitcoin", "2.0.6", "any", "before wallet policies"),
        ("Bitcoin", "1.4.5", "any", "other coins"),
        ("Bitcoin", "2.1.1", "miniscript-a", "fragment a:"),
        ("Bitcoin", "2.2.0", "taproot-scripts-other-branches", "wrong leaf hashes"),
        ("Bitcoin Test", "2.4.0", "musig", "musig"),
        ("Ethereum", "1.21.3", "contract-call", "blind signing"),
        ("Ethereum", "1.21.3", "typed-data", "hashes some typed data"),
        ("Ethereum", "1.8.8", "typed-transaction", "EIP-1559"),
    ],
)
def test_known_faults_are_refused_with_the_remedy(name: str, version: str, feature: str, words: str) -> None:
    with pytest.raises(SignerError, match=words) as caught:
        check_feature(app(name, version), feature)
    assert caught.value.code == "signer.firmware"
    assert "update the app" in caught.value.message


def test_a_doubtful_feature_is_a_warning_of_its_own() -> None:
    (notice,) = check_feature(app("Bitcoin", "2.2.4"), "message")
    assert "some lengths" in notice.text
    assert check_feature(app("Bitcoin", "2.3.0"), "message") == ()
    assert check_feature(app("Bitcoin", "9.9.9"), "message") == ()  # the warning about the version was given before
