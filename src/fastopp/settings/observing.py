"""The settings of logs, of the monitor, of alerts, and of what is sent elsewhere."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal
from urllib.parse import unquote

from pydantic import BaseModel, Field, SecretStr

from fastopp.settings.alerting import AlertChoice, Webhook, parse_alerts, parse_webhooks

if TYPE_CHECKING:
    # Of `SettingsFields`.
    Environment = Literal["development", "production"]


class ObservingSettings(BaseModel):
    """Settings of logs and of records; `fastopp.settings.Settings` has them all."""

    if TYPE_CHECKING:
        environment: Environment

    log_format: Literal["", "json", "text"] = Field(
        "",
        description="`json`: one JSON object a line; `text`: for people. Default: `json` in production, which every "
        "hosting platform is, and `text` in development.",
    )
    slow_request_ms: int = Field(
        1000, ge=0, description="Milliseconds from which a request is logged as slow; 0 never does."
    )
    slow_query_ms: int = Field(
        500, ge=0, description="Milliseconds from which a query is logged and kept as slow; 0 never does."
    )
    repeated_queries: int = Field(
        10,
        ge=0,
        description="In development, a request that runs the same query so many times is logged with the line that "
        "does it; 0 never is.",
    )
    monitor: bool = Field(
        True, description="Record requests, tasks and queries, and keep the figures in the database; `false` does not."
    )
    monitor_keep_days: int = Field(
        90, ge=1, le=3650, description="Days that the figures of each day are kept, beside the totals."
    )

    alerts: str = Field(
        "",
        description="Changes to the rules of alerts, separated by commas, like `latency=off, storage=90%`; `off` "
        "evaluates none.",
    )
    alert_webhooks: SecretStr = Field(
        SecretStr(""),
        description="URLs that messages about alerts are posted to, separated by spaces. `slack+https://…`, "
        "`discord+https://…` and `ntfy+https://…` write what these understand; their usual addresses need no word.",
    )
    alert_webhook_secret: SecretStr = Field(
        SecretStr(""),
        description="Key that signs messages to other webhooks, as Standard Webhooks do it; at least 24 characters.",
    )
    alert_mail: str = Field("", description="Email addresses that get messages about alerts, separated by commas.")
    heartbeat_url: SecretStr = Field(
        SecretStr(""),
        description="URL of a service like healthchecks.io that is called after a drain, at most each minute; it "
        "raises an alarm when the calls stop.",
    )
    otel_exporter_otlp_endpoint: str = Field(
        "",
        description="Address of a collector for traces and figures, by OTLP over HTTP, like `http://localhost:4318`. "
        "Needs the extra `fastopp[otlp]`.",
    )
    otel_exporter_otlp_headers: SecretStr = Field(
        SecretStr(""), description="Headers of its requests, like `Authorization=Basic%20…,X-Scope=shop`."
    )
    otel_service_name: str = Field(
        "", max_length=200, description="Name of the site at the collector. Default: `fastopp`."
    )
    otel_traces_sampler: Literal[
        "always_on",
        "always_off",
        "traceidratio",
        "parentbased_always_on",
        "parentbased_always_off",
        "parentbased_traceidratio",
    ] = Field(
        "parentbased_always_on",
        description="Requests that are traced; with `parentbased_…`, who sends a `traceparent` decides for it.",
    )
    otel_traces_sampler_arg: float = Field(
        1.0, ge=0, le=1, description="Share of them, for `traceidratio` and `parentbased_traceidratio`."
    )
    sentry_dsn: SecretStr = Field(
        SecretStr(""),
        description="DSN of a project at Sentry, which errors are sent to. Needs the extra `fastopp[sentry]`.",
    )

    @property
    def alert_choice(self) -> AlertChoice:
        """The changes to the rules of alerts. Raises AlertSettingError."""
        return parse_alerts(self.alerts)

    @property
    def webhooks(self) -> tuple[Webhook, ...]:
        """The webhooks of alerts. Raises AlertSettingError."""
        return parse_webhooks(self.alert_webhooks.get_secret_value())

    @property
    def alert_addresses(self) -> tuple[str, ...]:
        """The email addresses of alerts."""
        return tuple(filter(None, (address.strip() for address in self.alert_mail.split(","))))

    @property
    def traces(self) -> bool:
        """Whether traces and figures are sent to a collector: the monitor measures them."""
        return self.monitor and bool(self.otel_exporter_otlp_endpoint)

    @property
    def otlp_headers(self) -> dict[str, str]:
        """The headers of requests to the collector, decoded."""
        pairs = (pair.partition("=") for pair in self.otel_exporter_otlp_headers.get_secret_value().split(","))
        return {name.strip(): unquote(value.strip()) for name, equals, value in pairs if equals and name.strip()}

    @property
    def json_logs(self) -> bool:
        """Whether log lines are JSON."""
        return self.log_format == "json" or (not self.log_format and self.environment != "development")
