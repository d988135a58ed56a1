"""What a number of users asks for: load, then machines and disks, then dollars. Pure arithmetic over inputs.toml.

It counts what the measured programs take at the busiest moment, and keeps nothing in hand but what the inputs say:
the utilisation that is aimed at, and pods in every zone. Sizes are for all regions together."""

import dataclasses
import math
from collections.abc import Callable

DAY_S = 86_400
MONTH_H = 730
MONTH_DAYS = MONTH_H / 24
GIB = 2**30
GB = 10**9
SERVICES = ["gateway", "user", "trading", "risk", "portfolio", "market-data", "analytics", "notification"]
# Of these one pod works, whatever there is to do, and the others stand by.
ALONE = ["analytics"]
# Of these each pod writes its share and follows all.
FOLLOWING = ["portfolio", "market-data"]


@dataclasses.dataclass(frozen=True)
class Load:
    """What users do: on average over a day, and at the busiest moment, a second."""

    users: int
    requests: float
    requests_peak: float
    orders: float
    orders_peak: float
    sockets_peak: float
    messages: float
    messages_peak: float

    def reads_peak(self) -> float:
        return self.requests_peak - self.orders_peak


def load(users: int, inputs: dict) -> Load:
    of, peak = inputs["assumed"], inputs["assumed"]["peak_factor"]["value"]
    value = lambda name: of[name]["value"]
    requests, orders = (users * value(f"{what}_per_user_day") / DAY_S for what in ("requests", "orders"))
    sockets = users * value("concurrent_share") * value("sockets_per_concurrent_user")
    messages = sockets * value("data_sockets_share") * value("messages_per_data_socket_s")
    # The share that is there at a time is that of the busiest moment; on average there are as many fewer as requests.
    return Load(users, requests, requests * peak, orders, orders * peak, sockets, messages / peak, messages)


@dataclasses.dataclass(frozen=True)
class Pods:
    """So many of one shape."""

    count: int
    cpu: float
    memory_gib: float
    machine: str
    # What all of them do together, in cores, but for what each sees of what others do.
    cores: float = 0.0


@dataclasses.dataclass(frozen=True)
class Plan:
    """What it takes."""

    load: Load
    regions: int
    pods: dict[str, Pods]
    partitions: int
    shards: int
    kafka_gib: float
    sql_gib: float
    redis_gib: float
    objects_gib: float
    # Of services, for what they remember.
    memory_gib: float
    machines: dict[str, int]

    def machines_in_all(self) -> int:
        return sum(self.machines.values())

    def cpu_asked(self) -> float:
        """Cores that all pods ask for, of services and stores."""
        return sum(each.count * each.cpu for each in self.pods.values())

    def memory_asked_gib(self) -> float:
        return sum(each.count * each.memory_gib for each in self.pods.values())


def plan(users: int, inputs: dict) -> Plan:
    work = load(users, inputs)
    regions = inputs["assumed"]["regions"]["value"] if users >= inputs["assumed"]["regions_from_users"]["value"] else 1
    disks = kept(work, inputs)
    shards = sql_shards(work, disks["sql"], inputs)
    pods = {name: service(name, work, regions, inputs) for name in SERVICES}
    pods |= stores(work, disks, shards, regions, inputs)
    return Plan(
        work,
        regions,
        pods,
        partitions(work, inputs),
        shards,
        disks["kafka"],
        disks["sql"],
        disks["redis"],
        disks["objects"],
        sum(memory_gib(name, work, inputs) for name in SERVICES),
        machines(pods, inputs),
    )


def cores(part: str, work: Load, inputs: dict) -> float:
    """What a part does at the busiest moment."""
    measured = inputs["measured"]
    each = lambda what: measured[what].get(part, 0.0) / 1e6
    reads = sum(each(f"read_{kind}_cpu_us") * share for kind, share in read_shares(inputs).items())
    return (
        work.orders_peak * each("order_cpu_us")
        + work.reads_peak() * reads
        + work.messages_peak * each("message_cpu_us")
        + work.sockets_peak * each("socket_cpu_us_s")
    )


def seen(part: str, work: Load, inputs: dict) -> float:
    """The cores that each pod of a part takes at the busiest moment for what other pods do as well."""
    each = inputs["assumed"]["seen_order_cpu_us"]["value"] if part in FOLLOWING else 0.0
    return work.orders_peak * each / 1e6


def read_shares(inputs: dict) -> dict[str, float]:
    """How reads are shared out among the kinds that were measured."""
    found = {name: each["value"] for name, each in inputs["assumed"].items() if name.startswith("reads_")}
    return {name.removeprefix("reads_"): share / sum(found.values()) for name, share in found.items()}


def memory_gib(part: str, work: Load, inputs: dict) -> float:
    """What a part remembers for sockets, accounts and orders that rest."""
    measured, of = inputs["measured"], inputs["assumed"]
    sockets = work.sockets_peak * measured["socket_bytes"].get(part, 0)
    resting = work.users * of["resting_orders_per_user"]["value"] * measured["resting_order_bytes"].get(part, 0)
    accounts = work.users * of["account_bytes"]["value"] if part == "risk" else 0
    return (sockets + resting + accounts) / GIB


def service(name: str, work: Load, regions: int, inputs: dict) -> Pods:
    """As many pods as the work takes, and in each region enough to lose one; of those that work alone, enough to
    stand by. What each sees of the others' work is less that it can do itself: where that is all, no number is enough."""
    shape, of = inputs["shapes"][name], inputs["assumed"]
    busy, free = cores(name, work, inputs), shape["cpu"] * of["cpu_target"]["value"] - seen(name, work, inputs)
    by_cpu = busy / free if free > 0 else math.inf
    by_memory = memory_gib(name, work, inputs) / (shape["memory_gib"] * of["memory_target"]["value"])
    wanted = 0 if name in ALONE else math.ceil(max(by_cpu, by_memory))
    return Pods(max(wanted, shape["floor"] * regions), shape["cpu"], shape["memory_gib"], shape["machine"], busy)


def stores(work: Load, disks: dict[str, float], shards: int, regions: int, inputs: dict) -> dict[str, Pods]:
    of = inputs["assumed"]
    counts = {
        "kafka": count_by("kafka", cores("kafka", work, inputs), disks["kafka"], inputs),
        "controllers": 3,
        # The home database stands beside the shards.
        "postgres": (shards + 1) * of["sql_instances"]["value"],
        "redis": regions * redis_nodes(disks["redis"] / regions, inputs),
        "memcached": 3 * regions,
    }
    shape = inputs["shapes"]
    return {
        name: Pods(
            count, *(shape[name][field] for field in ("cpu", "memory_gib", "machine")), cores(name, work, inputs)
        )
        for name, count in counts.items()
    }


def count_by(name: str, busy: float, gib: float, inputs: dict) -> int:
    """As many as do the work and hold what is kept."""
    shape, of = inputs["shapes"][name], inputs["assumed"]
    by_cpu = busy / (shape["cpu"] * of["cpu_target"]["value"])
    by_disk = gib / (shape["disk_gib"] * of["disk_target"]["value"])
    return max(shape["floor"], math.ceil(by_cpu), math.ceil(by_disk))


def kept(work: Load, inputs: dict) -> dict[str, float]:
    """GiB on the disks at the end of the time that is kept, all copies of Kafka, one of each row, all of Redis; and in
    buckets: journals, and the backups of all databases with their logs."""
    measured, value = inputs["measured"], lambda name: inputs["assumed"][name]["value"]
    log, rows = measured["order_log_bytes"], measured["order_sql_bytes"]
    orders_day = work.orders * DAY_S
    sql = orders_day * value("history_days") * rows["tables"] / GIB
    active = work.users * value("concurrent_share") * value("cached_values_per_concurrent_user")
    backups = value("backup_days") * (sql + orders_day * rows["log"] / GIB) * value("backup_compressed")
    return {
        "kafka": orders_day * value("log_days") * log["kafka"] / GIB,
        "sql": sql,
        "redis": active * measured["cache_value_bytes"]["value"] * value("redis_copies") / GIB,
        "objects": orders_day * value("history_days") * log["archive"] / GIB + backups,
    }


def sql_shards(work: Load, gib: float, inputs: dict) -> int:
    """As many primaries as take the rows of the busiest moment, and hold those of all the time."""
    of, shape = inputs["assumed"], inputs["shapes"]["postgres"]
    rate = inputs["measured"]["shard_orders_s"]["value"] * of["cpu_target"]["value"]
    return max(1, math.ceil(work.orders_peak / rate), math.ceil(gib / (shape["disk_gib"] * of["disk_target"]["value"])))


def partitions(work: Load, inputs: dict) -> int:
    """Of accounts, and as many of instruments: each takes so many orders a second, the busiest more than its share."""
    rate = inputs["measured"]["partition_orders_s"]["value"] * inputs["assumed"]["cpu_target"]["value"]
    return max(1, math.ceil(work.orders_peak * inputs["assumed"]["busiest_partition_factor"]["value"] / rate))


def redis_nodes(gib: float, inputs: dict) -> int:
    """Of one region, in groups of a primary with its replicas."""
    shape, of = inputs["shapes"]["redis"], inputs["assumed"]
    copies = of["redis_copies"]["value"]
    groups = math.ceil(gib / copies / (shape["memory_gib"] * of["memory_target"]["value"]))
    return max(shape["floor"], groups * copies)


def machines(pods: dict[str, Pods], inputs: dict) -> dict[str, int]:
    """Of each kind as many as hold the CPU and the memory of their pods."""
    share = inputs["assumed"]["allocatable"]["value"]
    found = {}
    for kind, size in inputs["machines"].items():
        on = [each for each in pods.values() if each.machine == kind]
        by_cpu = sum(each.count * each.cpu for each in on) / (size["cpu"] * share)
        by_memory = sum(each.count * each.memory_gib for each in on) / (size["memory_gib"] * share)
        found[kind] = math.ceil(max(by_cpu, by_memory))
    return found


def bill(told: Plan, inputs: dict) -> dict[str, float]:
    """Dollars a month at list prices, by what for."""
    price = lambda name: inputs["prices"][name]["value"]
    out_gb, zones_gb = traffic_gb(told.load, inputs)
    compute = {f"machines, {kind}": count * price(kind) * MONTH_H for kind, count in told.machines.items()}
    lines = compute | {
        "control planes": told.regions * price("control_plane") * MONTH_H,
        "disks": disks_gib(told, inputs) * price("disk_gib_month"),
        "buckets": told.objects_gib * price("object_gib_month"),
        "to clients": out_gb * price("out_gb"),
        "between zones": zones_gb * price("zones_gb"),
        "load balancers": told.regions * price("load_balancer") * MONTH_H + out_gb * price("load_balancer_gb"),
    }
    lines["monitoring"] = sum(compute.values()) * inputs["assumed"]["monitoring_share"]["value"]
    return lines


def disks_gib(told: Plan, inputs: dict) -> float:
    """Disks, all copies, as large as they have to be for what is on them."""
    kept = told.kafka_gib + told.sql_gib * inputs["assumed"]["sql_instances"]["value"] + told.redis_gib
    return kept / inputs["assumed"]["disk_target"]["value"]


def traffic_gb(work: Load, inputs: dict) -> tuple[float, float]:
    """A month, to clients and from zone to zone: of what Kafka keeps all copies but one, and of the databases' log."""
    measured, month_s = inputs["measured"], MONTH_DAYS * DAY_S
    copies = inputs["assumed"]["sql_instances"]["value"]
    out = work.requests * measured["response_bytes"]["value"] + work.messages * measured["message_bytes"]["value"]
    between = measured["order_log_bytes"]["kafka"] * 2 / 3 + measured["order_sql_bytes"]["log"] * (copies - 1)
    return out * month_s / GB, work.orders * between * month_s / GB


def discounted(lines: dict[str, float], inputs: dict) -> float:
    """The sum, with machines that may be taken away at the price of those, and the others paid ahead."""
    of = inputs["assumed"]
    off = {f"machines, {kind}": of[f"{size['paid']}_discount"]["value"] for kind, size in inputs["machines"].items()}
    return sum(cost * (1 - off.get(name, 0.0)) for name, cost in lines.items())


def standing(inputs: dict) -> tuple[int, dict[str, float]]:
    """What is deployed costs a month for machines when nothing is asked of it: its servers of PostgreSQL, each on a
    machine of its own as terraform/ has them, and the least of everything else."""
    has, shapes = inputs["deployed"], inputs["shapes"]
    counts = {name: least for name, (least, _) in has["pods"].items()}
    counts |= {"kafka": has["kafka"], "controllers": 3, "redis": has["redis"], "memcached": 3}
    shape = lambda name: (shapes[name][field] for field in ("cpu", "memory_gib", "machine"))
    rest = machines({name: Pods(count, *shape(name)) for name, count in counts.items()}, inputs)
    servers = (has["shards"] + 1) * inputs["assumed"]["sql_instances"]["value"]
    dollars = lambda kind, count: count * inputs["prices"][kind]["value"] * MONTH_H
    return servers, {
        "sql": dollars("c6i.8xlarge", servers),
        "rest": sum(dollars(kind, count) for kind, count in rest.items()),
    }


def full_at(part: str, inputs: dict) -> float:
    """The users at whom the one working pod of a part has no CPU left, at the share that is aimed at."""
    shape, aim = inputs["shapes"][part], inputs["assumed"]["cpu_target"]["value"]
    return crossing(lambda users: cores(part, load(users, inputs), inputs) - shape["cpu_max"] * aim)


def crossing(over: Callable[[int], float]) -> float:
    """Where something that grows with users, in proportion, passes zero."""
    at_none, at_million = over(0), over(1_000_000)
    return -at_none / (at_million - at_none) * 1_000_000 if at_million > at_none else math.inf
