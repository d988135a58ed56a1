"""That each rule sees what it is there for: the manifests of production are spoilt in one place at a time."""

import copy
from collections.abc import Callable

import capacity
import figures
import mesh
import references
import runbooks
import watching
from manifests import Manifests

# What is spoilt, how, and which rule has to say so in which words.
FAULTS: list[tuple[Callable, Callable[[Manifests], None], str]] = []


def fault(rule: Callable, words: str):
    def note(spoil: Callable[[Manifests], None]):
        FAULTS.append((rule, spoil, words))
        return spoil

    return note


def service(m: Manifests) -> dict:
    """The container of a service."""
    return m.get("Deployment", "prepx-trading")["spec"]["template"]["spec"]["containers"][0]


@fault(references.selectors, "no pod has that")
def misspelt_selector(m):
    m.get("Service", "prepx-user")["spec"]["selector"]["app.kubernetes.io/name"] = "prepx-usr"


@fault(references.selectors, "no pod has that")
def policy_for_nobody(m):
    m.get("NetworkPolicy", "risk")["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0][
        "values"
    ].append("prepx-rsk")


@fault(references.ports, "leads to port gprc")
def misspelt_port(m):
    m.get("Service", "prepx-user")["spec"]["ports"][0]["targetPort"] = "gprc"


@fault(references.accounts_and_secrets, "no such ServiceAccount")
def unknown_account(m):
    m.get("Deployment", "prepx-user")["spec"]["template"]["spec"]["serviceAccountName"] = "prepx"


@fault(references.accounts_and_secrets, "it is not there")
def unknown_key_of_a_secret(m):
    m.get("ExternalSecret", "prepx-cluster")["spec"]["data"][0]["secretKey"] = "token"


@fault(references.settings, "no such setting")
def misspelt_setting(m):
    service(m)["env"].append({"name": "PREPX_LISTN", "value": "x"})


@fault(references.settings, "no such setting")
def misspelt_peer(m):
    m.settings()["PREPX_PEERS__MARKETDATA"] = "http://prepx-market-data:9000"


@fault(references.settings, "no such setting")
def misspelt_setting_of_a_table(m):
    m.settings()["PREPX_TELEMETRY__OTLP_ENDPONT"] = "http://otel-collector.monitoring:4317"


@fault(references.settings, "would be taken for settings")
def service_links(m):
    del m.get("Deployment", "prepx-user")["spec"]["template"]["spec"]["enableServiceLinks"]


@fault(references.hosts, "PREPX_PEERS__USER names prepx-users")
def unknown_host(m):
    m.settings()["PREPX_PEERS__USER"] = "http://prepx-users:9000"


@fault(references.hosts, "names port 9090")
def wrong_port(m):
    m.settings()["PREPX_PEERS__USER"] = "http://prepx-user:9090"


@fault(references.hosts, "PREPX_LOG_URL names kafka")
def unknown_brokers(m):
    m.settings()["PREPX_LOG_URL"] = "kafka://kafka:9092/prepx"


@fault(references.brokers, "listens at {9093: True}")
def plain_text_to_brokers(m):
    m.settings()["PREPX_LOG_URL"] = "kafka://prepx-kafka-bootstrap:9093/prepx"


@fault(references.brokers, "lets nobody through to it")
def brokers_behind_a_policy(m):
    m.get("NetworkPolicy", "to-kafka")["spec"]["egress"][0]["ports"][0]["port"] = 9092


@fault(references.brokers, "prepx-risk has not the CA")
def brokers_unknown(m):
    m.get("Deployment", "prepx-risk")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"] = []


@fault(references.scaling, "it is not there")
def scales_nothing(m):
    m.get("HorizontalPodAutoscaler", "prepx-user")["spec"]["scaleTargetRef"]["name"] = "user"


@fault(references.scaling, "the adapter offers")
def unknown_metric(m):
    m.get("HorizontalPodAutoscaler", "prepx-user")["spec"]["metrics"][2]["pods"]["metric"]["name"] = "requests"


@fault(references.scaling, "no program exports it")
def unexported_series(m):
    adapter = m.get("ConfigMap", "prometheus-adapter-prepx")["data"]
    adapter["config.yaml"] = adapter["config.yaml"].replace("prepx_calls_total{", "prepx_requests_total{")


@fault(references.probes, "probe_listen is 9090")
def probe_elsewhere(m):
    service(m)["livenessProbe"]["grpc"]["port"] = 9000


@fault(references.probes, "no proto has it")
def probe_of_nothing(m):
    service(m)["startupProbe"]["grpc"]["service"] = "prepx.platform.v1.Part"


@fault(references.probes, "the program does not serve that")
def probe_of_who_does_not_tell(m):
    gateway = m.get("Deployment", "prepx-gateway")["spec"]["template"]["spec"]["containers"][0]
    gateway["livenessProbe"]["grpc"]["service"] = references.PART


@fault(references.probes, "the drain 20 s")
def too_little_grace(m):
    m.get("Deployment", "prepx-trading")["spec"]["template"]["spec"]["terminationGracePeriodSeconds"] = 25


@fault(capacity.deployed, "has partitions = 64")
def other_partitions_than_the_model_knows(m):
    m.settings()["PREPX_ACCOUNT_PARTITIONS"] = "32"


@fault(capacity.deployed, "pods of gateway; the manifests have others")
def other_pods_than_the_model_knows(m):
    m.get("HorizontalPodAutoscaler", "prepx-gateway")["spec"]["maxReplicas"] = 99


@fault(mesh.rollouts, "it is not there")
def rollout_of_nothing(m):
    m.get("Rollout", "prepx-user")["spec"]["workloadRef"]["name"] = "user"


@fault(mesh.rollouts, "Argo Rollouts refuses that")
def delay_without_traffic(m):
    m.get("Rollout", "prepx-analytics")["spec"]["strategy"]["canary"]["scaleDownDelaySeconds"] = 60


@fault(mesh.rollouts, "moves weights of")
def weights_that_stay(m):
    m.get("Rollout", "prepx-user")["spec"]["strategy"]["canary"]["trafficRouting"]["istio"]["virtualService"][
        "routes"
    ].pop()


@fault(mesh.rollouts, "one is not there")
def judged_by_nobody(m):
    steps = m.get("Rollout", "prepx-trading")["spec"]["strategy"]["canary"]["steps"]
    steps[0]["analysis"]["templates"][0]["templateName"] = "prepx-shadows"


@fault(mesh.rollouts, "it never ends")
def judged_for_ever(m):
    del m.get("AnalysisTemplate", "prepx-preview")["spec"]["metrics"][0]["count"]


@fault(mesh.rollouts, "gives AnalysisTemplate prepx-calls no hash")
def argument_left_out(m):
    m.get("Rollout", "prepx-user")["spec"]["strategy"]["canary"]["analysis"]["args"].pop()


@fault(mesh.rollouts, "nobody exports it")
def judged_by_nothing(m):
    metric = m.get("AnalysisTemplate", "prepx-calls")["spec"]["metrics"][0]["provider"]["prometheus"]
    metric["query"] = metric["query"].replace("prepx_calls_total", "prepx_call_total")


@fault(mesh.routes, "has no subset v3")
def unknown_subset(m):
    m.get("VirtualService", "prepx-user")["spec"]["http"][-1]["route"][0]["destination"]["subset"] = "v3"


@fault(mesh.routes, "its weights are")
def weights_that_do_not_add_up(m):
    m.get("VirtualService", "prepx-user")["spec"]["http"][-1]["route"][0]["weight"] = 70


@fault(mesh.routes, "would repeat what changes something")
def a_write_is_repeated(m):
    m.get("VirtualService", "prepx-trading")["spec"]["http"][-1]["retries"]["retryOn"] += ",unavailable"


@fault(mesh.routes, "would repeat what changes something")
def a_write_among_reads(m):
    reads = m.get("VirtualService", "prepx-trading")["spec"]["http"][1]
    reads["match"].append({"uri": {"prefix": "/prepx.trading.v1.TradingService/CancelOrder"}})


@fault(mesh.routes, "no method begins with")
def unknown_method(m):
    m.get("VirtualService", "prepx-user")["spec"]["http"][1]["match"][0]["uri"][
        "prefix"
    ] = "/prepx.user.v1.UserService/Swap"


@fault(mesh.rules_of_destinations, "there is no such Service")
def rule_for_nobody(m):
    m.get("DestinationRule", "prepx-user")["spec"]["host"] = "prepx-users"


@fault(mesh.rules_of_destinations, "no pod is of the subset")
def empty_subset(m):
    m.get("DestinationRule", "prepx-user")["spec"]["subsets"][0]["labels"] = {"version": "v1"}


@fault(mesh.policies, "there is no such method")
def unknown_path(m):
    m.get("AuthorizationPolicy", "prepx-user")["spec"]["rules"][1]["to"][0]["operation"]["paths"].append(
        "/prepx.user.v1.UserService/Steal"
    )


@fault(mesh.policies, "there is no such ServiceAccount")
def unknown_caller(m):
    m.get("AuthorizationPolicy", "prepx-user")["spec"]["rules"][1]["from"][0]["source"]["principals"].append(
        "cluster.local/ns/prepx/sa/prepx-thief"
    )


@fault(mesh.policies, "differ")
def network_and_mesh_differ(m):
    m.get("NetworkPolicy", "analytics")["spec"]["ingress"][0]["from"][0]["podSelector"]["matchExpressions"][0][
        "values"
    ].append("prepx-user")


@fault(mesh.policies, "the gateway hands on other services")
def service_that_clients_cannot_reach(m):
    m.get("AuthorizationPolicy", "prepx-analytics")["spec"]["rules"][0]["to"][0]["operation"]["paths"].pop(0)


@fault(references.topics, "declared is")
def topic_of_another_size(m):
    m.get("KafkaTopic", "prepx.market-data")["spec"]["partitions"] = 32


@fault(references.topics, "is declared, and not here")
def topic_left_out(m):
    m.docs.remove(m.get("KafkaTopic", "prepx.market-data"))


@fault(references.shards, "docs/sql-shards.toml differ")
def shard_left_out(m):
    environment = m.get("Deployment", "prepx-portfolio")["spec"]["template"]["spec"]["containers"][0]["env"]
    told = next(entry for entry in environment if entry["name"] == "PREPX_SQL_SHARDS")
    told["value"] = told["value"].replace("[60, 61, 62, 63]", "[60, 61, 62]")


@fault(references.shards, "is told to ['prepx-portfolio'] only")
def tables_made_elsewhere(m):
    m.get("Job", "prepx-schemas")["spec"]["template"]["spec"]["containers"][0]["env"].pop()


@fault(references.shards, "there is no such Cluster")
def pooler_of_nothing(m):
    m.get("Pooler", "prepx-sql-home-pool")["spec"]["cluster"]["name"] = "prepx-sql"


@fault(references.protocols, "does not say what its port 9000 speaks")
def port_without_a_protocol(m):
    m.get("Service", "prepx-gateway")["spec"]["ports"][0].pop("appProtocol")


@fault(references.exporters, "tells metrics by prepx-kafka-metrics, rules.yml: it is not there")
def metrics_of_kafka_left_out(m):
    m.docs.remove(m.get("ConfigMap", "prepx-kafka-metrics"))


def redis(m: Manifests) -> dict:
    return m.get("StatefulSet", "prepx-redis")["spec"]["template"]["spec"]["containers"][0]


@fault(references.flags, "no flags with a value each")
def a_flag_taken_for_its_value(m):
    redis(m)["args"][4] = "384mb"


@fault(references.flags, "lets Redis have 6826mb of 4Gi")
def more_than_the_container_has(m):
    redis(m)["resources"]["limits"]["memory"] = "4Gi"


@fault(references.accounts_and_secrets, "mounts the ConfigMap prepx-rule")
def rules_left_out(m):
    volumes = m.beside.get("StatefulSet", "prometheus")["spec"]["template"]["spec"]["volumes"]
    next(one for one in volumes if one["name"] == "rules")["configMap"]["name"] = "prepx-rule"
    m.docs += m.beside.docs


@fault(mesh.providers, "names the provider otlp")
def unknown_provider(m):
    m.get("Telemetry", "prepx")["spec"]["tracing"][0]["providers"][0]["name"] = "otlp"


@fault(mesh.providers, "there is no such Service")
def provider_that_is_not_there(m):
    m.beside.get("Service", "otel-collector")["spec"]["ports"][0]["port"] = 4318


@fault(watching.scraped, "says that its metrics are at 9091")
def metrics_elsewhere(m):
    m.get("Deployment", "prepx-user")["spec"]["template"]["metadata"]["annotations"]["prometheus.io/port"] = "9091"


@fault(watching.scraped, "the network does not let Prometheus there")
def metrics_that_nobody_may_ask_for(m):
    m.get("NetworkPolicy", "services")["spec"]["ingress"].pop()


@fault(watching.named, "is told of otel-colector.monitoring:4317: there is no such Service")
def unknown_collector(m):
    m.settings()["PREPX_TELEMETRY__OTLP_ENDPOINT"] = "http://otel-colector.monitoring:4317"


@fault(watching.named, "Deployment prepx-user is told of otel-collector.monitoring:4317: the network does not let it there")
def collector_behind_a_wall(m):
    m.beside.get("NetworkPolicy", "otel-collector")["spec"]["ingress"].pop(0)


@fault(watching.named, "DaemonSet log-shipper is told of loki.monitoring:3100: the network does not let it there")
def logs_that_do_not_come(m):
    m.beside.get("NetworkPolicy", "loki")["spec"]["ingress"][0]["from"].pop()


def collector(m: Manifests) -> dict:
    """The files of the collector."""
    return m.beside.generated("otel-collector")["data"]


@fault(watching.pipelines, "defines other exporters than it uses: ['otlp_grpc', 'otlp_grpc/jaeger']")
def exporter_of_another_name(m):
    collector(m)["config.yaml"] = collector(m)["config.yaml"].replace("exporters: [otlp_grpc]", "exporters: [otlp_grpc/jaeger]")


@fault(watching.pipelines, "has the port 13133")
def probes_where_nobody_listens(m):
    collector(m)["config.yaml"] = collector(m)["config.yaml"].replace("13133", "13134")


@fault(watching.shown, "nothing is mounted there")
def dashboards_elsewhere(m):
    mounts = m.beside.get("Deployment", "grafana")["spec"]["template"]["spec"]["containers"][0]["volumeMounts"]
    next(mount for mount in mounts if mount["name"] == "dashboards")["mountPath"] = "/dashboards"


@fault(watching.shown, "Grafana asks for exemplars: Prometheus keeps none")
def exemplars_that_nobody_keeps(m):
    m.beside.get("StatefulSet", "prometheus")["spec"]["template"]["spec"]["containers"][0]["args"].remove(watching.EXEMPLARS)


@fault(watching.shown, "by the exemplars' label traceID")
def exemplars_by_another_label(m):
    files = next(doc["data"] for doc in m.beside.docs if doc["kind"] == "ConfigMap" and "datasources.yml" in doc["data"])
    files["datasources.yml"] = files["datasources.yml"].replace("name: trace_id", "name: traceID")


@fault(runbooks.named, "there is no prepx-redis-0")
def a_runbook_that_names_nobody(m):
    m.docs.remove(m.get("StatefulSet", "prepx-redis"))


@fault(runbooks.named, "no pod has app.kubernetes.io/name=prepx-trading")
def a_runbook_that_looks_for_another_label(m):
    m.get("Deployment", "prepx-trading")["spec"]["template"]["metadata"]["labels"]["app.kubernetes.io/name"] = "trading"


def unseen(sound: Manifests) -> list[str]:
    """The faults that nobody sees, and the rules that no fault tries."""
    wrong = []
    for rule, spoil, words in FAULTS:
        spoilt = Manifests(copy.deepcopy(sound.docs), Manifests(copy.deepcopy(sound.beside.docs)))
        spoil(spoilt)
        said = list(rule(Manifests(spoilt.docs, Manifests(spoilt.beside.docs))))
        if not any(words in problem for problem in said):
            wrong.append(f"tests/k8s: {rule.__name__} does not see {spoil.__name__}: it says {said}")
    tried = {rule for rule, _, _ in FAULTS}
    rules = [*references.RULES, *figures.RULES, *runbooks.RULES]
    return wrong + [f"tests/k8s: no fault tries the rule {rule.__name__}" for rule in rules if rule not in tried]
