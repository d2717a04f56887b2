"""A server that is killed: every line that it logged is JSON, and no request was counted twice."""

from __future__ import annotations

import json
import sqlite3

from tests.services.site import SECRET_KEY, Site, copy_project, succeed

KILLED = 2
REQUESTS = 5  # between two kills; the first is written at once
SECRET = "s3cr3t-0f-4-v1s1t0r"


def test_a_killed_server_logs_json_and_counts_no_request_twice(tmp_path):
    project = copy_project(tmp_path / "project")
    environ = {
        "FASTOPP_PLATFORM": "leapcell",
        "SECRET_KEY": SECRET_KEY,
        "DATABASE_URL": f"sqlite:///{tmp_path}/site.db",
        "UPLOAD_DIR": str(tmp_path / "uploads"),
    }
    succeed(project, "oppman.py", "migrate", environ=environ)
    with Site(project, environ) as site:
        for _ in range(KILLED):
            with site.client() as client:
                assert client.get("/healthz").status_code == 200
                for _ in range(REQUESTS):
                    assert client.get(f"/license?token={SECRET}").status_code == 200
            site.kill()
            site.start()
        with site.client() as client:
            client.get("/license")
        site.stop()
        lines = [json.loads(line) for line in site.log.splitlines()]
    with sqlite3.connect(tmp_path / "site.db") as database:
        (counted,) = database.execute(
            "SELECT sum(count) FROM monitor_figures WHERE period = 0 AND name = '/license'"
        ).fetchone()
        (instances,) = database.execute("SELECT count(*) FROM monitor_instances").fetchone()
    assert KILLED + 1 <= counted <= KILLED * REQUESTS + 1
    assert instances == KILLED + 1
    assert "Started server process" in lines[0]["message"]
    requests = [line for line in lines if line["logger"] == "fastopp.request"]
    assert len(requests) == KILLED * REQUESTS + 1
    assert {line["route"] for line in requests} == {"/license"}
    assert sum(line["cold"] for line in requests) == KILLED + 1
    assert SECRET not in json.dumps(lines)
