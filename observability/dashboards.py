#!/usr/bin/env python3
"""Writes the Grafana dashboards of `dashboards/`: what each shows is said here, in one line a panel. A client test sees that the files are
what this writes, and that a platform that runs has an answer to every query."""

import json
import pathlib

HERE = pathlib.Path(__file__).parent
SERVICES = ["user", "trading", "risk", "portfolio", "market_data", "analytics", "notification"]
WIDE, HIGH, ACROSS = 8, 7, 24
EDGE = 'route!~"/api/health|/metrics|/openapi.json"'
# Histograms whose buckets name a trace.
WITH_EXEMPLARS = ("prepx_call_duration_seconds", "prepx_http_request_duration_seconds")
FAULTS = 'code=~"UNKNOWN|INTERNAL|UNAVAILABLE|DATA_LOSS|DEADLINE_EXCEEDED"'


def quantile(share: float, metric: str, by: str = "", matching: str = "") -> str:
    """A quantile of the last minutes out of a histogram."""
    labels = f"{by}, le" if by else "le"
    selector = f"{metric}_bucket{{{matching}}}" if matching else f"{metric}_bucket"
    return f"histogram_quantile({share}, sum by ({labels}) (rate({selector}[5m])))"


def quantiles(metric: str, matching: str = "") -> list:
    """p50, p95 and p99."""
    shares = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
    return [(quantile(share, metric, matching=matching), name) for name, share in shares.items()]


def panel(title: str, unit: str, *queries: tuple[str, str], stat: bool = False) -> dict:
    """Queries with their legends, over time or as they are now."""
    targets = [
        {"refId": chr(ord("A") + at), "expr": expr, "legendFormat": legend, "datasource": {"type": "prometheus", "uid": "${datasource}"}}
        for at, (expr, legend) in enumerate(queries)
    ]
    for target in targets:
        if any(f"{name}_bucket" in target["expr"] for name in WITH_EXEMPLARS):
            target["exemplar"] = True
    return {
        "title": title,
        "type": "stat" if stat else "timeseries",
        "datasource": {"type": "prometheus", "uid": "${datasource}"},
        "fieldConfig": {"defaults": {"unit": unit}, "overrides": []},
        "targets": targets,
    }


def process() -> list[dict]:
    """What every process says of itself."""
    by = "{{job}} {{instance}}"
    return [
        panel("CPU", "percentunit", ("rate(process_cpu_milliseconds_total[5m]) / 1000", by)),
        panel("Memory", "bytes", ("process_resident_memory_bytes", by)),
        panel("Workers busy", "percentunit", ("rate(prepx_runtime_busy_milliseconds_total[5m]) / 1000 / prepx_runtime_workers", by)),
        panel("Tasks", "short", ("prepx_runtime_tasks", "{{instance}} alive"), ("prepx_runtime_waiting_tasks", "{{instance}} waiting")),
        panel("File descriptors", "percentunit", ("process_open_fds / process_max_fds", by)),
        panel("Threads", "short", ("process_threads", by)),
    ]


def queues() -> list[dict]:
    """Utilisation and saturation of everything that is bounded."""
    return [
        panel("Queues: places taken", "percentunit", ("prepx:queue_entries:used_ratio", "{{queue}}")),
        panel("Queues: turned away", "reqps", ("sum by (queue) (rate(prepx_queue_refusals_total[5m]))", "{{queue}}")),
        panel("Consumers: lag", "s", ("max by (consumer) (prepx_consumer_lag_seconds)", "{{consumer}}")),
    ]


def overview() -> list[dict]:
    budget = lambda ratio, allowed: f"1 - {ratio} / {allowed}"
    return [
        panel("Availability, 1 h", "percentunit", ("1 - prepx:edge_errors:ratio_rate1h", "{{edge}}"), stat=True),
        panel("Error budget left, 3 d", "percentunit", (budget("prepx:edge_errors:ratio_rate3d", 0.0001), "{{edge}}"), stat=True),
        panel("Within 100 ms, 1 h", "percentunit", ("1 - prepx:edge_slow:ratio_rate1h", "{{edge}}"), stat=True),
        panel("Requests", "reqps", ("prepx:edge_requests:rate5m", "{{edge}}")),
        panel("Faults", "percentunit", ("prepx:edge_errors:ratio_rate5m", "{{edge}}")),
        panel(
            "Latency", "s",
            ("prepx:edge_latency_seconds:p50_rate5m", "p50 {{edge}}"),
            ("prepx:edge_latency_seconds:p95_rate5m", "p95 {{edge}}"),
            ("prepx:edge_latency_seconds:p99_rate5m", "p99 {{edge}}"),
        ),
        panel("Calls by service", "reqps", ("prepx:service_calls:rate5m", "{{service}}")),
        panel("p99 by service", "s", ("prepx:service_latency_seconds:p99_rate5m", "{{service}}")),
        panel("Status over HTTP", "reqps", (f"sum by (status) (rate(prepx_http_requests_total{{{EDGE}}}[5m]))", "{{status}}")),
        *queues(),
        panel("Cache hits", "percentunit", ("prepx:cache_hits:ratio_rate5m", "hits")),
        panel("Versions", "short", ("sum by (service, version) (prepx_build_info)", "{{service}} {{version}}")),
        panel("Up since", "dateTimeFromNow", ("process_start_time_seconds * 1000", "{{job}} {{instance}}"), stat=True),
        *process(),
    ]


def gateway() -> list[dict]:
    """Requests over HTTP; those over gRPC are counted by the services that they are for."""
    rate = f"rate(prepx_http_requests_total{{{EDGE}}}[5m])"
    faults = f'(sum(rate(prepx_http_requests_total{{{EDGE},status=~"5.."}}[5m])) or vector(0))'
    return [
        panel("Requests", "reqps", (f"sum by (method, route) ({rate})", "{{method}} {{route}}")),
        panel("Status", "reqps", (f"sum by (status) ({rate})", "{{status}}")),
        panel("Faults", "percentunit", (f"{faults} / sum({rate})", "faults")),
        panel("Duration", "s", *quantiles("prepx_http_request_duration_seconds", EDGE)),
        panel("p95 by route", "s", (quantile(0.95, "prepx_http_request_duration_seconds", "method, route", EDGE), "{{method}} {{route}}")),
        panel("Under way", "short", ("sum(prepx_http_requests_in_flight)", "requests")),
        panel("Sockets and connections", "short", ("sum(prepx_sockets)", "sockets"), ('sum(prepx_queue_entries{queue="connections"})', "connections")),
        panel("Over a rate limit", "reqps", ("sum by (limiter) (rate(prepx_rate_limited_total[5m]))", "{{limiter}}")),
        panel("Failed TLS handshakes", "reqps", ("sum by (side, reason) (rate(prepx_tls_handshakes_failed_total[5m]))", "{{side}} {{reason}}")),
        *process(),
    ]


def service(name: str) -> list[dict]:
    of = f'method=~"/prepx[.]{name}[.].*"'
    rate = f"rate(prepx_calls_total{{{of}}}[5m])"
    return [
        panel("Calls", "reqps", (f"sum by (method) ({rate})", "{{method}}")),
        panel("Codes", "reqps", (f"sum by (code) ({rate})", "{{code}}")),
        panel("Faults", "percentunit", (f"(sum(rate(prepx_calls_total{{{of},{FAULTS}}}[5m])) or vector(0)) / sum({rate})", "faults")),
        panel("Duration", "s", *quantiles("prepx_call_duration_seconds", of)),
        panel("p95 by method", "s", (quantile(0.95, "prepx_call_duration_seconds", "method", of), "{{method}}")),
        panel("Under way", "short", (f"sum by (method) (prepx_calls_in_flight{{{of}}})", "{{method}}")),
        *OF_SERVICE.get(name, []),
        *process(),
    ]


def schema(name: str) -> list[dict]:
    of = f'schema="{name}"'
    return [
        panel(f"{name}: transactions", "s", *quantiles("prepx_store_use_seconds", of)),
        panel(f"{name}: connections busy", "short", (f'sum by (pool) (prepx_store_connections{{{of},state="busy"}})', "{{pool}}")),
    ]


def lag(consumer: str) -> dict:
    return panel("Lag", "short", (f'sum by (consumer) (prepx_consumer_lag_records{{consumer=~"{consumer}.*"}})', "{{consumer}}"))


OF_SERVICE = {
    "user": [*schema("user"), panel("Password hashes", "short", ('sum by (queue) (prepx_queue_entries{queue=~"hashes|passwords"})', "{{queue}}"))],
    "trading": [
        panel("Accepted", "ops", ("prepx:orders_accepted:rate5m", "{{action}}")),
        panel("Refused", "ops", ("sum by (reason) (rate(prepx_order_rejects_total[5m]))", "{{reason}}")),
    ],
    "portfolio": [*schema("portfolio"), lag("portfolio")],
    "market_data": [*schema("market_data"), lag("market-data")],
    "analytics": [*schema("audit"), lag("audit")],
    "notification": [
        lag("notification|webhooks"),
        panel("Listeners", "short", ("sum(prepx_listeners)", "listening"), ("sum(rate(prepx_listeners_too_slow_total[5m]))", "ended a second: too slow")),
        panel("Webhooks", "short", ("sum by (topic) (prepx_errands_waiting)", "{{topic}}"), ("max by (group) (prepx_dead_letters)", "dead letters")),
    ],
}


def order_path() -> list[dict]:
    submit = 'method="/prepx.trading.v1.TradingService/SubmitOrder"'
    return [
        panel("Orders accepted", "ops", ("prepx:orders_accepted:rate5m", "{{action}}")),
        panel("Orders refused", "percentunit", ("prepx:order_rejects:ratio_rate5m", "refused")),
        panel("SubmitOrder", "s", *quantiles("prepx_call_duration_seconds", submit)),
        panel("Commands under way", "short", ('sum(prepx_queue_entries{queue="commands"})', "taken"), ('sum(prepx_queue_entries_max{queue="commands"})', "most")),
        panel("Sync of the log", "s", *quantiles("prepx_log_sync_seconds")),
        panel("Syncs and writes", "ops", ("sum(rate(prepx_log_sync_seconds_count[5m]))", "syncs"), ("sum(rate(prepx_log_write_seconds_count[5m]))", "writes")),
        panel("Orders a sync", "short", ("sum(rate(prepx_orders_accepted_total[5m])) / sum(rate(prepx_log_sync_seconds_count[5m]))", "orders")),
        panel("Written to the log", "Bps", ("sum(rate(prepx_log_written_bytes_total[5m]))", "bytes")),
        panel("Write to the log", "s", *quantiles("prepx_log_write_seconds")),
        *queues(),
        panel("Records not taken", "short", ("max by (consumer) (prepx_consumer_lag_records)", "{{consumer}}")),
        panel("Bytes not taken", "bytes", ("max by (consumer) (prepx_consumer_lag_positions)", "{{consumer}}")),
        panel("Lanes: messages not taken", "short", ("max by (to) (prepx:lane_lag_messages)", "longest to {{to}}"), ("sum(prepx:lane_lag_messages)", "all")),
    ]


def kafka() -> list[dict]:
    return [
        panel("Lag", "s", ("max by (consumer) (prepx_consumer_lag_seconds)", "{{consumer}}")),
        panel("Records not taken", "short", ("max by (consumer) (prepx_consumer_lag_records)", "{{consumer}}")),
        panel("Takeovers", "s", ("max by (partition) (prepx_takeover_seconds)", "{{partition}}")),
        panel("Records folded at a takeover", "short", ("max by (partition) (prepx_takeover_records)", "{{partition}}")),
        panel("Takeovers with a copy", "short", ("max by (partition) (prepx_takeover_warm)", "{{partition}}")),
        panel("Copies that stand by", "bytes", ("sum by (stage) (prepx_standby_bytes)", "{{stage}}")),
        panel("Partitions with a copy", "short", ("sum by (stage) (prepx_standby_partitions)", "{{stage}}")),
        panel("Copies begun anew", "short", ("sum by (partition) (increase(prepx_standby_failures_total[15m]))", "{{partition}}")),
        panel("Archives", "s", ("max by (partition) (prepx_archive_age_seconds)", "{{partition}} age"), ("sum by (partition) (increase(prepx_archive_failures_total[15m]))", "{{partition}} failures")),
        panel("In", "Bps", ("sum by (topic) (rate(kafka_server_brokertopicmetrics_bytesin_total[5m]))", "{{topic}}")),
        panel("Out", "Bps", ("sum by (topic) (rate(kafka_server_brokertopicmetrics_bytesout_total[5m]))", "{{topic}}")),
        panel("Partitions in trouble", "short", ("sum(kafka_server_replicamanager_underreplicatedpartitions)", "too few copies"), ("sum(kafka_controller_kafkacontroller_offlinepartitionscount)", "no leader")),
    ]


def postgresql() -> list[dict]:
    return [
        panel("Connections busy", "percentunit", ("prepx:store_connections:used_ratio", "{{schema}} {{pool}}")),
        panel("Waiting for a connection, p95", "s", (quantile(0.95, "prepx_store_wait_seconds", "schema, pool"), "{{schema}} {{pool}}")),
        panel("Transactions, p95", "s", ("prepx:store_use_seconds:p95_rate5m", "{{schema}}")),
        panel("Transactions", "ops", ("sum by (schema, pool) (rate(prepx_store_use_seconds_count[5m]))", "{{schema}} {{pool}}")),
        panel("Connections", "short", ("sum by (schema, pool, state) (prepx_store_connections)", "{{schema}} {{pool}} {{state}}"), ("sum by (schema, pool) (prepx_store_connections_max)", "{{schema}} {{pool}} most")),
        panel("Who leads", "short", ('max by (schema, server) (prepx_store_server{role="leads"})', "{{schema}} {{server}}")),
        panel("Servers away", "short", ('max by (schema, server) (prepx_store_server{role="away"})', "{{schema}} {{server}}")),
        panel("Replicas' delay", "s", ("max by (server) (prepx_store_server_delay_seconds)", "{{server}}"), ("max by (pod) (cnpg_pg_replication_lag)", "{{pod}} by itself")),
        panel("Backends", "short", ("sum by (pod, state) (cnpg_backends_total)", "{{pod}} {{state}}"), ('max by (pod) (cnpg_pg_settings_setting{name="max_connections"})', "{{pod}} most")),
    ]


def redis() -> list[dict]:
    lookups = "(rate(prepx_cache_hits_total[5m]) + rate(prepx_cache_misses_total[5m]))"
    return [
        panel("Hits of all", "percentunit", ("prepx:cache_hits:ratio_rate5m", "hits")),
        panel("Look-ups", "ops", (f"sum by (space, level) {lookups}", "{{space}} {{level}}")),
        panel("Hits by space and level", "percentunit", (f"sum by (space, level) (rate(prepx_cache_hits_total[5m])) / sum by (space, level) {lookups}", "{{space}} {{level}}")),
        panel("Look-ups, p95", "s", (quantile(0.95, "prepx_cache_lookup_seconds", "level, outcome"), "{{level}} {{outcome}}")),
        panel("Let go of", "ops", ("sum by (space) (rate(prepx_cache_evictions_total[5m]))", "{{space}}"), ("max by (server) (rate(prepx_cache_server_evictions_total[5m]))", "{{server}}")),
        panel("Away and failing", "short", ("max by (level, server) (prepx_cache_away)", "{{level}} {{server}} away"), ("sum by (level) (rate(prepx_cache_failures_total[5m]))", "{{level}} failures a second")),
        panel("Memory", "percentunit", ("redis_memory_used_bytes / (redis_memory_max_bytes > 0)", "{{instance}}")),
        panel("Clients", "short", ("redis_connected_clients", "{{instance}}")),
        panel("Commands", "ops", ("rate(redis_commands_processed_total[5m])", "{{instance}}")),
        panel("Rate limits", "ops", ("sum by (limiter) (rate(prepx_rate_limited_total[5m]))", "{{limiter}}")),
    ]


def business() -> list[dict]:
    return [
        panel("Orders, 24 h", "short", ('sum(increase(prepx_orders_accepted_total{action="place"}[1d]))', "orders"), stat=True),
        panel("Trades, 24 h", "short", ("sum by (class) (increase(prepx_trades_total[1d]))", "{{class}}"), stat=True),
        panel("Traded, 24 h", "short", ("sum by (currency) (increase(prepx_traded_notional_micros_total[1d])) / 1e6", "{{currency}}"), stat=True),
        panel("Orders", "ops", ("prepx:orders_accepted:rate5m", "{{action}}")),
        panel("Rejects by reason", "ops", ("sum by (reason) (rate(prepx_order_rejects_total[5m]))", "{{reason}}")),
        panel("Refused of all", "percentunit", ("prepx:order_rejects:ratio_rate5m", "refused")),
        panel("Fills", "ops", ('sum(rate(prepx_activities_total{kind="fill"}[5m]))', "fills")),
        panel("Trades", "ops", ("sum by (class) (rate(prepx_trades_total[5m]))", "{{class}}")),
        panel("Notional a second", "short", ("sum by (currency) (rate(prepx_traded_notional_micros_total[5m])) / 1e6", "{{currency}}")),
        panel("Money in and out", "ops", ('sum by (kind) (rate(prepx_activities_total{kind=~"deposit|withdrawal|journal"}[5m]))', "{{kind}}")),
        panel("Active sessions", "short", ("prepx:sessions:active", "sessions"), ("sum(prepx_sockets)", "sockets"), ("sum(prepx_listeners)", "listeners")),
    ]


def dashboard(name: str, title: str, panels: list[dict]) -> dict:
    across = ACROSS // WIDE
    for at, one in enumerate(panels):
        one["id"] = at + 1
        one["gridPos"] = {"w": WIDE, "h": HIGH, "x": at % across * WIDE, "y": at // across * HIGH}
    source = {"name": "datasource", "type": "datasource", "query": "prometheus"}
    return {
        "uid": f"prepx-{name}",
        "title": f"PrepX: {title}",
        "tags": ["prepx"],
        "schemaVersion": 39,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": [source]},
        "links": [{"type": "dashboards", "tags": ["prepx"], "asDropdown": True, "title": "PrepX", "includeVars": True, "keepTime": True}],
        "panels": panels,
    }


def dashboards() -> dict[str, dict]:
    """By the name of the file."""
    parts = {
        "overview": ("overview", overview()),
        "order-path": ("order path", order_path()),
        "business": ("business", business()),
        "kafka": ("Kafka and owners of partitions", kafka()),
        "postgresql": ("PostgreSQL and SQLite", postgresql()),
        "redis": ("caches and Redis", redis()),
        "service-gateway": ("service gateway", gateway()),
    }
    for name in SERVICES:
        plain = name.replace("_", "-")
        parts[f"service-{plain}"] = (f"service {plain}", service(name))
    return {name: dashboard(name, title, panels) for name, (title, panels) in parts.items()}


def text(made: dict) -> str:
    return json.dumps(made, indent=1) + "\n"


if __name__ == "__main__":
    for name, made in dashboards().items():
        (HERE / "dashboards" / f"{name}.json").write_text(text(made))
