from __future__ import annotations

import pytest
from pydantic import TypeAdapter, ValidationError

from fastopp.web.forms import CleanText, EmailText


def test_text_with_line_breaks_is_kept_and_with_nul_refused() -> None:
    text = TypeAdapter(CleanText)

    assert text.validate_python("two\nlines\n") == "two\nlines\n"
    with pytest.raises(ValidationError):
        text.validate_python("a\x00b")


@pytest.mark.parametrize("address", ["A.B+c@Example.com", "o'hara@mail.example.co.uk"])
def test_addresses_become_lower_case(address: str) -> None:
    assert TypeAdapter(EmailText).validate_python(address) == address.lower()


@pytest.mark.parametrize(
    "address", ["", "a", "a@b", "a b@example.com", "a@exa mple.com", "a@b@example.com", "a\x00@b.c"]
)
def test_what_is_no_address_is_refused(address: str) -> None:
    with pytest.raises(ValidationError):
        TypeAdapter(EmailText).validate_python(address)
