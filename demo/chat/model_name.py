"""Model ids as people read them."""

from __future__ import annotations


def display_name(model: str) -> str:
    """`meta-llama/llama-3.3-70b-instruct:free` is `Llama 3.3 70B Instruct (Free)`."""
    name, _, variant = model.rpartition("/")[2].partition(":")
    words = name.replace("-", " ").replace("_", " ").title()
    return f"{words} ({variant.title()})" if variant else words
