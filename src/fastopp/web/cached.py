"""`@cached`: keep what a function returns, or the page that a handler answers with.

@cached(60, stale=600, tags=["products"])
async def best_sellers(session: AsyncSession, number: int = 10) -> list[Offer]: ...

@router.get("/products")
@cached(60, tags=["products"])
async def products(request: Request, session: SessionDep) -> Response: ...
"""

from __future__ import annotations

import inspect
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from functools import wraps
from typing import Any, ParamSpec, TypeVar

from fastapi import Request
from starlette.responses import Response

from fastopp.cache.cache import Plan, Uncached
from fastopp.cache.current import CACHED_MARK, Current, current_cache
from fastopp.cache.errors import NotCacheable
from fastopp.cache.keys import is_in_transaction, key_of
from fastopp.cache.store import LONGEST
from fastopp.cache.tags import checked
from fastopp.cache.values import Codec
from fastopp.web import cached_pages
from fastopp.web.conditional import vary_of
from fastopp.web.vary import add_vary

P = ParamSpec("P")
T = TypeVar("T")

_STATUS = {"hit": "hit", "stale": "hit; detail=stale", "miss": "fwd=miss; stored", "bypass": "fwd=bypass"}
_ANSWER, _VALUE = b"p", b"v"


def cached(
    seconds: float,
    *,
    stale: float = 0,
    tags: Sequence[str] = (),
    vary: Sequence[str] = (),
    browser: int = 0,
) -> Callable[[Callable[P, Coroutine[Any, Any, T]]], Callable[P, Coroutine[Any, Any, T]]]:
    """Keep the value of an async function, or the page of a handler that takes the request.

    Parameters
    ----------
    seconds: how long a value is fresh.
    stale: seconds after that in which it is served while a newer one cannot be had.
    tags: names by which it is invalidated; `"product:{product_id}"` takes in an argument.
    vary: of a page, request headers by which it differs. Its address and its language count by themselves.
    browser: of a page, seconds for which browsers and caches on the way need not ask again.
    """
    if not 0 < seconds + stale <= LONGEST or seconds <= 0 or stale < 0:
        raise NotCacheable("The times of a cached value are not valid.", hint=f"Use at most {LONGEST:,.0f} seconds.")
    plan = Plan(seconds, stale, checked(tuple(tags)))
    control = f"public, max-age={browser}" if browser else "public, no-cache"

    def decorate(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
        if not inspect.iscoroutinefunction(function):
            raise NotCacheable(f"{function.__qualname__} is cached, and not async.", hint="Write `async def`.")
        call = _Call(function, plan, tuple(vary), control)

        @wraps(function)
        async def wrapper(*args: P.args, **kwargs: P.kwargs) -> T:
            current = current_cache.get()
            if current is None or not current.cache.enabled:
                return await function(*args, **kwargs)
            result: T = await call(current, args, kwargs)
            return result

        setattr(wrapper, CACHED_MARK, True)
        return wrapper

    return decorate


class _Call:
    """One cached function."""

    def __init__(self, function: Callable[..., Awaitable[Any]], plan: Plan, vary: Sequence[str], control: str) -> None:
        self._function = function
        self._name = f"{function.__module__}.{function.__qualname__}"
        self._signature = inspect.signature(function)
        self._plan = plan
        self._vary = vary
        self._control = control
        self._codec = Codec(function)
        self._request = next(
            (name for name, each in self._signature.parameters.items() if each.annotation in (Request, "Request")), None
        )
        if vary and self._request is None:
            raise NotCacheable(f"{self._name} has `vary`, and no request.", hint="Add `request: Request`.")

    async def __call__(self, current: Current, args: Sequence[Any], kwargs: Mapping[str, Any]) -> Any:  # noqa: ANN401 - what the function returns
        """Return what the function returns."""
        bound = self._signature.bind(*args, **kwargs)
        bound.apply_defaults()
        arguments = bound.arguments
        request: Request | None = arguments[self._request] if self._request else None
        if request is not None and not cached_pages.is_for_everyone(request, self._vary):
            return self._varying(await self._function(*args, **kwargs), request)
        if request is None and is_in_transaction(arguments.values()):
            return await self._function(*args, **kwargs)
        code_version = current.cache.code_version()
        if request is not None:
            key = cached_pages.page_key(self._name, code_version, request, self._vary)
        else:
            key = key_of(self._name, code_version, arguments)

        async def compute() -> bytes:
            return self._encode(await self._function(*args, **kwargs), request)

        try:
            got = await current.cache.get(key, self._plan_of(arguments), compute, keep=current.keeps)
        except Uncached as uncached:
            return uncached.result
        if got.value[:1] == _ANSWER:
            return cached_pages.decode(got.value[1:], request, _STATUS[got.status])
        return self._codec.decode(got.value[1:])

    def _encode(self, result: object, request: Request | None) -> bytes:
        if request is None and not isinstance(result, Response):
            return _VALUE + self._codec.encode(result)
        vary = [*vary_of(request), *self._vary] if request is not None else ()
        return _ANSWER + cached_pages.encode(result, request, self._control, vary)

    def _plan_of(self, arguments: Mapping[str, Any]) -> Plan:
        """Return the plan with the arguments in its tags."""
        if not any("{" in tag for tag in self._plan.tags):
            return self._plan
        return self._plan._replace(tags=checked(tuple(tag.format(**arguments) for tag in self._plan.tags)))

    def _varying(self, result: object, request: Request) -> object:
        """Say of an answer that others get another one."""
        if isinstance(result, Response):
            add_vary(result.headers, [*vary_of(request), *self._vary])
        return result
