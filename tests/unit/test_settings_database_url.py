from __future__ import annotations

import dataclasses
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastopp.settings.database_url import DatabaseURL, DatabaseURLError, Host

HOST = (Host("db.example.com", 5432),)


@pytest.mark.parametrize(
    ("scheme", "driver"),
    [
        ("postgres", "psycopg"),
        ("postgresql", "psycopg"),
        ("POSTGRESQL", "psycopg"),
        ("postgresql+psycopg", "psycopg"),
        ("postgresql+psycopg2", "psycopg"),
        ("postgresql+psycopg_async", "psycopg"),
        ("postgres+asyncpg", "asyncpg"),
        ("postgresql+asyncpg", "asyncpg"),
    ],
)
def test_every_scheme_means_one_of_two_drivers(scheme: str, driver: str) -> None:
    url = DatabaseURL.parse(f"{scheme}://user:secret@db.example.com/shop")

    assert (url.backend, url.driver, url.hosts, url.user, url.password, url.database) == (
        "postgresql", driver, HOST, "user", "secret", "shop",
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "path"),
    [
        ("sqlite:///x.db", "x.db"),
        ("sqlite+aiosqlite:///./test.db", "./test.db"),
        ("sqlite+pysqlite:///test.db?check_same_thread=False", "test.db"),
        ("sqlite:////data/test.db", "/data/test.db"),
    ],
)
def test_sqlite(text: str, path: str) -> None:
    url = DatabaseURL.parse(text, require_tls=True)

    assert (url.backend, url.driver, url.database, dict(url.query)) == ("sqlite", "aiosqlite", path, {})
    assert url.masked == url.plain == f"sqlite:///{path}"


@pytest.mark.parametrize(
    ("place", "hosts"),
    [
        ("db.example.com:6438", (Host("db.example.com", 6438),)),
        ("10.0.0.1", (Host("10.0.0.1"),)),
        ("[::1]", (Host("::1"),)),
        ("[2001:db8::7]:6432", (Host("2001:db8::7", 6432),)),
        ("[fe80::1%25eth0]:6432", (Host("fe80::1%eth0", 6432),)),
        ("%2Fvar%2Frun%2Fpostgresql", (Host("/var/run/postgresql"),)),
        ("%2Ftmp:6432", (Host("/tmp", 6432),)),
        ("one:5433,two", (Host("one", 5433), Host("two"))),
        ("", (Host(None),)),
    ],
)
def test_places(place: str, hosts: tuple[Host, ...]) -> None:
    url = DatabaseURL.parse(f"postgresql://user:secret@{place}/shop")

    assert url.hosts == hosts
    assert DatabaseURL.parse(url.plain) == url


@pytest.mark.parametrize(
    ("query", "hosts"),
    [
        ("host=/var/run/postgresql", (Host("/var/run/postgresql"),)),
        ("host=/tmp&port=6432", (Host("/tmp", 6432),)),
        ("host=other", (Host("other"),)),
        ("host=one,two&port=1,2", (Host("one", 1), Host("two", 2))),
        ("host=one:1&host=two:2", (Host("one", 1), Host("two", 2))),
        ("host=::1", (Host("::1"),)),
    ],
)
def test_places_as_parameters(query: str, hosts: tuple[Host, ...]) -> None:
    assert DatabaseURL.parse(f"postgresql://user:secret@/shop?{query}").hosts == hosts


def test_login_and_database_as_parameters() -> None:
    url = DatabaseURL.parse("postgresql://db.example.com?user=me&password=se%40cret&dbname=shop")

    assert (url.user, url.password, url.database, dict(url.query)) == ("me", "se@cret", "shop", {})


@pytest.mark.parametrize(
    ("written", "password"),
    [
        ("p%40s%3As%2Fw%25%2B", "p@s:s/w%+"),
        ("p@ss", "p@ss"),
        ("a:b", "a:b"),
        ("a/b", "a/b"),
        ("a?b#c", "a?b#c"),
        ("12/34", "12/34"),
        ("12?34=x", "12?34=x"),
        ("50%off", "50%off"),
        ("a+b", "a+b"),
        ("p@ss:w/rd%+?#", "p@ss:w/rd%+?#"),
        ("", ""),
    ],
)
@pytest.mark.parametrize("scheme", ["postgresql", "postgresql+psycopg2"])
def test_passwords_encoded_and_raw(scheme: str, written: str, password: str) -> None:
    url = DatabaseURL.parse(f"{scheme}://user:{written}@db.example.com:5432/shop?sslmode=require")

    assert (url.user, url.password, url.hosts, url.database) == ("user", password, HOST, "shop")


@given(st.text(min_size=1), st.text(min_size=1), st.text(min_size=1))
def test_what_is_percent_encoded_comes_back(user: str, password: str, database: str) -> None:
    text = "postgresql://{}:{}@db.example.com/{}".format(*(quote(part, safe="") for part in (user, password, database)))

    url = DatabaseURL.parse(text)

    assert (url.user, url.password, url.database) == (user, password, database)
    assert DatabaseURL.parse(url.plain) == url


@given(
    st.text(alphabet="abc019@:/?#&=%[]+,. ", min_size=8, max_size=20),
    st.sampled_from(["@h/d", "@h/d?bad=1", "@h:port/d"]),
)
def test_no_error_and_no_representation_repeats_the_password(password: str, rest: str) -> None:
    secret = f"{password}Zq7"
    try:
        url = DatabaseURL.parse(f"postgresql://user:{secret}{rest}")
    except DatabaseURLError as error:
        shown = f"{error}{error.__cause__ or ''}"
    else:
        shown = f"{url}{url!r}" if url.password else ""
    assert "Zq7" not in shown


def test_a_password_that_can_be_read_in_two_ways_is_an_error() -> None:
    with pytest.raises(DatabaseURLError, match="Percent-encode each character of the password"):
        DatabaseURL.parse("postgresql://user:a/b@c@db.example.com/shop?application_name=x@y")


@pytest.mark.parametrize("around", [" {} ", "'{}'", '"{}"', "{}\n", "`{}`"])
def test_what_copying_leaves_around_is_dropped(around: str) -> None:
    assert DatabaseURL.parse(around.format("postgres://u:p@db.example.com/d")).hosts == HOST


@pytest.mark.parametrize(
    ("query", "mode"),
    [
        *((f"?sslmode={mode}", mode) for mode in ("disable", "allow", "prefer", "require", "verify-ca", "verify-full")),
        ("?ssl=require", "require"),
        ("?ssl=true", "require"),
        ("?ssl=false", "disable"),
        ("?sslrootcert=system", "verify-full"),
        ("", "require"),
    ],
)
def test_tls_is_required_only_where_the_url_does_not_say(query: str, mode: str) -> None:
    text = f"postgresql://u:p@127.0.0.1/d{query}"

    assert DatabaseURL.parse(text, require_tls=True).query["sslmode"] == mode
    assert DatabaseURL.parse(text).query.get("sslmode") == (mode if query else None)


def test_a_unix_socket_needs_no_tls() -> None:
    assert "sslmode" not in DatabaseURL.parse("postgresql:///d?host=/tmp", require_tls=True).query


def test_a_blank_as_plus_is_sqlalchemys_and_not_libpqs() -> None:
    query = "?options=-c+search_path%3Dshop"

    assert DatabaseURL.parse(f"postgresql+psycopg2://h/d{query}").query["options"] == "-c search_path=shop"
    assert DatabaseURL.parse(f"postgresql://h/d{query}").query["options"] == "-c+search_path=shop"


def test_settings_for_poolers_are_accepted_since_they_always_hold() -> None:
    query = "prepared_statement_cache_size=0&statement_cache_size=0&prepare_threshold=0&pgbouncer=true"

    assert not DatabaseURL.parse(f"postgresql://h/d?{query}").query


KEYWORDS = "host=db.example.com port=6438 user=me password={} dbname=app sslmode=require"
DOTNET = "Host=db.example.com;Port=6438;Username=me;Password={};Database=app;SSL Mode=Require"


@pytest.mark.parametrize(
    ("text", "password"),
    [
        (KEYWORDS.format("p=w;x"), "p=w;x"),
        (KEYWORDS.format(r"'it\'s a \\'"), "it's a \\"),
        (KEYWORDS.format(r"a\ b"), "a b"),
        ("sslmode = require\nusername = me\nhost = db.example.com\nport = 6438\ndatabase = app\npassword = 'a'", "a"),
        (f'psql "{KEYWORDS.format("secret")}"', "secret"),
        (DOTNET.format("p=w/x"), "p=w/x"),
        (DOTNET.format('"a;""b"') + ";", 'a;"b'),
        (DOTNET.format("'a;''b'") + ";Pooling=true;Trust Server Certificate=true", "a;'b"),
        (DOTNET.format("x").replace("Host", "Server").replace("Username", "User Id"), "x"),
        ("psql 'postgresql://me:secret@db.example.com:6438/app?sslmode=require'", "secret"),
        ("psql postgresql://me:secret@db.example.com:6438/app?sslmode=require", "secret"),
        ('DATABASE_URL="postgres://me:secret@db.example.com:6438/app?sslmode=require"', "secret"),
        ("export PG_URL=postgres://me:secret@db.example.com:6438/app?sslmode=no-verify", "secret"),
        ("jdbc:postgresql://db.example.com:6438/app?user=me&password=secret&ssl=true", "secret"),
    ],
)
def test_other_forms_that_dashboards_show(text: str, password: str) -> None:
    url = DatabaseURL.parse(text)
    assert str(url) == "postgresql://me:***@db.example.com:6438/app?sslmode=require"
    assert url.password == password


@pytest.mark.parametrize(
    "query",
    [
        "pgbouncer=true&connection_limit=1",
        "pgbouncer=true&pool_timeout=10",
        "schema=public",
        "supa=base-pooler.x",
        "workaround=supabase-pooler.vercel",
        "uselibpqcompat=true",
        "pool_max_conns=10&default_query_exec_mode=simple_protocol",
        "prepareThreshold=0&currentSchema=public",
        "pool=5&prepared_statements=false",
    ],
)
def test_parameters_for_other_programs_are_dropped(query: str) -> None:
    assert DatabaseURL.parse(f"postgresql://h/d?sslmode=require&{query}").query == {"sslmode": "require"}


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("host=h password=hush hush dbname=d", "keyword string"),
        ("host=h password=hush hush=hush dbname=d", "keyword string"),
        ("host=h password='hush", "keyword string"),
        ("Host=h;Password=x;hush=1", "connection string"),
        ("PGPASSWORD=hush psql -h h -U u d", "command for psql"),
    ],
)
def test_another_form_that_cannot_be_read_is_refused_with_the_form_of_a_url(text: str, shown: str) -> None:
    with pytest.raises(DatabaseURLError, match=shown) as caught:
        DatabaseURL.parse(text)
    assert "postgresql://user:password@host:5432/database" in (caught.value.hint or "")
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is empty"),
        ("postgresql://u:p@h/app&sslmode=require", "begin with & instead of ?"),
        ("postgresql://u:p@h/app?schema=shop", "schema is not supported"),
        ("   ", "is empty"),
        ("test.db", "does not start with"),
        ("mysql://u:p@h/d", "mysql"),
        ("mongodb+srv://u:p@h/d", "mongodb"),
        ("sqlite://", "in memory"),
        ("sqlite:///:memory:", "in memory"),
        ("sqlite://test.db", "three slashes"),
        ("sqlite:///test.db?mode=ro", "parameter mode is unknown"),
        ("sqlite+pysqlcipher:///x", "pysqlcipher"),
        ("postgresql+pg8000://u:p@h/d", "pg8000"),
        ("postgresql://u:p@h:99999/d", "port is not a number"),
        ("postgresql://u:p@h:0/d", "port is not a number"),
        ("postgresql://u:p@h:port/d", "password"),
        ("postgresql://h:port/d", "host, port or parameters are invalid"),
        ("postgresql://u:p@h/d?port=1,2", "1 host"),
        ("postgresql://u:p@h/d?sslmod=require", "Did you mean sslmode"),
        ("postgresql://u:p@h/d?sslmode=on", "Use one of disable, allow"),
        ("postgresql://u:p@h/d?connect_timeout=soon", "connect_timeout is not a whole number"),
        ("postgresql://u:p@h/d?target_session_attrs=master", "target_session_attrs"),
        ("postgresql://u:p@h/d?sslrootcert=system&sslmode=require", "needs sslmode=verify-full"),
        ("postgresql://u:p@h/d e", "blank"),
    ],
)
def test_mistakes_say_what_is_wrong_and_how_to_fix_it(text: str, message: str) -> None:
    with pytest.raises(DatabaseURLError, match=message) as caught:
        DatabaseURL.parse(text)

    assert caught.value.hint


def test_masked_shows_everything_but_secrets() -> None:
    url = DatabaseURL.parse("postgresql+asyncpg://me:secret@h:6438/d?sslpassword=hush&sslmode=require")

    assert str(url) == "postgresql+asyncpg://me:***@h:6438/d?sslpassword=***&sslmode=require"
    assert "secret" not in repr(url)
    assert "hush" not in repr(url)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://u:hush-hush@h/d",
        "postgresql+asyncpg://u:hush-hush@h/d",
        "postgresql://u@h/d?password=hush-hush",
        "postgresql://u:p@h/d?sslpassword=hush-hush",
    ],
)
def test_nothing_that_lists_attributes_shows_a_secret(text: str) -> None:
    url = DatabaseURL.parse(text)
    shown = [repr(url), str(url), repr(vars(url))]
    shown += [repr(getattr(url, item.name)) for item in dataclasses.fields(url)]
    assert not [each for each in shown if "hush-hush" in each]
    assert "hush-hush" in (url.password, url.query.get("sslpassword"))
    assert url == DatabaseURL.parse(text)
    assert url != DatabaseURL.parse(text.replace("hush-hush", "other"))
