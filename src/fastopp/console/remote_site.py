"""A deployed project, seen over HTTP: asks it for operations and follows them until they are done."""

from __future__ import annotations

import math
import re
import time
import uuid
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import httpx

from fastopp.errors import BadRequest, Conflict, FastOppError, Forbidden, NotFound, Unavailable
from fastopp.platforms.strictest import LONGEST_REQUEST

CONNECT_TIMEOUT: Final = 15.0  # seconds
READ_TIMEOUT: Final = LONGEST_REQUEST + 60.0  # seconds; then the platform has cut the request off
PATIENCE: Final = 5  # answers in a row that were no progress
LONGEST_PAUSE: Final = 60.0  # seconds, even if Retry-After is longer
_HOST: Final = re.compile(r"[\w.:-]+")  # of what httpx has made of it
LOOPBACK: Final = frozenset({"127.0.0.1", "localhost", "::1"})

IDEMPOTENCY_KEY: Final = "Idempotency-Key"

Answer = dict[str, Any]


class AddressRefused(BadRequest):
    """Not a valid site URL."""

    hint = "Write it like https://your-app.example.com."


class NoAnswer(Unavailable):
    """The site does not answer."""


class NoTLS(Unavailable):
    """The connection to the site cannot be made secure."""


class WrongToken(Forbidden):
    """The site does not accept this token."""

    hint = "It must be the OPS_TOKEN that is set where the site runs. A change there may need a new deployment."


class NotFastOpp(NotFound):
    """This is not a FastOpp site, or an older version."""


class OperationFailed(Conflict):
    """The operation failed."""

    def __init__(self, message: str, answer: Answer) -> None:
        super().__init__(message)
        self.answer = answer


class RemoteSite:
    """Use it as a context manager.

    Parameters
    ----------
    url: `https://host`; plain HTTP is taken for this machine only, since it would show the token to everyone between.
    token: the site's OPS_TOKEN; empty for what everyone may ask.
    timeout: seconds after which an operation is no longer followed.
    report: receives progress messages.
    sleep: waits so many seconds.
    """

    def __init__(
        self,
        url: str,
        token: str = "",
        *,
        timeout: float,
        report: Callable[[str], None] = lambda _text: None,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.url = site_url(url)
        self._deadline = time.monotonic() + timeout
        self._report, self._sleep = report, sleep
        if token and not (token.isascii() and token.isprintable() and " " not in token):
            raise WrongToken("The token contains invalid characters.")
        self._client = httpx.Client(
            base_url=self.url,
            headers={"Accept": "application/json", **({"Authorization": f"Bearer {token}"} if token else {})},
            timeout=httpx.Timeout(READ_TIMEOUT, connect=CONNECT_TIMEOUT),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def pause(self, seconds: float, reason: str) -> None:
        """Wait so long before something is asked again. Raises `OperationFailed` if that is beyond the timeout."""
        if time.monotonic() + seconds > self._deadline:
            raise OperationFailed(f"Not finished within --timeout. {reason}", {})
        self._report(f"{reason} Again in {seconds:g} s.")
        self._sleep(seconds)

    def page(self, path: str) -> httpx.Response:
        """Return a page as a browser gets it, regardless of its status. Redirects are not followed."""
        return self._send("GET", path, headers={"Accept": "text/html,*/*;q=0.8"}, redirects=True)

    def health(self) -> Answer:
        """Return the response of `/health`, also where it reports a failure. Raises `NotFastOpp`."""
        response = self._send("GET", "/health")
        answer = _json(response)
        if answer is None or "checks" not in answer:
            raise NotFastOpp(f"{self.url} is not a FastOpp site: /health answers {_describe(response)}.")
        return answer

    def get(self, path: str, **parameters: Any) -> Answer:  # noqa: ANN401 - of any type that a query can hold
        """Read something."""
        return self._accept(self._send("GET", path, params=parameters), path)

    def run(
        self,
        path: str,
        *,
        data: Mapping[str, Any] | None = None,
        file: Path | None = None,
        arguments: Mapping[str, Any] | None = None,
        **parameters: Any,  # noqa: ANN401 - of any type that a query can hold
    ) -> Answer:
        """Start an operation, with form fields, JSON or a file as its body, and call it again until it is done.

        Every operation may be repeated: it goes on where it stopped. While no success was seen, the repetitions carry
        the same key, so that what succeeded unseen is not done again. Return the last answer. Raises `OperationFailed`,
        `NoAnswer` and the others above.
        """
        tries, key = 0, str(uuid.uuid4())
        while True:
            pause = 5.0
            try:
                response = self._post(path, parameters, file, key, data=data, json=arguments)
                partial = (_json(response) or {}).get("status") == "partial"
                if not partial and not _worth_repeating(response):
                    return self._accept(response, path)
                if response.is_success:
                    key = str(uuid.uuid4())  # the rest is another request
                problem = _message(response)
                pause = _retry_after(response)
                tries = 0 if partial else tries + 1
            except NoAnswer as error:
                problem = error.message
                tries += 1
                if tries > PATIENCE:
                    raise
            if tries > PATIENCE:
                raise OperationFailed(f"{problem} It was tried {tries} times.", _json(response) or {})
            self.pause(pause, problem)

    def _post(
        self,
        path: str,
        parameters: Mapping[str, Any],
        file: Path | None,
        key: str,
        **body: Any,  # noqa: ANN401 - of httpx's types
    ) -> httpx.Response:
        options: dict[str, Any] = {"params": parameters, "headers": {IDEMPOTENCY_KEY: key}}
        if file is None:
            return self._send("POST", path, **body, **options)
        with file.open("rb") as content:
            return self._send("POST", path, content=content, **options)

    def _send(
        self,
        method: str,
        path: str,
        *,
        redirects: bool = False,
        **options: Any,  # noqa: ANN401 - httpx's
    ) -> httpx.Response:
        try:
            response = self._client.request(method, path, **options)
        except httpx.ConnectTimeout:
            raise NoAnswer(f"{self.url} does not answer within {CONNECT_TIMEOUT:g} s.") from None
        except httpx.TimeoutException:
            raise NoAnswer(f"{self.url}{path} does not answer within {READ_TIMEOUT / 60:g} min.") from None
        except httpx.ConnectError as error:
            if "SSL" in str(error) or "certificate" in str(error).lower():
                raise NoTLS(f"The connection to {self.url} cannot be made secure: {error}.") from None
            raise NoAnswer(f"{self.url} cannot be reached: {error}.") from None
        except httpx.HTTPError as error:
            raise NoAnswer(f"The connection to {self.url} failed: {error or type(error).__name__}.") from None
        if response.is_redirect and not redirects:
            # The token must not follow to wherever that leads.
            raise AddressRefused(f"{self.url} redirects to {response.headers['Location']}.", hint="Use that URL.")
        return response

    def _accept(self, response: httpx.Response, path: str) -> Answer:
        """The JSON of an answer that is one of FastOpp's, and says that it worked."""
        answer = _json(response)
        if response.status_code in (401, 403) and answer is not None:
            raise WrongToken(f"{self.url} does not accept this token ({response.status_code}).")
        elsewhere = response.status_code in (404, 405) and not {"status", "message"} & (answer or {}).keys()
        if answer is None or elsewhere:
            raise NotFastOpp(f"{self.url} is not a FastOpp site: {path} answers {_describe(response)}.")
        if not response.is_success or answer.get("status") == "error":
            raise OperationFailed(_message(response), answer)
        return answer


def status_of(url: str) -> int | None:
    """Return the status of a file, at a CDN perhaps: it is asked for without the token. None if nothing answers."""
    try:
        return httpx.get(url, timeout=CONNECT_TIMEOUT).status_code
    except httpx.HTTPError:
        return None


def site_url(text: str) -> str:
    """Return scheme, host and port of the URL that was entered. Raises `AddressRefused`."""
    text = text.strip()
    local = text.partition(":")[0].partition("/")[0] in LOOPBACK
    try:
        url = httpx.URL(text if "://" in text else f"{'http' if local else 'https'}://{text}")
    except (httpx.InvalidURL, UnicodeError):
        raise AddressRefused from None
    if url.scheme not in ("http", "https") or not _HOST.fullmatch(url.host):
        raise AddressRefused
    if url.userinfo or url.query or url.fragment or url.path.strip("/"):
        raise AddressRefused("Pass only the site's address, without a path.")
    if url.scheme == "http" and url.host not in LOOPBACK:
        raise AddressRefused("Over plain HTTP, anyone on the network path could read the token.", hint="Use https://.")
    return str(url).rstrip("/")


def _worth_repeating(response: httpx.Response) -> bool:
    """Return whether to retry the request later: another request is running, or a service does not answer."""
    if response.status_code == 409:
        return "Retry-After" in response.headers
    return response.status_code == 503 or (response.status_code in (429, 502, 504) and _json(response) is None)


def _retry_after(response: httpx.Response) -> float:
    value = 1.0 if response.is_success else 5.0
    with suppress(ValueError):  # a date, or nothing
        value = float(response.headers.get("Retry-After", value))
    return min(max(value, 0.5), LONGEST_PAUSE) if math.isfinite(value) else LONGEST_PAUSE


def _json(response: httpx.Response) -> Answer | None:
    try:
        answer = response.json()
    except ValueError:
        return None
    return answer if isinstance(answer, dict) else None


def _message(response: httpx.Response) -> str:
    """Return the message of a response in one sentence."""
    answer = _json(response) or {}
    for key in ("message", "detail", "title"):
        if isinstance(answer.get(key), str) and answer[key]:
            return str(answer[key])
    return f"The site answers {_describe(response)}."


def _describe(response: httpx.Response) -> str:
    kind = response.headers.get("Content-Type", "nothing").partition(";")[0]
    return f"{response.status_code} {response.reason_phrase} ({kind})"


def describe_error(error: FastOppError) -> Answer:
    """An error for programs."""
    answer = error.answer if isinstance(error, OperationFailed) else {}
    return {"status": "error", "message": error.message, "hint": error.hint, "answer": answer}
