from __future__ import annotations

import json
import uuid
from datetime import UTC, datetime

from fastopp.features.accounts.audit import MAX_VALUE, describe


def test_secrets_are_masked() -> None:
    text = describe(
        {
            "email": ["a@example.com", "b@example.com"],
            "hashed_password": ["$argon2id$old", "$argon2id$new"],
            "Password": "secret123",
            "api_key": "key123",
            "nested": {"access_token": "abc", "plain": 1},
        }
    )
    assert json.loads(text) == {
        "email": ["a@example.com", "b@example.com"],
        "hashed_password": "***",
        "Password": "***",
        "api_key": "***",
        "nested": {"access_token": "***", "plain": 1},
    }


def test_any_value_becomes_text() -> None:
    key, moment = uuid.uuid4(), datetime(2026, 1, 2, tzinfo=UTC)
    changes = json.loads(describe({"id": key, "at": moment, "on": True, "n": None, "long": "x" * (MAX_VALUE + 9)}))
    assert changes["id"] == str(key)
    assert changes["at"] == "2026-01-02 00:00:00+00:00"
    assert changes["on"] is True
    assert changes["n"] is None
    assert changes["long"] == "x" * MAX_VALUE + "…"
