"""What goes wrong on servers, done to a running project: it says so, hangs nowhere, and comes back by itself."""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import sqlite3
import subprocess
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import psycopg
import pytest
from PIL import Image

from tests.gate import full, only_full
from tests.services.front import BlackHole, Front, Network
from tests.services.postgres import ENCODED_PASSWORD, USER, Postgres
from tests.services.site import ROOT, Site, copy_project, start_command, succeed

HTML = {"accept": "text/html"}
DB_TIMEOUT = 2  # seconds that a request waits for a connection
LIMIT = 10  # seconds, far above any time limit of the application's: beyond it, it hangs

CACHED = ("/database-demo", "/webinar-demo")  # for visitors
PAGES = ("/", "/database-demo", "/webinar-demo")
SEEDED = {"users": 8, "products": 8, "webinar_registrants": 13}
PHOTOS = 5  # as many sample registrants have one


def photo(colour: str, size: tuple[int, int] = (40, 30)) -> bytes:
    buffer = BytesIO()
    Image.new("RGB", size, colour).save(buffer, "JPEG")
    return buffer.getvalue()


def noise(pixels: int) -> bytes:
    """A picture that no encoder makes small."""
    buffer = BytesIO()
    Image.frombytes("RGB", (pixels, pixels), random.Random(1).randbytes(pixels * pixels * 3)).save(buffer, "PNG")
    return buffer.getvalue()


def sqlite(project: Path, query: str, *values: Any) -> list[Any]:
    with closing(sqlite3.connect(project / "test.db")) as connection, connection:
        return connection.execute(query, values).fetchall()


def counts(run: Callable[[str], list[Any]]) -> dict[str, int]:
    return {table: run(f"select count(*) from {table}")[0][0] for table in SEEDED}


def stored(upload_dir: Path) -> list[Path]:
    return sorted(path for path in (upload_dir / "photos").rglob("*") if path.is_file())


def two_hours_pass(upload_dir: Path, run: Callable[[str], object]) -> None:
    """Make files and the evidence against them old: what a kill leaves goes with the first init that finds it so.

    A younger one may belong to an upload that goes on.
    """
    for path in stored(upload_dir):
        os.utime(path, (time.time() - 7200,) * 2)
    run("update file_evidence set due = '2026-01-01 00:00:00.000000'")


def assert_files_fit(upload_dir: Path, urls: list[str]) -> None:
    """Every photo of the database is a whole picture, and there is no other file."""
    assert sorted(path.name for path in stored(upload_dir)) == sorted(url.rpartition("/")[2] for url in urls)
    for path in stored(upload_dir):
        Image.open(path).load()


def urls_of(project: Path) -> list[str]:
    return [row[0] for row in sqlite(project, "select photo_url from webinar_registrants where photo_url is not null")]


def someone(client: httpx.Client, index: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = client.get("/api/registrants").json()["registrants"][index]
    return found


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return copy_project(tmp_path / "project")


@pytest.fixture
def seeded(project: Path, seeded_project: Path) -> Path:
    """A project of the test's own, with sample data."""
    with (
        closing(sqlite3.connect(seeded_project / "test.db")) as source,
        closing(sqlite3.connect(project / "test.db")) as copy,
    ):
        source.backup(copy)
    shutil.copytree(seeded_project / "static", project / "static", dirs_exist_ok=True)
    return project


@pytest.fixture
def local_postgres(postgres_url: str) -> dict[str, str]:
    return {"DATABASE_URL": postgres_url, "DB_TIMEOUT": str(DB_TIMEOUT)}


def assert_down(site: Site, *, database: str | None = None) -> None:
    """Pages say that the database is away, within their limit; liveness knows nothing of it."""
    with site.client() as client:
        assert client.get("/healthz").status_code == 200
        for page in PAGES:
            began = time.monotonic()
            answer = client.get(page, headers=HTML)
            assert time.monotonic() - began < LIMIT, page
            if page in CACHED and "hit" in answer.headers.get("cache-status", ""):
                assert answer.status_code == 200, page  # as it was before the outage
                continue
            assert answer.status_code == (200 if page == "/" else 503), page
            assert "database" in answer.text.lower(), page
            assert "Traceback" not in answer.text, page
        api = client.get("/api/webinar-attendees")
        assert api.status_code == 503
        assert api.headers["content-type"] == "application/problem+json"
        assert api.headers["retry-after"]
        assert client.get("/api/products").status_code == 503
        for path in ("/debug/connection", "/debug/database", "/debug/database-data"):
            assert client.get(path).status_code == 503, path
        sign_in = client.post("/login", data={"username": "a@b.c", "password": "x"}, headers=HTML)
        assert sign_in.status_code == 503
        health = health_once_it_is(503, client)
        assert health.json()["checks"]["database"]["status"] == "unhealthy"
        status = client.get("/database-status", headers=HTML)
        assert status.status_code in (200, 503)
        assert "unhandled error" not in site.log
    assert "Traceback" not in site.log


def health_once_it_is(status: int, client: httpx.Client) -> httpx.Response:
    """The answer of /health, which may be a second old at first."""
    end = time.monotonic() + LIMIT
    while (health := client.get("/health")).status_code != status:
        assert time.monotonic() < end, health.text
        time.sleep(0.05)
    return health


def assert_up(site: Site) -> None:
    with site.client() as client:
        for page in PAGES:
            assert client.get(page, headers=HTML).status_code == 200, page
        health_once_it_is(200, client)


@pytest.mark.parametrize("driver", ["psycopg", *only_full("asyncpg")])
def test_the_network_to_the_database_is_cut_and_mended(
    driver: str, project: Path, postgres: Postgres, postgres_database: str
) -> None:
    with Front(postgres.socket_path) as front, ExitStack() as stack:
        network = stack.enter_context(Network(front.host, front.port))
        url = f"postgresql+{driver}://{USER}:{ENCODED_PASSWORD}@127.0.0.1:{network.port}/{postgres_database}"
        environ = {"DATABASE_URL": url, "DB_TIMEOUT": str(DB_TIMEOUT)}
        succeed(project, "oppdemo.py", "init", environ=environ)
        site = stack.enter_context(Site(project, environ))
        assert_up(site)
        client = stack.enter_context(site.signed_in())
        with network.away():
            assert_down(site)
            assert client.get("/oppman/", headers=HTML).status_code == 503
            assert client.get("/admin/product/list", headers=HTML).status_code == 503
        assert_up(site)
        assert client.get("/oppman/", headers=HTML).status_code == 200
        assert client.get("/admin/product/list", headers=HTML).status_code == 200


def test_a_black_hole(project: Path) -> None:
    with BlackHole() as hole:
        url = f"postgresql://u:p@127.0.0.1:{hole.port}/d"
        with Site(project, {"DATABASE_URL": url, "DB_TIMEOUT": "1"}) as site:
            assert_down(site)


def test_postgresql_is_restarted(project: Path, local_postgres: dict[str, str], postgres: Postgres) -> None:
    """All connections are ended at the server, as a restart or a failover does."""
    succeed(project, "oppdemo.py", "init", environ=local_postgres)
    with Site(project, local_postgres) as site, site.signed_in() as client:
        one = someone(client)["id"]
        for _ in range(3):
            end_connections(postgres, local_postgres)
            assert client.get("/api/registrants").status_code == 200
            end_connections(postgres, local_postgres)
            answer = client.post(f"/update-notes/{one}", data={"notes": "still here"})
            assert answer.status_code == 200, answer.text


def end_connections(postgres: Postgres, environ: dict[str, str]) -> None:
    """End those to a site's database, and wait until they have ended and the pooler has heard of it."""
    database = environ["DATABASE_URL"].rpartition("/")[2].partition("?")[0]
    of_project = f"usename = '{USER}' and datname = '{database}'"  # other workers' tests use the server, too
    postgres.execute(f"select pg_terminate_backend(pid, 5000) from pg_stat_activity where {of_project}")
    time.sleep(0.2)


def test_frozen_between_requests(project: Path, postgres: Postgres, leapcell_environ: dict[str, str]) -> None:
    environ = leapcell_environ | {"UPLOAD_DIR": str(project / "uploads")}
    succeed(project, "oppdemo.py", "init", environ=environ)
    with Site(project, environ) as site, site.client() as client:
        assert client.get("/api/products").status_code == 200
        site.signal(signal.SIGSTOP)
        end_connections(postgres, leapcell_environ)
        time.sleep(3)
        site.signal(signal.SIGCONT)
        answer = client.get("/api/products")
        assert answer.status_code == 200, answer.text + site.log
        assert client.get("/database-demo", headers=HTML).status_code == 200


def test_a_database_without_tables(project: Path) -> None:
    with Site(project) as site, site.client() as client:
        home = client.get("/", headers=HTML)
        assert home.status_code == 200
        assert "oppdemo.py init" in home.text
        for path in ("/database-demo", "/webinar-demo", "/database-status"):
            answer = client.get(path, headers=HTML)
            assert answer.status_code == (200 if path == "/database-status" else 503), path
            assert "migrate" in answer.text, path
        for path in ("/api/products", "/api/webinar-attendees"):
            answer = client.get(path)
            assert answer.status_code == 503, path
            assert "has no tables" in answer.text, path
        answer = client.post("/login", data={"username": "admin@example.com", "password": "x"}, headers=HTML)
        assert answer.status_code == 503
        assert "migrate" in answer.text
        for path in ("/debug/database", "/debug/database-data", "/debug/connection", "/debug/leapcell"):
            assert client.get(path).status_code == 200, path
        health = client.get("/health")
        assert health.status_code == 503
        assert "unhandled error" not in site.log
        assert client.post("/async/init-demo").status_code == 200
        assert client.get("/database-demo", headers=HTML).status_code == 200


@pytest.mark.parametrize("backend", ["postgresql", *only_full("sqlite")])
def test_init_is_killed_at_any_moment_and_run_again(
    backend: str, project: Path, request: pytest.FixtureRequest, postgres: Postgres
) -> None:
    environ: dict[str, str] = {}
    if backend == "postgresql":
        environ = request.getfixturevalue("local_postgres")
        database = request.getfixturevalue("postgres_database")
    moments = random.Random(3)
    for step in (1, 3, 5, 6):
        process = start_command(project, "oppdemo.py", "init", environ=environ)
        assert process.stdout
        for _ in range(step):
            process.stdout.readline()  # a step is done
        time.sleep(moments.uniform(0, 0.03))
        process.kill()
        process.communicate()
    succeed(project, "oppdemo.py", "init", environ=environ)
    if backend == "sqlite":
        two_hours_pass(project / "static/uploads", lambda query: sqlite(project, query))
    else:
        two_hours_pass(project / "static/uploads", lambda query: postgres.execute(query, database=database))
    succeed(project, "oppdemo.py", "init", environ=environ)
    if backend == "sqlite":
        assert counts(lambda query: sqlite(project, query)) == SEEDED
        assert_files_fit(project / "static/uploads", urls_of(project))
    else:
        where = {"host": postgres.socket_folder, "user": "postgres", "dbname": database}
        with psycopg.connect(**where) as connection:
            assert counts(lambda query: connection.execute(query).fetchall()) == SEEDED
            rows = connection.execute("select photo_url from webinar_registrants where photo_url is not null")
            assert_files_fit(project / "static/uploads", [row[0] for row in rows])


@full
@pytest.mark.parametrize("backend", ["postgresql", *only_full("sqlite")])
def test_two_inits_at_once(backend: str, project: Path, request: pytest.FixtureRequest) -> None:
    environ = request.getfixturevalue("local_postgres") if backend == "postgresql" else {}
    both = [start_command(project, "oppdemo.py", "init", environ=environ) for _ in range(2)]
    for process in both:
        out, err = process.communicate(timeout=60)
        assert process.returncode == 0, out + err
    with Site(project, environ) as site, site.signed_in() as client:
        counted = client.get("/debug/database-data").json()["table_counts"]
        assert {table: counted[table] for table in SEEDED} == SEEDED
        found = client.get("/api/registrants").json()["registrants"]
        assert_files_fit(site.upload_dir, [each["photo_url"] for each in found if each["photo_url"]])


def test_the_server_is_killed_while_photos_are_sent(seeded: Path) -> None:
    data = noise(900)
    moments = random.Random(7)
    with Site(seeded) as site, site.signed_in() as client:
        chosen = [someone(client, index)["id"] for index in range(4)]
        for _ in range(3):
            with ThreadPoolExecutor(4) as pool:
                sent = [pool.submit(_send_photo, client, each, data) for each in chosen]
                time.sleep(moments.uniform(0.05, 0.6))
                site.kill()
                for future in sent:
                    future.result()
            site.start()
        for url in urls_of(seeded):
            answer = client.get(url)
            assert answer.status_code == 200
            Image.open(BytesIO(answer.content)).load()
        assert [_send_photo(client, each, photo("red")) for each in chosen] == [200] * 4
        # A kill between a file and its row leaves a file that no row names.
        two_hours_pass(site.upload_dir, lambda query: sqlite(seeded, query))
        succeed(seeded, "oppdemo.py", "init")
        assert_files_fit(site.upload_dir, urls_of(seeded))


def _send_photo(client: httpx.Client, registrant: str, data: bytes) -> int | None:
    try:
        return client.post(f"/upload-photo/{registrant}", files={"photo": ("x.jpg", data, "image/jpeg")}).status_code
    except httpx.TransportError:
        return None


def test_many_photos_for_one_registrant_at_once(seeded: Path) -> None:
    with Site(seeded) as site, site.signed_in() as client:
        one = someone(client)["id"]
        with ThreadPoolExecutor(8) as pool:
            colours = ["red", "green", "blue", "white", "black", "yellow", "purple", "orange"]
            answers = list(pool.map(lambda colour: _send_photo(client, one, photo(colour)), colours))
        assert set(answers) <= {200, 409, 503}
        assert 200 in answers
        if 503 in answers or "a sweep will" in site.log:  # the outcome of an upload is not known: its file is kept
            two_hours_pass(site.upload_dir, lambda query: sqlite(seeded, query))
            succeed(seeded, "oppdemo.py", "init")
        assert_files_fit(site.upload_dir, urls_of(seeded))


@full
def test_many_sign_ins_at_once(seeded: Path) -> None:
    with Site(seeded) as site:

        def sign_in(index: int) -> int:
            with site.client() as client:
                right = index % 2 == 0
                data = {"username": "staff@example.com", "password": "test123" if right else "wrong"}
                return client.post("/login", data=data).status_code

        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(sign_in, range(12)))
        assert set(answers) <= {302, 401, 429}
        assert 302 in answers


@pytest.mark.parametrize(
    "path", ["/async/clean-up", "/admin/restore-database?confirm=RESTORE", "/upload-photo/{id}", "/login"]
)
def test_a_client_that_leaves_is_one_line(seeded: Path, path: str) -> None:
    with Site(seeded) as site, site.client() as client:
        assert client.get("/healthz").status_code == 200
        port = int(site.url.rpartition(":")[2])
        with socket.create_connection(("127.0.0.1", port)) as connection:
            kind = "multipart/form-data; boundary=x" if "photo" in path else "application/x-www-form-urlencoded"
            head = f"POST {path.format(id='0' * 32)} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n"
            connection.sendall(f"{head}Content-Type: {kind}\r\n\r\n".encode() + b"a=" * 500)
            time.sleep(0.5)  # until the request is being read
        time.sleep(0.5)
        assert client.get("/").status_code == 200
    assert "Traceback" not in site.log


def test_the_disk_is_full(seeded: Path) -> None:
    """A server with its own one-megabyte disk for uploads."""
    disk = seeded / "small"
    disk.mkdir()
    prefix = _in_own_namespace(f"mount -t tmpfs -o size=1m none {disk}")
    with Site(seeded, {"UPLOAD_DIR": str(disk)}, prefix=prefix) as site, site.signed_in() as client:
        first, second = (someone(client, index)["id"] for index in range(2))
        assert _send_photo(client, first, photo("red")) == 200
        answer = client.post(f"/upload-photo/{second}", files={"photo": ("x.png", noise(1200), "image/png")})
        assert answer.status_code == 507, answer.text
        assert answer.headers["content-type"].startswith("application/problem+json")
        after = {each["id"]: each["photo_url"] for each in client.get("/api/registrants").json()["registrants"]}
        assert client.get(after[first]).status_code == 200
        assert _send_photo(client, second, photo("blue")) == 200  # nothing was left behind that fills the disk
        assert "unhandled error" not in site.log


def test_a_read_only_folder_as_on_leapcell(project: Path, leapcell_environ: dict[str, str]) -> None:
    """Nothing can be written but /tmp, and that is empty at the start."""
    mounts = " && ".join(
        (
            f"mount --bind {project} /mnt",
            "mount -o remount,bind,ro /mnt",
            # FastOpp and its Python stay in sight, should this checkout lie in /tmp itself.
            f"mount --bind {ROOT} /media",
            "mount -t tmpfs none /tmp",
            "mount -t tmpfs none /var/tmp",
            f"mkdir -p {ROOT}",
            f"mount --bind /media {ROOT}",
        )
    )
    prefix = _in_own_namespace(f"{mounts} && cd /mnt")
    token = "t0ken-of-an-operator-0123456789"
    with Site(project, leapcell_environ | {"OPS_TOKEN": token}, prefix=prefix) as site:
        with site.client() as client:
            assert client.get("/kaithhealth").status_code == 200
            assert client.post("/async/init-demo").status_code == 401
            answer = client.post("/async/init-demo", headers={"authorization": f"Bearer {token}"})
            assert answer.status_code == 200, answer.text
            assert client.get("/health").status_code == 200
        with site.signed_in(password=leapcell_environ["SUPERUSER_PASSWORD"]) as client:
            one = someone(client)["id"]
            assert _send_photo(client, one, photo("green")) == 200
            urls = {each["id"]: each["photo_url"] for each in client.get("/api/registrants").json()["registrants"]}
            assert client.get(urls[one]).status_code == 200
            for page in (*PAGES, "/oppman/", "/oppdemo/", "/webinar-registrants", "/admin/", "/license", "/ai-demo"):
                assert client.get(page, headers=HTML).status_code == 200, page
        assert "unhandled error" not in site.log


def _in_own_namespace(script: str) -> list[str]:
    """A prefix that runs a command with mounts that only it sees."""
    probe = subprocess.run(["unshare", "-m", "sh", "-c", "mount -t tmpfs none /mnt"], capture_output=True, check=False)
    if probe.returncode:
        pytest.skip("this user may not mount a disk")
    return ["unshare", "-m", "sh", "-c", f'{script} && exec "$0" "$@"']
