from __future__ import annotations

import pytest
from pydantic import ValidationError

from demo.products.repository import MAX_PAGE, CategorySummary, ProductFilter, Summary
from demo.products.service import CHART_COLOURS, Catalogue, band_labels, outage
from fastopp.database.counting import Count


def summary(category: str | None, count: int, **changes: object) -> CategorySummary:
    values: dict[str, object] = {
        "matching": count,
        "in_stock": count,
        "price_sum": 10.0 * count,
        "price_min": 5.0,
        "price_max": 15.0,
    }
    return CategorySummary(category, count, **(values | changes))  # type: ignore[arg-type] # as named above


def catalogue_of(*categories: CategorySummary, per_page: int = 10) -> Catalogue:
    total = Count(sum(category.count for category in categories))
    matching = Count(sum(category.matching for category in categories))
    prices = [each for category in categories for each in (category.price_min, category.price_max)]
    figures = Summary([*categories], total, matching, min(prices, default=0.0), max(prices, default=0.0))
    return Catalogue([], figures, page=1, per_page=per_page)


def test_an_empty_catalogue_has_zeros_and_no_nulls() -> None:
    answer = catalogue_of().as_json()

    assert answer["stats"] == {"avg_price": 0.0, "min_price": 0.0, "max_price": 0.0, "total_products": 0}
    assert answer["stock"] == {"total": 0, "in_stock": 0, "out_of_stock": 0}
    assert answer["products"] == answer["categories"] == []
    assert answer["pages"] == 1
    assert answer["database_available"] is True


def test_figures_cover_all_categories_and_the_list_names_only_those_with_a_name() -> None:
    catalogue = catalogue_of(summary("Books", 3, in_stock=2, price_min=1.0), summary(None, 1), per_page=2)

    answer = catalogue.as_json()

    assert answer["categories"] == [{"category": "Books", "count": 3}]
    assert answer["stats"] == {"avg_price": 10.0, "min_price": 1.0, "max_price": 15.0, "total_products": 4}
    assert answer["stock"] == {"total": 4, "in_stock": 3, "out_of_stock": 1}
    assert answer["pages"] == 2
    assert ("Uncategorised", 1) in catalogue.chart


def test_an_outage_has_the_same_keys_and_a_reason() -> None:
    down = outage(ProductFilter(), "It is down.", per_page=10)

    assert down.keys() == catalogue_of().as_json().keys() | {"fallback_message"}
    assert down["database_available"] is False


def test_a_chart_has_no_more_parts_than_there_are_colours() -> None:
    catalogue = catalogue_of(*(summary(f"Category {n}", 20 - n) for n in range(12)))

    assert len(catalogue.chart) == CHART_COLOURS
    assert catalogue.chart[-1][0] == "Other"
    assert sum(count for _, count in catalogue.chart) == catalogue.total


def test_bands_add_up_over_categories() -> None:
    parts = [summary("A", 2, bands=(1, 0, 0, 0, 1)), summary("B", 1, bands=(1, 0, 0, 0, 0))]

    assert catalogue_of(*parts).bands == [
        ("$0-25", 2),
        ("$25-50", 0),
        ("$50-100", 0),
        ("$100-500", 0),
        ("$500+", 1),
    ]
    assert [label for label, _ in catalogue_of().bands] == band_labels((0, 25, 50, 100, 500))


def test_an_address_names_only_what_differs_from_the_defaults() -> None:
    assert ProductFilter().as_query() == ""
    assert ProductFilter(q="a b", in_stock=False, sort="-price", page=2).as_query() == (
        "?q=a+b&in_stock=false&sort=-price&page=2"
    )


def test_an_untouched_select_is_no_filter() -> None:
    wanted = ProductFilter.model_validate({"in_stock": "", "category": "", "q": ""})

    assert wanted.in_stock is None
    assert not wanted.active


@pytest.mark.parametrize(
    "parameters",
    [{"page": 0}, {"page": 10**30}, {"page": MAX_PAGE + 1}, {"sort": "id; drop"}, {"q": "a\x00b"}, {"q": "x" * 101}],
)
def test_what_is_out_of_bounds_is_refused(parameters: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        ProductFilter.model_validate(parameters)
