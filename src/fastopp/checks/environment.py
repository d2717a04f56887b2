"""The size of all environment variables together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from fastopp.checks.check import Problem, Subject, check
from fastopp.checks.context import CheckContext

_SHORTER = "Remove what is a default anyway, and settings of programs that do not run there."


def size_of(variables: Mapping[str, str]) -> int:
    """Names and values together, in bytes."""
    return sum(len(name.encode()) + len(value.encode()) for name, value in variables.items())


@check("fastopp.E021", "The environment is too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_too_big(context: CheckContext) -> Iterator[Problem]:
    """LeapCell takes 3 KB, names and values of all variables together (docs.leapcell.io/limit)."""
    size, limit = size_of(context.variables), context.platform.max_environment
    if limit is not None and size > limit:
        yield Problem(f"All variables together have {size:,} bytes; {context.platform.title} takes {limit:,}.")


@check("fastopp.W022", "The environment is nearly too big", fix=_SHORTER, subject=Subject.SETTINGS)
def environment_nearly_too_big(context: CheckContext) -> Iterator[Problem]:
    """Whether the 3 KB are 3,000 or 3,072 bytes, and whether what separates them counts, is not documented."""
    limit = context.platform.max_environment
    if limit is None or size_of(context.variables) > limit:
        return
    size, decimal = size_of(context.variables) + 2 * len(context.variables), limit // 1024 * 1000
    if size > decimal:
        yield Problem(f"All variables together have {size:,} bytes with what separates them, more than {decimal:,}.")
