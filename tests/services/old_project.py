"""A project in the form of FastOpp 0.4.8, written for these tests: stand-ins for its own code, and a project on top."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from io import BytesIO
from pathlib import Path

from PIL import Image

from fastopp.cli.adopt.known import Known
from tests.services.migrations import FIXTURES

_USER = """class User(SQLModel, table=True):
    __tablename__ = "users"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    email: str = Field(unique=True, index=True)
    hashed_password: str
    is_active: bool = True
    is_superuser: bool = False
    is_staff: bool = False
    group: str | None = None
"""
_DEMO_TABLES = """class Product(SQLModel, table=True):
    __tablename__ = "products"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    name: str
    price: float


class WebinarRegistrants(SQLModel, table=True):
    __tablename__ = "webinar_registrants"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    name: str
"""
_HEADER = """<nav><a href="/" onclick="greet('home')">Home</a>
{% if is_authenticated %}<a href="/logout">Sign out</a>{% else %}<a href="/login">Sign in</a>{% endif %}</nav>
<script>function greet(place) { document.title = place; }</script>
"""

FRAMEWORKS = {
    "main.py": '''from fastapi import FastAPI

from routes.pages import router as pages_router

app = FastAPI()
app.include_router(pages_router)
''',
    "models.py": f'''from datetime import datetime
import uuid

from sqlmodel import Field, SQLModel


{_USER}

{_DEMO_TABLES}''',
    "db.py": "async_engine = None\nAsyncSessionLocal = None\n",
    "dependencies/database.py": "def get_db_session():\n    return None\n",
    "dependencies/config.py": "def get_settings():\n    return None\n",
    "core/services/auth.py": "def get_current_staff_or_admin():\n    return None\n",
    "routes/__init__.py": "",
    "routes/pages.py": '''from fastapi import APIRouter, Request
from fastapi.templating import Jinja2Templates

templates = Jinja2Templates(directory="templates")
router = APIRouter()


@router.get("/")
async def home(request: Request):
    return templates.TemplateResponse("index.html", {"request": request})
''',
    "services/catalogue.py": '''from sqlalchemy import func
from sqlmodel import select

from db import AsyncSessionLocal
from models import Product


async def count_products():
    async with AsyncSessionLocal() as session:
        return (await session.execute(select(func.count()).select_from(Product))).scalar_one()


async def never_used():
    return None
''',
    "admin/__init__.py": "",
    "admin/setup.py": "from sqladmin import Admin\n",
    "admin/views.py": '''from sqladmin import ModelView

from models import User


class UserAdmin(ModelView, model=User):
    column_list = ["email"]
''',
    "scripts/check_users.py": "print('users')\n",
    "templates/index.html": "<h1>Demo</h1>\n",
    "templates/login.html": "<h1>Old sign-in</h1>\n",
    "templates/partials/header.html": _HEADER,
    "static/css/old.css": "body { color: black; }\n",
}  # fmt: skip

# The project's own: two models, columns on users, routes, a page, admin views, a script.
OWN = {
    "models.py": FRAMEWORKS["models.py"].replace("    group: str | None = None\n", '''    group: str | None = None
    phone: str | None = Field(default=None, max_length=30)  # for the courier
    newsletter: bool = Field(default=False)
    last_seen: datetime | None = Field(default=None)

    def short_name(self):
        """The part before the @."""
        return self.email.split("@")[0]
''') + '''

class Category(SQLModel, table=True):
    __tablename__ = "shop_categories"

    id: int | None = Field(default=None, primary_key=True)
    name: str = Field(max_length=50)


# What customers ordered.
class Order(SQLModel, table=True):
    __tablename__ = "shop_orders"

    id: uuid.UUID = Field(default_factory=uuid.uuid4, primary_key=True)
    user_id: uuid.UUID = Field(foreign_key="users.id")
    title: str = Field(max_length=100, index=True)
    photo_url: str | None = None
    done: bool = False
    ordered_at: datetime = Field(default_factory=datetime.utcnow)
''',
    "main.py": '''from fastapi import FastAPI

from routes.pages import router as pages_router
from routes.shop import router as shop_router

app = FastAPI()
app.include_router(pages_router)
app.include_router(shop_router, prefix="/shop", tags=["shop"])


@app.middleware("http")
async def stamp(request, call_next):
    return await call_next(request)


@app.get("/about")
async def about():
    """Who we are."""
    return {"name": "My shop"}
''',
    "routes/pages.py": FRAMEWORKS["routes/pages.py"] + '''

@router.get("/contact")
async def contact(request: Request):
    """Where to reach us."""
    staff = request.session.get("is_staff", False)
    return templates.TemplateResponse("contact.html", {"request": request, "staff": staff})
''',
    "routes/shop.py": '''"""The shop."""
from datetime import datetime, timedelta
import uuid

from fastapi import APIRouter, Depends, Form, Request
from fastapi.responses import JSONResponse, RedirectResponse
from fastapi.templating import Jinja2Templates
from sqlmodel import select

from core.services.auth import get_current_staff_or_admin
from dependencies.config import get_settings
from dependencies.database import get_db_session
from models import Order, User
from services.catalogue import count_products
from services.order_service import toggle_order

templates = Jinja2Templates(directory="templates")
router = APIRouter()


@router.get("/")
async def shop(request: Request, session=Depends(get_db_session)):
    result = await session.execute(select(Order, User).join(User).order_by(Order.title))
    week = timedelta(days=7)
    rows = [  # newest are marked
        {"order": order, "who": user.short_name(), "phone": user.phone, "new": order.ordered_at > datetime.now() - week}
        for order, user in result.all()
    ]
    return templates.TemplateResponse("shop.html", {"request": request, "title": "Orders", "rows": rows})


@router.post("/orders")
async def add_order(
    title: str = Form(...),
    when: datetime = Form(...),
    session=Depends(get_db_session),
    user: User = Depends(get_current_staff_or_admin),
):
    session.add(Order(title=title, user_id=user.id, ordered_at=when))
    await session.commit()
    return RedirectResponse("/shop/", status_code=303)


@router.post("/orders/{order_id}/toggle")
async def toggle(order_id: uuid.UUID, user: User = Depends(get_current_staff_or_admin)):
    return JSONResponse({"done": await toggle_order(order_id)})


@router.get("/products")
async def products(settings=Depends(get_settings)):
    return {"count": await count_products(), "environment": settings.environment}
''',
    "services/order_service.py": '''from sqlmodel import select

from db import AsyncSessionLocal
from models import Order


async def toggle_order(order_id):
    async with AsyncSessionLocal() as session:
        order = (await session.execute(select(Order).where(Order.id == order_id))).scalar_one()
        order.done = not order.done
        await session.commit()
        return order.done
''',
    "admin/views.py": '''from sqladmin import ModelView

from models import Category, Order, User


class UserAdmin(ModelView, model=User):
    column_list = ["email", "phone"]


class OrderAdmin(ModelView, model=Order):
    name_plural = "Orders of the shop"
    column_list = ["title", "done", "ordered_at"]

    def is_accessible(self, request):
        return request.session.get("is_staff", False) or request.session.get("is_superuser", False)


class CategoryAdmin(ModelView, model=Category):
    column_list = ["name"]
    can_delete = False

    def can_create(self, request):
        return request.session.get("is_superuser", False)
''',
    "scripts/close_orders.py": '''"""Close all orders."""
import asyncio
import sys

from sqlmodel import select

from db import AsyncSessionLocal
from models import Order


async def close_orders(word):
    async with AsyncSessionLocal() as session:
        orders = (await session.execute(select(Order))).scalars().all()
        for order in orders:
            order.done = True
        await session.commit()
        print(f"{word}: {len(orders)} orders")


if __name__ == "__main__":
    asyncio.run(close_orders(sys.argv[1]))
''',
    "templates/contact.html": "<h1>Contact</h1>{% if staff %}<p>For staff</p>{% endif %}{{ unknown }}\n",
    "templates/shop.html": '''<!DOCTYPE html>
<html lang="en">
<head>
  <title>{{ title }}</title>
  <link rel="stylesheet" href="{{ url_for('static', path='/css/own.css') }}">
  <script src="https://cdn.tailwindcss.com"></script>
  <script src="https://unpkg.com/htmx.org@2.0.6"></script>
  <script src="https://unpkg.com/alpinejs@3.x.x/dist/cdn.min.js" defer></script>
  <script>tailwind.config = { theme: { extend: { colors: { 'brand': '#aa3300' } } } }</script>
</head>
<body>
  {% include "partials/header.html" %}
  <h1 class="text-3xl text-brand" style="margin-top: 3px">{{ title }}</h1>
  <p>{{ missing_message }}</p>
  <ul>
  {% for row in rows %}
    <li>{{ row.order.title }} ({{ row.who }}, {{ row.phone }}){% if row.new %} new{% endif %}
      <button class="toggle" onclick="toggleOrder('{{ row.order.id }}', this)">
        {{- 'done' if row.order.done else 'open' -}}
      </button></li>
  {% endfor %}
  </ul>
  <div x-data="counter()"><button id="more" @click="add()">More</button> <span id="number" x-text="number"></span></div>
  <form action="/shop/orders" method="post">
    <label>Title <input name="title"></label>
    <label>When <input name="when" type="datetime-local"></label>
    <button>Order</button>
  </form>
  <img src="/static/uploads/photos/cover.png" alt="Cover">
  <script>
    function counter() { return { number: {{ rows|length }}, add() { this.number++; } }; }
    async function toggleOrder(id, button) {
      const answer = await fetch(`/shop/orders/${id}/toggle`, { method: 'POST' });
      button.textContent = (await answer.json()).done ? 'done' : 'open';
    }
  </script>
</body>
</html>
''',
    "data/prices.csv": "pot;2.50\n",
    "static/css/own.css": "h1 { letter-spacing: 0.1em; }\n",
    ".env": "# of the shop\nDATABASE_URL=sqlite+aiosqlite:///./test.db\nENVIRONMENT=development\nUPLOAD_DIR=uploads\n",
}  # fmt: skip

ROWS = """
ALTER TABLE users ADD COLUMN phone VARCHAR(30);
ALTER TABLE users ADD COLUMN newsletter BOOLEAN NOT NULL DEFAULT 0;
ALTER TABLE users ADD COLUMN last_seen DATETIME;
CREATE TABLE shop_categories (id INTEGER NOT NULL, name VARCHAR(50) NOT NULL, PRIMARY KEY (id));
CREATE TABLE shop_orders (
    id CHAR(32) NOT NULL, user_id CHAR(32) NOT NULL, title VARCHAR(100) NOT NULL, photo_url VARCHAR,
    done BOOLEAN NOT NULL, ordered_at DATETIME NOT NULL, PRIMARY KEY (id), FOREIGN KEY(user_id) REFERENCES users (id)
);
CREATE INDEX ix_shop_orders_title ON shop_orders (title);
CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL);
INSERT INTO alembic_version VALUES ('a1b2c3d4e5f6');
UPDATE users SET phone = '0815', newsletter = 1, last_seen = '2025-01-31 23:30:00.000000'
WHERE email = 'admin@example.com';
INSERT INTO shop_categories (name) VALUES ('Tea'), ('Cups');
INSERT INTO shop_orders
SELECT '00000000000000000000000000000001', id, 'Blue pot', '/static/uploads/photos/cover.png', 0,
    '2024-01-02 10:00:00.000000'
FROM users WHERE email = 'admin@example.com';
"""

POSTGRESQL = """
ALTER TABLE users ADD COLUMN phone VARCHAR(30);
ALTER TABLE users ADD COLUMN newsletter BOOLEAN NOT NULL DEFAULT false;
ALTER TABLE users ADD COLUMN last_seen TIMESTAMP WITHOUT TIME ZONE;
CREATE TABLE shop_categories (id SERIAL PRIMARY KEY, name VARCHAR(50) NOT NULL);
CREATE TABLE shop_orders (
    id UUID PRIMARY KEY, user_id UUID NOT NULL REFERENCES users (id), title VARCHAR(100) NOT NULL, photo_url VARCHAR,
    done BOOLEAN NOT NULL, ordered_at TIMESTAMP WITHOUT TIME ZONE NOT NULL
);
CREATE INDEX ix_shop_orders_title ON shop_orders (title);
UPDATE users SET last_seen = '2025-01-31 23:30' WHERE email = 'admin@example.com';
INSERT INTO shop_orders SELECT '00000000-0000-0000-0000-000000000001', id, 'Blue pot', NULL, false, '2024-01-02 10:00'
FROM users WHERE email = 'admin@example.com';
"""


def known(folder: Path) -> Known:
    """FastOpp's own code in these projects."""
    return Known.of(_write(folder, FRAMEWORKS))


def make_old_project(folder: Path) -> Path:
    """Write the project, with its database and a photo."""
    _write(folder, FRAMEWORKS | OWN)
    shutil.copy(FIXTURES / "fastopp-0.4.8-sqlite.db", folder / "test.db")
    with closing(sqlite3.connect(folder / "test.db")) as connection:
        connection.executescript(ROWS)
    picture = BytesIO()
    Image.new("RGB", (20, 10), "navy").save(picture, "PNG")
    (folder / "uploads/photos").mkdir(parents=True)
    (folder / "uploads/photos/cover.png").write_bytes(picture.getvalue())
    return folder


def _write(folder: Path, files: dict[str, str]) -> list[Path]:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    return [folder / name for name in files]
