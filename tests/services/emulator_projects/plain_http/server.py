"""A WSGI application on the standard library's server, its port in the code."""

from __future__ import annotations

import os
from wsgiref.simple_server import make_server


def application(environ, start_response):
    start_response("200 OK", [("Content-Type", "text/plain")])
    return [f"{os.getpid()} {environ['PATH_INFO']}".encode()]


make_server("", 8080, application).serve_forever()
