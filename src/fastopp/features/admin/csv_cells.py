"""Cells of a CSV file that no spreadsheet takes for formulas.

Source: https://owasp.org/www-community/attacks/CSV_Injection. Where the separator of lists is `;`, a spreadsheet splits
our cells there as well, and it skips characters that are not seen and reads full-width ones like ordinary ones.
"""

from __future__ import annotations

import re
import unicodedata
from datetime import datetime
from typing import Any

FORMULA_STARTS = frozenset("=+-@")
LINE_STARTS = ("\t", "\r", "\n")

_SEPARATORS = re.compile("([;\t\r\n])")
_UNSEEN = frozenset({"Cc", "Cf", "Zs", "Zl", "Zp", "Mn"})  # Unicode categories


def csv_cell(value: Any) -> str:  # noqa: ANN401 - a value of any column
    """Return the text of a cell: a time with its zone, nothing for None, `'` before what would be a formula."""
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.isoformat()
    text = str(value)
    if isinstance(value, int | float):
        return text
    safe = "".join(f"'{part}" if _is_formula(part) else part for part in _SEPARATORS.split(text))
    return f"'{safe}" if safe.startswith(LINE_STARTS) else safe


def _is_formula(text: str) -> bool:
    first = next((character for character in text if unicodedata.category(character) not in _UNSEEN), "")
    return unicodedata.normalize("NFKC", first)[:1] in FORMULA_STARTS
