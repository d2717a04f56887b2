"""Requests that obstore does not make, sent to addresses that it has signed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from fastopp.certificates import trusted_certificates

if TYPE_CHECKING:
    import httpx


async def send_signed(
    method: str, address: str, *, silence: float, headers: Mapping[str, str] | None = None
) -> httpx.Response:
    """Send a request to a signed address, and return the response, also one that reports an error.

    Parameters
    ----------
    silence: seconds that the server may be silent.

    Raises
    ------
    OSError: as obstore words it, for `explained`. The address, which is signed, is not in it.
    """
    import httpx  # noqa: PLC0415 - 100 ms, for what is rarely needed

    try:
        async with httpx.AsyncClient(verify=await trusted_certificates(), timeout=silence) as client:
            return await client.request(method, address, headers=headers)
    except httpx.TimeoutException:
        raise OSError("Timeout") from None
    except httpx.HTTPError as error:
        raise OSError(type(error).__name__) from None
