"""The model on round figures, each expected value computed by hand, and the page beside its inputs."""

import copy
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))

import compare
import model
import report

GIB = 2**30


def of(**figures) -> dict:
    return {name: {"value": value, "why": ""} for name, value in figures.items()}


SHAPE = {"cpu": 2, "memory_gib": 4, "floor": 3, "machine": "m", "cpu_max": 4}
INPUTS = {
    "measured": {
        "order_cpu_us": {"gateway": 100, "portfolio": 500, "kafka": 1000},
        "read_account_cpu_us": {"gateway": 200, "portfolio": 100},
        "read_quotes_cpu_us": {"gateway": 400},
        "message_cpu_us": {"gateway": 50},
        "socket_cpu_us_s": {"gateway": 10},
        "socket_bytes": {"gateway": 100_000},
        "resting_order_bytes": {"risk": 1024},
        "order_log_bytes": {"kafka": 3000, "archive": 500},
        "order_sql_bytes": {"tables": 1000, "log": 2000},
        "cache_value_bytes": {"value": 1000},
        "shard_orders_s": {"value": 100},
        "partition_orders_s": {"value": 10},
        "response_bytes": {"value": 1000},
        "message_bytes": {"value": 100},
    },
    "assumed": of(
        requests_per_user_day=864,
        orders_per_user_day=86.4,
        peak_factor=5,
        concurrent_share=0.1,
        sockets_per_concurrent_user=2,
        data_sockets_share=0.5,
        messages_per_data_socket_s=1,
        reads_account=1,
        reads_quotes=3,
        resting_orders_per_user=2,
        account_bytes=2048,
        seen_order_cpu_us=20,
        busiest_partition_factor=2,
        cached_values_per_concurrent_user=10,
        history_days=100,
        log_days=10,
        backup_days=2,
        backup_compressed=0.5,
        sql_instances=3,
        redis_copies=2,
        cpu_target=0.5,
        memory_target=0.5,
        disk_target=0.5,
        allocatable=0.5,
        regions=4,
        regions_from_users=1_000_000,
        monitoring_share=0.1,
        spot_discount=0.5,
        reserved_discount=0.25,
    ),
    "shapes": {name: SHAPE for name in model.SERVICES}
    | {name: SHAPE | {"disk_gib": 100} for name in ("kafka", "controllers", "postgres", "redis", "memcached")},
    "machines": {"m": {"cpu": 8, "memory_gib": 64, "paid": "reserved"}},
    "prices": of(
        m=1,
        control_plane=0.1,
        disk_gib_month=0.1,
        object_gib_month=0.01,
        out_gb=0.1,
        zones_gb=0.02,
        load_balancer=0.01,
        load_balancer_gb=0.01,
    ),
}
# 10,000 users: 100 requests a second, of them 10 orders; five times as many at the busiest moment; 2,000 sockets, half
# of which are told one message a second.
LOAD = model.load(10_000, INPUTS)


def varied(**figures) -> dict:
    changed = copy.deepcopy(INPUTS)
    for name, value in figures.items():
        changed["assumed"][name]["value"] = value
    return changed


class Loads(unittest.TestCase):
    def test_what_users_do(self):
        self.assertEqual((LOAD.requests, LOAD.requests_peak), (100, 500))
        self.assertAlmostEqual(LOAD.orders, 10)
        self.assertAlmostEqual(LOAD.orders_peak, 50)
        self.assertAlmostEqual(LOAD.reads_peak(), 450)
        self.assertEqual((LOAD.sockets_peak, LOAD.messages_peak, LOAD.messages), (2000, 1000, 200))

    def test_cores_are_orders_reads_messages_and_sockets(self):
        # 50 × 100 µs, 450 × (200 + 3 × 400) / 4 µs, 1,000 × 50 µs, 2,000 × 10 µs.
        self.assertAlmostEqual(model.cores("gateway", LOAD, INPUTS), 0.005 + 0.1575 + 0.05 + 0.02)
        self.assertAlmostEqual(model.cores("kafka", LOAD, INPUTS), 0.05)
        self.assertEqual(model.cores("memcached", LOAD, INPUTS), 0)

    def test_memory_is_sockets_accounts_and_resting_orders(self):
        self.assertAlmostEqual(model.memory_gib("gateway", LOAD, INPUTS), 2000 * 100_000 / GIB)
        self.assertAlmostEqual(model.memory_gib("risk", LOAD, INPUTS), 10_000 * (2 * 1024 + 2048) / GIB)


class Plans(unittest.TestCase):
    def test_pods_by_cpu_by_memory_and_by_floor(self):
        count = lambda users: model.service("gateway", model.load(users, INPUTS), 1, INPUTS).count
        self.assertEqual(count(10_000), 3)
        # 0.2325 cores for 10,000 users; a pod gives 1: 500,000 take 11.6. Of memory they take 9.3 GiB, of 2 a pod.
        self.assertEqual(count(500_000), 12)
        # With sockets of a megabyte memory is what counts: 93.1 GiB, of 2 a pod.
        heavy = copy.deepcopy(INPUTS)
        heavy["measured"]["socket_bytes"]["gateway"] = 1_000_000
        self.assertEqual(model.service("gateway", model.load(500_000, heavy), 1, heavy).count, 47)
        # In four regions there are three each.
        self.assertEqual(model.service("gateway", LOAD, 4, INPUTS).count, 12)

    def test_who_shares_work_out_sees_all_of_it_too(self):
        # 10,000 users: 50 × 500 µs and 450 × 100 / 4 µs are 0.03625 cores, and 50 × 20 µs a pod; a pod gives 1.
        self.assertAlmostEqual(model.seen("portfolio", LOAD, INPUTS), 0.001)
        count = lambda users: model.service("portfolio", model.load(users, INPUTS), 1, INPUTS).count
        self.assertEqual(count(10_000), 3)
        # 5,000,000: 18.125 cores, and half of each pod.
        self.assertEqual(count(5_000_000), 37)
        self.assertRaises(OverflowError, count, 10_000_000)

    def test_more_pods_do_not_help_who_works_alone(self):
        busy = copy.deepcopy(INPUTS)
        busy["measured"]["order_cpu_us"]["analytics"] = 500
        self.assertEqual(model.service("analytics", model.load(10**9, busy), 1, busy).count, 3)
        # 10,000 users: 50 × 500 µs are 0.025 cores; it may take 4 × 0.5.
        self.assertAlmostEqual(model.full_at("analytics", busy), 2 / 0.025 * 10_000, places=3)
        self.assertEqual(model.full_at("analytics", INPUTS), float("inf"))

    def test_what_is_kept(self):
        kept = model.kept(LOAD, INPUTS)
        # 864,000 orders a day.
        self.assertAlmostEqual(kept["kafka"], 864_000 * 10 * 3000 / GIB)
        self.assertAlmostEqual(kept["sql"], 864_000 * 100 * 1000 / GIB)
        self.assertAlmostEqual(kept["redis"], 1000 * 10 * 1000 * 2 / GIB)
        # Journals of 100 days; two backups of all rows and of the log of a day, at half their size.
        self.assertAlmostEqual(
            kept["objects"], (864_000 * 100 * 500 + 2 * (864_000 * 100 * 1000 + 864_000 * 2000) * 0.5) / GIB
        )

    def test_shards_by_rate_and_by_disk(self):
        # 50 orders a second of 50 that a shard takes.
        self.assertEqual(model.sql_shards(LOAD, 1, INPUTS), 1)
        self.assertEqual(model.sql_shards(model.load(10_001, INPUTS), 1, INPUTS), 2)
        # 101 GiB on disks of 100, half full.
        self.assertEqual(model.sql_shards(LOAD, 101, INPUTS), 3)

    def test_partitions_by_the_busiest(self):
        # 50 orders a second, twice as many on the busiest, of 5 that one takes.
        self.assertEqual(model.partitions(LOAD, INPUTS), 20)

    def test_redis_comes_in_groups(self):
        # 2 GiB of 4 in each primary; 10 GiB in all are 5 of primaries.
        self.assertEqual(model.redis_nodes(10, INPUTS), 6)
        self.assertEqual(model.redis_nodes(14, INPUTS), 8)

    def test_machines_hold_cpu_and_memory(self):
        # 4 CPU and 32 GiB of each machine are for pods.
        pods = {"a": model.Pods(5, 2, 4, "m"), "b": model.Pods(1, 1, 1, "m"), "c": model.Pods(9, 9, 9, "other")}
        self.assertEqual(model.machines(pods, INPUTS), {"m": 3})
        self.assertEqual(model.machines({"a": model.Pods(5, 1, 20, "m")}, INPUTS), {"m": 4})

    def test_what_pods_ask_for_is_that_of_services_and_stores(self):
        plan = model.plan(1_000_000, INPUTS)
        counts = {name: pods.count for name, pods in plan.pods.items()}
        ask = lambda field: sum(INPUTS["shapes"][name][field] * count for name, count in counts.items())
        self.assertEqual((plan.cpu_asked(), plan.memory_asked_gib()), (ask("cpu"), ask("memory_gib")))

    def test_regions_begin_with_a_million(self):
        self.assertEqual(model.plan(999_999, INPUTS).regions, 1)
        self.assertEqual(model.plan(1_000_000, INPUTS).regions, 4)


class Bills(unittest.TestCase):
    def setUp(self):
        self.plan = model.plan(10_000, INPUTS)
        self.lines = model.bill(self.plan, INPUTS)

    def test_machines_by_the_hour(self):
        self.assertEqual(self.lines["machines, m"], self.plan.machines["m"] * 730)
        self.assertAlmostEqual(self.lines["monitoring"], self.plan.machines["m"] * 73)

    def test_disks_are_larger_than_what_is_on_them(self):
        # Kafka's copies are in what it keeps, PostgreSQL has three, half of each disk is free.
        gib = 864_000 * 10 * 3000 / GIB + 3 * 864_000 * 100 * 1000 / GIB + 1000 * 10 * 1000 * 2 / GIB
        self.assertAlmostEqual(self.lines["disks"], gib * 2 * 0.1)

    def test_traffic(self):
        # 100 answers of 1,000 bytes and 200 messages of 100 a second, over 730 hours.
        out = 120_000 * 730 * 3600 / 1e9
        self.assertAlmostEqual(self.lines["to clients"], out * 0.1)
        # Two of three copies in Kafka, and the log to two replicas: 10 × (2,000 + 4,000) a second.
        self.assertAlmostEqual(self.lines["between zones"], 60_000 * 730 * 3600 / 1e9 * 0.02)
        self.assertAlmostEqual(self.lines["load balancers"], 7.3 + out * 0.01)

    def test_discounts_are_of_machines(self):
        whole = sum(self.lines.values())
        self.assertAlmostEqual(model.discounted(self.lines, INPUTS), whole - self.lines["machines, m"] * 0.25)


class Deployed(unittest.TestCase):
    def test_what_stands_costs(self):
        inputs = copy.deepcopy(INPUTS)
        inputs["prices"]["c6i.8xlarge"] = {"value": 2}
        inputs["deployed"] = {"shards": 1, "kafka": 3, "redis": 6, "pods": {"gateway": [4, 9]}}
        # Two databases of three servers; 19 pods of 2 CPU and 4 GiB, of which a machine has 4 and 32 for pods.
        self.assertEqual(model.standing(inputs), (6, {"sql": 6 * 2 * 730, "rest": 10 * 730}))


class Page(unittest.TestCase):
    def test_is_what_the_inputs_come_to(self):
        inputs = report.read()
        self.assertEqual(compare.unreasoned(inputs), [])
        self.assertEqual(report.PAGE.read_text(), report.page(inputs), "run bench/capacity/report.py")

    def test_each_line_of_the_bill_is_beside_one_of_the_requirements(self):
        inputs = report.read()
        lines = [ours for one in inputs["required"]["bill"] for ours in one["ours"]]
        self.assertEqual(sorted(lines), sorted(model.bill(model.plan(1_000_000, inputs), inputs)))

    def test_every_measured_figure_says_where_it_comes_from(self):
        inputs = report.read()
        for name, figures in inputs["measured"].items():
            self.assertIn(figures["source"], inputs["sources"], name)

    def test_differences_want_a_reason_and_reasons_a_difference(self):
        inputs = report.read()
        inputs["deployed"]["partitions"] = 1
        self.assertTrue(any("less: partitions" in line for line in compare.unreasoned(inputs)))
        inputs = report.read()
        inputs["reasons"].append({"is": "more", "of": ["pods of nobody"], "why": ""})
        self.assertTrue(any("pods of nobody" in line for line in compare.unreasoned(inputs)))

    def test_doubling_changes_figures_and_no_words(self):
        figures = {"value": 2, "why": "because", "gateway": 1.5}
        compare.double(figures)
        self.assertEqual(figures, {"value": 4, "why": "because", "gateway": 3.0})


if __name__ == "__main__":
    unittest.main()
