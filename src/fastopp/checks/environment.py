"""The size of all environment variables together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext

_SHORTER = "Remove settings that have the default value, and settings of programs that do not run there."


def size_of(variables: Mapping[str, str]) -> int:
    """Names and values together, in bytes."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())


@check("fastopp.E021", "The environment is too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_too_big(context: CheckContext) -> Iterator[Problem]:
    """The platform limits the names and values of all variables together (docs/platforms.md)."""
    size, limit = size_of(context.variables), context.platform.max_environment
    if limit is not None and size > limit:
        yield Problem(f"All variables together have {size:,} bytes; {context.platform.title} allows {limit:,}.")


@check("fastopp.W022", "The environment is nearly too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_nearly_too_big(context: CheckContext) -> Iterator[Problem]:
    """It is not documented whether a KB of the limit is 1,000 or 1,024 bytes, and whether separators count."""
    limit = context.platform.max_environment
    if limit is None or size_of(context.variables) > limit:
        return
    size, decimal = size_of(context.variables) + 2 * len(context.variables), limit // 1024 * 1000
    if size > decimal:
        yield Problem(f"All variables together have {size:,} bytes including separators, more than {decimal:,}.")
