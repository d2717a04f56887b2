"""Fly.io: machines with a volume, which run between requests. [Fly] https://fly.io/docs/"""

from __future__ import annotations

from pathlib import Path

from fastopp.platforms.base import Platform

FLY_KILL_TIMEOUT = 5  # seconds between SIGINT and SIGKILL [Fly, reference/configuration]
FLY_VOLUME = Path("/data")  # where FastOpp projects mount their volume, with UPLOAD_DIR=/data/uploads

# The proxy keeps no more of a request for a replay (https://github.com/superfly/litefs/issues/433).
FLY_MAX_REPLAYED = 1_000_000  # bytes

FLY = Platform(
    name="fly",
    title="Fly.io",
    variables=("FLY_APP_NAME",),
    kill_after=FLY_KILL_TIMEOUT,
    kill_setting="`kill_timeout` in fly.toml",
    default_environment="production",
    # X-Forwarded-For may hold what the caller made up (https://fly.io/docs/networking/request-headers/).
    client_address_header="fly-client-ip",
    # https://fly.io/docs/reference/regional-request-routing/
    replay_header="fly-replay",
    replayed_header="fly-replay-src",
    max_replayed_body=FLY_MAX_REPLAYED,
    private_domains=(".internal", ".flycast"),
)
