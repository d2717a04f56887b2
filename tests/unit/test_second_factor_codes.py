"""Codes, against the vectors of the RFC; and recovery codes."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

import pytest

from fastopp.features.second_factor.codes import (
    address_of,
    as_text,
    clean,
    code_at,
    digest_of,
    is_app_code,
    matching_step,
    new_recovery_codes,
    new_secret,
)

RFC = b"12345678901234567890"


@pytest.mark.parametrize(
    ("moment", "code"),  # RFC 6238, appendix B, the last six digits
    [(59, "287082"), (1111111109, "081804"), (1111111111, "050471"), (1234567890, "005924"), (20000000000, "353130")],
)
def test_the_vectors_of_the_rfc(moment: int, code: str) -> None:
    assert code_at(RFC, moment // 30) == code
    assert matching_step(RFC, code, moment) == moment // 30


def test_a_step_off_is_accepted_and_two_are_not() -> None:
    code = code_at(RFC, 1000)
    found = [matching_step(RFC, code, step * 30 + 15) for step in range(998, 1003)]
    assert found == [None, 1000, 1000, 1000, None]
    assert matching_step(RFC, code_at(RFC, 0), 0.0) == 0


@pytest.mark.parametrize(
    "typed", ["28708", "2870821", "\u0662\u0668\u0667\u0660\u0668\u0662", "28708\uff12", "", "abcdef"]
)
def test_no_code_of_an_app(typed: str) -> None:
    assert not is_app_code(clean(typed))


def test_a_code_as_people_type_it() -> None:
    assert clean(" 287 082 ") == "287082"
    assert digest_of("abcd-efgh ijkl-mnop") == digest_of("ABCDEFGHIJKLMNOP")


def test_recovery_codes() -> None:
    codes = new_recovery_codes()
    assert len(set(codes)) == 10
    assert all(re.fullmatch(r"(?:[A-Z2-7]{4}-){3}[A-Z2-7]{4}", code) for code in codes)
    assert not any(is_app_code(clean(code)) for code in codes)


def test_the_address_in_the_qr_code() -> None:
    secret = new_secret()
    parts = urlsplit(address_of(secret, "a+b@example.com", "Shop & Söhne"))
    assert (parts.scheme, parts.netloc, parts.path) == ("otpauth", "totp", "/Shop%20%26%20S%C3%B6hne:a%2Bb@example.com")
    assert parse_qs(parts.query) == {"secret": [as_text(secret)], "issuer": ["Shop & Söhne"]}
    assert "+" not in parts.query
