"""A datetime without a zone is refused where it is assigned."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from demo.products.models import Product
from fastopp.core.runtime import open_runtime
from fastopp.database.naive_datetimes import NaiveDatetime
from tests.services.migrations import settings_for

NAIVE = datetime(2027, 1, 2)  # noqa: DTZ001 - that is the point


async def test_the_error_names_field_and_line(tmp_path):
    for _ in range(2):  # a second process's worth of resources watches nothing twice
        async with open_runtime(settings_for(f"sqlite:///{tmp_path}/test.db")):
            product = Product(name="Lamp", price=1, created_at=datetime.now(UTC))
    with pytest.raises(NaiveDatetime) as refused:
        product.updated_at = NAIVE
    said = str(refused.value)
    assert said.startswith("Product.updated_at got a datetime without a time zone.")
    assert f"{__file__}, line " in said
    assert "datetime.now(UTC)" in said
    assert __file__ not in refused.value.message
    with pytest.raises(NaiveDatetime, match=r"Product\.created_at"):
        Product(name="Lamp", price=1, created_at=NAIVE)
