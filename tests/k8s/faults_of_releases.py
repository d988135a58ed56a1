"""That the rules of releases and of the requirements' figures see what they are there for; tests/k8s/faults.py tries them."""

import figures
import releases
from faults import fault
from manifests import Manifests


def canary(m: Manifests, service: str) -> dict:
    return m.get("Rollout", service)["spec"]["strategy"]["canary"]


def turn(m: Manifests, service: str, wave: str):
    for kind in ("Rollout", "Deployment"):
        m.get(kind, service)["metadata"]["annotations"][releases.WAVE] = wave


@fault(releases.order, "have no turn, or two")
def two_turns(m):
    m.get("Deployment", "prepx-user")["metadata"]["annotations"][releases.WAVE] = "2"


@fault(releases.order, "prepx-portfolio has to come before prepx-risk")
def a_reader_after_the_owners(m):
    turn(m, "prepx-portfolio", "3")


@fault(releases.order, "prepx-risk has to come before prepx-trading")
def who_is_called_after_who_calls(m):
    turn(m, "prepx-risk", "3")


@fault(releases.order, "prepx-trading has to come before prepx-gateway")
def the_gateway_before_others(m):
    turn(m, "prepx-gateway", "3")


@fault(releases.order, "HorizontalPodAutoscaler prepx-user comes before what it scales")
def an_autoscaler_of_what_is_not_there(m):
    m.get("HorizontalPodAutoscaler", "prepx-user")["metadata"]["annotations"].pop(releases.WAVE)


@fault(releases.room, "has dynamicStableScale")
def the_version_before_becomes_small(m):
    canary(m, "prepx-trading")["dynamicStableScale"] = True


@fault(releases.room, "has rollbackWindow")
def all_calls_to_the_first_pod(m):
    m.get("Rollout", "prepx-user")["spec"]["rollbackWindow"] = {"revisions": 3}


@fault(releases.room, "has setCanaryScale")
def fewer_pods_than_calls(m):
    canary(m, "prepx-user")["steps"].insert(0, {"setCanaryScale": {"replicas": 1}})


@fault(releases.room, "takes pods away before there are others")
def pods_that_go_first(m):
    canary(m, "prepx-portfolio")["maxUnavailable"] = "25%"


@fault(releases.room, "they rise to 100")
def weights_that_end_early(m):
    canary(m, "prepx-user")["steps"].pop()


@fault(releases.kept, "is taken away by Argo CD")
def settings_taken_away(m):
    m.generated("prepx-settings")["metadata"].pop("annotations")


@fault(releases.ignored, "puts VirtualService .spec.http[].route[].weight back")
def weights_put_back(m):
    m.get("Application", "prepx")["spec"]["ignoreDifferences"].pop(0)


@fault(releases.ignored, "only to show them")
def differences_put_back(m):
    m.get("Application", "prepx")["spec"]["syncPolicy"]["syncOptions"].remove("RespectIgnoreDifferences=true")


@fault(figures.replicas, "pods of user: (25, 71)")
def other_replicas(m):
    m.get("HorizontalPodAutoscaler", "prepx-user")["spec"]["maxReplicas"] = 71


@fault(figures.rollouts, "steps of trading")
def a_shorter_pause(m):
    canary(m, "prepx-trading")["steps"][2]["pause"]["duration"] = "1m"


@fault(figures.rollouts, "error-rate of AnalysisTemplate prepx-calls: 0.05")
def a_version_that_may_fail(m):
    metric = m.get("AnalysisTemplate", "prepx-calls")["spec"]["metrics"][0]
    metric["successCondition"] = metric["successCondition"].replace("0.01", "0.05")


@fault(figures.rollouts, "whether risk is shadowed")
def an_owner_that_is_not_shadowed(m):
    canary(m, "prepx-risk")["steps"].pop(0)


@fault(figures.routed, "weights of VirtualService prepx-user, calls")
def other_weights(m):
    for one, weight in zip(m.get("VirtualService", "prepx-user")["spec"]["http"][-1]["route"], (90, 10)):
        one["weight"] = weight


@fault(figures.sql, "parameters of Cluster prepx-sql-home")
def other_buffers(m):
    m.get("Cluster", "prepx-sql-home")["spec"]["postgresql"]["parameters"]["shared_buffers"] = "4GB"


@fault(figures.sql, "there is no daily backup of Cluster prepx-sql-home")
def no_backup(m):
    m.docs.remove(m.get("ScheduledBackup", "prepx-sql-home"))


@fault(figures.log, "settings of Kafka prepx")
def a_shorter_log(m):
    m.get("Kafka", "prepx")["spec"]["kafka"]["config"]["log.retention.hours"] = 24


@fault(figures.cache, "Redis: nodes")
def a_smaller_cache(m):
    m.get("StatefulSet", "prepx-redis")["spec"]["replicas"] = 18


def rules(m: Manifests) -> dict:
    return m.beside.generated("prepx-rules")["data"]


@fault(figures.alerts, "alert HighErrorRate: ({0.02}")
def an_alert_that_comes_late(m):
    rules(m)["alerts.yml"] = rules(m)["alerts.yml"].replace("ratio_rate5m > 0.01", "ratio_rate5m > 0.02")


@fault(figures.alerts, "alerts AvailabilityBudgetBurns")
def a_larger_budget(m):
    rules(m)["slo.yml"] = rules(m)["slo.yml"].replace("0.0001", "0.001")


@fault(figures.cache, "Redis: snapshots, one a day: 3")
def snapshots_of_three_days(m):
    keeper = m.get("StatefulSet", "prepx-redis")["spec"]["template"]["spec"]["containers"][1]
    next(entry for entry in keeper["env"] if entry["name"] == "KEPT")["value"] = "3"


@fault(figures.cache, "Redis has 20 GiB of disk")
def a_disk_without_room_for_snapshots(m):
    claim = m.get("StatefulSet", "prepx-redis")["spec"]["volumeClaimTemplates"][0]
    claim["spec"]["resources"]["requests"]["storage"] = "20Gi"


@fault(figures.edge, "the oldest TLS at api.prepx.com")
def an_older_tls_for_clients(m):
    m.get("Gateway", "prepx")["spec"]["servers"][0]["tls"]["minProtocolVersion"] = "TLSV1_2"


@fault(figures.seen, "metrics are kept for: 30d")
def metrics_for_a_month(m):
    words = m.beside.get("StatefulSet", "prometheus")["spec"]["template"]["spec"]["containers"][0]["args"]
    words[2] = words[2].replace("90d", "30d")
