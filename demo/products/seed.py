"""Eight products to look at."""

from __future__ import annotations

from sqlmodel import col, select
from sqlmodel.ext.asyncio.session import AsyncSession

from demo.products.models import Product
from fastopp.core.apps import SeedStep, StepResult
from fastopp.settings import Settings
from fastopp.storage.base import Storage

# name, description, price in dollars, category, in stock
PRODUCTS: tuple[tuple[str, str, float, str, bool], ...] = (
    ("Laptop 16 Pro", "Sixteen inches, thirty-two gigabytes, a day of battery.", 2499.99, "Electronics", True),
    ("Noise-cancelling Headphones", "Over-ear, folds flat, forty hours on a charge.", 249.00, "Electronics", True),
    ("Mechanical Keyboard", "Hot-swappable switches and a quiet case.", 129.50, "Electronics", True),
    ("Trail Running Shoes", "Grip for mud, cushion for stone.", 89.90, "Footwear", True),
    ("Pour-over Coffee Maker", "Glass carafe, steel filter, no paper.", 39.95, "Home & Kitchen", True),
    ("Field Guide to Async Python", "Three hundred pages without a single deadlock.", 34.99, "Books", True),
    ("Organic Cotton T-Shirt", "Heavy, soft, and cut to last.", 12.99, "Clothing", True),
    ("Cork Yoga Mat", "Five millimetres of cork on natural rubber.", 59.00, "Sports & Fitness", False),
)


async def add_products(session: AsyncSession, storage: Storage, settings: Settings) -> StepResult:
    """Add those that are missing, by name. The step's lock makes looking first safe."""
    names = [name for name, *_ in PRODUCTS]
    known = set((await session.exec(select(Product.name).where(col(Product.name).in_(names)))).all())
    missing = [row for row in PRODUCTS if row[0] not in known]
    if not missing:
        return StepResult("skipped", "All sample products are there already.")
    for name, description, price, category, in_stock in missing:
        session.add(Product(name=name, description=description, price=price, category=category, in_stock=in_stock))
    return StepResult("success", f"{len(missing)} sample product(s) were added.")


STEPS = [SeedStep("products", "Sample Products", add_products)]
