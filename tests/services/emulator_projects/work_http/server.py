"""A server that starts fast, computes for `/burn/SECONDS` and waits for `/slow/SECONDS`."""

from __future__ import annotations

import time
from http.server import BaseHTTPRequestHandler, HTTPServer


class Handler(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        _, kind, *rest = self.path.split("/")
        if kind == "slow":
            time.sleep(float(rest[0]))
        until = time.process_time() + (float(rest[0]) if kind == "burn" else 0)
        while time.process_time() < until:
            pass
        self.send_response(200)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")


HTTPServer(("0.0.0.0", 8080), Handler).serve_forever()
