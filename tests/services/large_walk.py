"""The addresses that are asked for when tables are large: every page and API, with each order and filter."""

from __future__ import annotations

from itertools import product

EVERYBODY = (
    "/", "/login", "/database-status", "/docs", "/openapi.json", "/robots.txt", "/health", "/health/database",
    *(f"/database-demo?{query}" for query in (
        "", "page=2", "category=Books", "in_stock=true", "in_stock=false", "category=Books&page=100", "page=1000",
    )),
    *(f"/database-demo?sort={sort}" for sort in (
        "price", "-name", "-created_at", "-in_stock", "category", "-category",
    )),
    *(f"/api/products?per_page=50&sort={sign}{column}{condition}" for sign, column, condition in product(
        ("", "-"), ("name", "price", "category", "in_stock", "created_at"), ("", "&category=Books", "&in_stock=false"),
    )),
    "/api/products", "/webinar-demo", "/api/webinar-attendees", "/api/webinar-attendees?page=5&per_page=100",
)  # fmt: skip

SUPERUSER = (
    "/account", "/account/sessions", "/account/tokens", "/account/second-factor", "/protected",
    "/webinar-registrants", "/webinar-registrants?page=100", "/webinar-registrants?status=confirmed",
    "/api/registrants", "/api/registrants?status=attended&per_page=100",
    "/oppman/", "/oppman/users", "/oppman/invitations",
    "/oppman/mail", "/oppman/mail?state=failed", "/oppman/mail?state=sent",
    "/oppman/tasks", *(f"/oppman/tasks?status={status}" for status in (
        "waiting", "scheduled", "running", "succeeded", "failed", "cancelled",
    )),
    "/oppman/tasks?queue=default", "/oppman/migrations", "/oppman/files",
    *(f"/oppman/errors?state={state}" for state in ("open", "resolved", "ignored", "all")),
    "/oppman/errors?q=request-17&state=all", "/oppman/errors/1",
    "/oppdemo/", "/oppdemo/counts", "/oppdemo/check-users", "/async/tasks",
    "/metrics", "/debug/database-data", "/admin/",
)  # fmt: skip

_LISTS = {
    "user": (("email", "name", "is_active", "is_superuser", "is_staff", "group"),
             ("is_active=false", "is_superuser=true", "is_staff=true", "group=sales")),
    "audit-log": (("action", "model_name", "timestamp"), ("action=create", "model_name=User")),
    "product": (("name", "price", "category", "in_stock", "created_at"), ("category=Books", "in_stock=false")),
    "webinar-registrants": (("name", "email", "company", "webinar_title", "webinar_date", "status", "group"),
                            ("status=attended", "group=a", "webinar_title=Webinar 7")),
}  # fmt: skip

ADMIN = tuple(
    f"/admin/{table}/list?{query}"
    for table, (columns, filters) in _LISTS.items()
    for query in (
        "", "page=300", *filters, *(f"sortBy={column}&sort={way}" for column in columns for way in ("asc", "desc"))
    )
)  # fmt: skip
