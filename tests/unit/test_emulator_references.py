"""Variables that refer to the services' addresses by name."""

from __future__ import annotations

import pytest

from leapcell_emulator.references import UnknownReference, known_names, resolve

SERVICES = {
    "DATABASE_URL": "postgresql://ada:s3cret@localhost:6438/shop?sslmode=require",
    "REDIS_URL": "rediss://default:pass@127.0.0.1:6379",
    "S3_ENDPOINT_URL": "http://127.0.0.1:9000",
    "S3_BUCKET": "photos",
    "LEAPCELL_ASYNC_URL": "http://127.0.0.1:8081",
}


def one(value: str) -> str:
    return resolve({"X": value}, SERVICES)[0]["X"]


def test_the_names() -> None:
    names = known_names(SERVICES)
    assert {name: value for name, value in names.items() if name not in SERVICES} == {
        "DATABASE_HOST": "localhost",
        "DATABASE_PORT": "6438",
        "DATABASE_USER": "ada",
        "DATABASE_PASSWORD": "s3cret",
        "DATABASE_NAME": "shop",
        "REDIS_HOST": "127.0.0.1",
        "REDIS_PORT": "6379",
        "REDIS_USER": "default",
        "REDIS_PASSWORD": "pass",
        "S3_HOST": "127.0.0.1",
        "S3_PORT": "9000",
    }
    assert known_names({}) == {}


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${DATABASE_URL}", SERVICES["DATABASE_URL"]),
        ("${DATABASE_HOST}:${DATABASE_PORT}", "localhost:6438"),
        ("${DATABASE_URL:postgresql+psycopg}", "postgresql+psycopg://ada:s3cret@localhost:6438/shop?sslmode=require"),
        ("${DATABASE_URL:postgresql+asyncpg}", "postgresql+asyncpg://ada:s3cret@localhost:6438/shop?ssl=require"),
        ("${REDIS_URL:redis}/0", "redis://default:pass@127.0.0.1:6379/0"),
        ("$${DATABASE_URL} $HOME ${} ${1}", "${DATABASE_URL} $HOME ${} ${1}"),
        ("plain", "plain"),
    ],
)
def test_a_reference_is_replaced(written: str, value: str) -> None:
    assert one(written) == value


def test_which_variables_refer() -> None:
    variables = {"A": "${S3_BUCKET}", "B": "b", "C": "$${S3_BUCKET}"}
    assert resolve(variables, SERVICES) == ({"A": "photos", "B": "b", "C": "${S3_BUCKET}"}, ["A"])


@pytest.mark.parametrize(
    ("written", "services", "hint"),
    [
        ("${DATABASE_HOSTS}", SERVICES, "Did you mean ${DATABASE_HOST}?"),
        ("${DATABSE_URL}", SERVICES, "Did you mean ${DATABASE_URL}?"),
        ("${ZZ}", SERVICES, "There are DATABASE_HOST, DATABASE_NAME,"),
        ("${REDIS_URL}", {}, "It is Redis's, which does not run: use --redis."),
        ("${DATABASE_URL}", {}, "which does not run: leave out --no-database."),
        ("${S3_BUCKET:http}", SERVICES, "Write ${S3_BUCKET}."),
    ],
)
def test_an_unknown_one_is_refused(written: str, services: dict[str, str], hint: str) -> None:
    with pytest.raises(UnknownReference, match="X refers to") as refused:
        resolve({"X": written}, services)
    assert hint in (refused.value.hint or "")
    assert "s3cret" not in str(refused.value)
