from __future__ import annotations

from datetime import timedelta

import pytest

from fastopp.features.accounts.lockout import (
    FORGOTTEN_AFTER,
    LONGEST_LOCK,
    MAX_SUBJECT,
    TooManyAttempts,
    account_subject,
    address_subject,
    lock_duration,
)


@pytest.mark.parametrize(
    ("failures", "seconds"),
    [(0, 0), (4, 0), (5, 30), (6, 60), (7, 120), (8, 240), (9, 480), (10, 900), (11, 900), (10**9, 900)],
)
def test_locks_double_up_to_a_quarter_of_an_hour(failures: int, seconds: int) -> None:
    assert lock_duration(failures, 5) == timedelta(seconds=seconds)


def test_a_lock_ends_before_its_count_is_forgotten() -> None:
    assert LONGEST_LOCK < FORGOTTEN_AFTER


def test_subjects_do_not_depend_on_letter_case() -> None:
    assert account_subject("Ann@Example.COM") == account_subject("ann@example.com")
    assert account_subject("ann@example.com").name == "account:ann@example.com"
    assert address_subject("::1").name == "address:::1"
    assert address_subject("::1", purpose="emergency") != address_subject("::1")


@pytest.mark.parametrize("email", ["x" * 500, "nul\0", "line\n", "\ud800"])
def test_what_the_column_cannot_hold_is_stored_as_a_digest(email: str) -> None:
    subject = account_subject(email)
    assert len(subject.name) <= MAX_SUBJECT
    assert subject.name.isprintable()
    assert subject == account_subject(email)
    assert subject != account_subject(email + "x")


@pytest.mark.parametrize(
    ("wait", "header", "words"),
    [
        (timedelta(milliseconds=1), "1", "a second"),
        (timedelta(seconds=29.5), "30", "30 seconds"),
        (timedelta(seconds=59.5), "60", "a minute"),
        (timedelta(minutes=15), "900", "15 minutes"),
    ],
)
def test_too_many_attempts_says_when_to_come_back(wait: timedelta, header: str, words: str) -> None:
    error = TooManyAttempts(wait)
    assert error.status == 429
    assert error.headers == {"Retry-After": header}
    assert str(error) == f"Too many failed attempts. Try again in {words}."
