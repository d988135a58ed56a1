#!/usr/bin/env python3
"""Writes docs/capacity.md from inputs.toml: report.py [--check]. With --check it writes nothing, and fails where the
page is not what it would write. Either way it fails where what is deployed differs from the model for no reason that
inputs.toml gives."""

import argparse
import math
import pathlib
import sys
import textwrap
import tomllib

import compare
import model

HERE = pathlib.Path(__file__).resolve().parent
PAGE = HERE.parents[1] / "docs/capacity.md"
TEXT_WIDTH = 120
# What moves the cost by less is left out.
MOVE_PERCENT_MIN = 1

INTRODUCTION = """`bench/capacity/report.py` makes this page from [inputs.toml](../bench/capacity/inputs.toml): measured costs,
and assumptions. Nothing of this has run in a cloud or on more than one machine. It is arithmetic on what one order,
request, socket and row took on two cores that brokers, databases and callers shared. It shows proportions and what
becomes full first, not how a platform of that size behaves. Not included: sign-ins and their argon2, webhooks, staff,
taxes, support, and what idle parts use."""
PODS = """As many as the busiest moment needs at the intended CPU use, and at least three in every region, or two for
services that stand by."""
SEEN = """Pods of portfolio and market-data divide their work by partition, but each of them follows all partitions. The
cores that every pod needs for following, whatever its share:"""
ALONE = """One pod of these services works and the others stand by, so more pods do not do more. With more than this
number of users, who behave as assumed, that pod has not enough CPU. The tables here go on beyond that number and count
one working pod all the same."""
DOLLARS = """List prices first. Discounts are for machines that may be taken away (spot) and for machines that are paid
ahead (reserved)."""
MOVES = """Change of the monthly cost, with discounts, for the number of users of `k8s/overlays/prod`, when one figure is
doubled. Changes below 1 % are left out."""
PRICES = """Dollars: us-east-1, Linux, public list prices from memory, as of November 2026, not looked up. Check them
before you buy."""


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--check", action="store_true", help="write nothing")
    asked = parser.parse_args()
    inputs = read()
    text, wrong = page(inputs), compare.unreasoned(inputs)
    if not asked.check:
        PAGE.write_text(text)
    elif PAGE.read_text() != text:
        wrong.append("docs/capacity.md is not what inputs.toml comes to: run bench/capacity/report.py")
    sys.exit("\n".join(wrong) or None)


def read() -> dict:
    return tomllib.loads((HERE / "inputs.toml").read_text())


def page(inputs: dict) -> str:
    plans = [model.plan(users, inputs) for users in inputs["users"]]
    sections = [
        "# Capacity and cost",
        words(INTRODUCTION),
        *loads(plans),
        *sizes(plans),
        *pods(plans, inputs),
        *dollars(plans, inputs),
        *beside(inputs),
        *sensitivity(inputs),
        *measured(inputs),
        *assumed(inputs),
    ]
    return "\n\n".join(sections) + "\n"


def words(text: str) -> str:
    return textwrap.fill(" ".join(text.split()), TEXT_WIDTH, break_on_hyphens=False, break_long_words=False)


def item(text: str) -> str:
    return textwrap.indent(words(text), "  ").replace("  ", "- ", 1)


def table(head: list[str], rows: list[list], align: str = "---:") -> str:
    """The first column is words, the others are numbers unless `align` says otherwise."""
    lines = [head, ["---"] + [align] * (len(head) - 1), *rows]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def over_users(plans: list[model.Plan], rows: dict) -> str:
    head = ["", *(people(plan.load.users) for plan in plans)]
    return table(head, [[name, *(number(of(plan)) for plan in plans)] for name, of in rows.items()])


def number(value: float) -> str:
    """Three digits that count; a dash for what never comes."""
    if value == math.inf:
        return "–"
    if value >= 100:
        return f"{value:,.0f}"
    return f"{value:.2f}".rstrip("0").rstrip(".") if value < 10 else f"{value:.1f}".removesuffix(".0")


def people(users: int) -> str:
    return f"{users // 1_000_000} M" if users >= 1_000_000 else f"{users // 1_000} k"


def loads(plans: list[model.Plan]) -> list[str]:
    rows = {
        "requests a second, average": lambda plan: plan.load.requests,
        "requests a second, peak": lambda plan: plan.load.requests_peak,
        "orders among these, peak": lambda plan: plan.load.orders_peak,
        "sockets": lambda plan: plan.load.sockets_peak,
        "messages to sockets a second": lambda plan: plan.load.messages_peak,
    }
    return ["## What users do", over_users(plans, rows)]


def sizes(plans: list[model.Plan]) -> list[str]:
    rows = {
        "regions": lambda plan: plan.regions,
        "partitions by account, and as many by instrument": lambda plan: plan.partitions,
        "shards": lambda plan: plan.shards,
        "brokers": lambda plan: plan.pods["kafka"].count,
        "log of 7 days, all copies, GiB": lambda plan: plan.kafka_gib,
        "rows after a year, one copy, GiB": lambda plan: plan.sql_gib,
        "Redis nodes": lambda plan: plan.pods["redis"].count,
        "values in Redis, all copies, GiB": lambda plan: plan.redis_gib,
        "memory for sockets, accounts and resting orders, GiB": lambda plan: plan.memory_gib,
        "buckets: journals of one year and backups, GiB": lambda plan: plan.objects_gib,
        "CPU requests of all pods, cores": model.Plan.cpu_asked,
        "memory requests of all pods, GiB": model.Plan.memory_asked_gib,
    }
    rows |= {f"machines, {kind}": lambda plan, kind=kind: plan.machines[kind] for kind in plans[0].machines}
    rows |= {"machines, total": model.Plan.machines_in_all}
    return ["## What it needs", over_users(plans, rows)]


def pods(plans: list[model.Plan], inputs: dict) -> list[str]:
    counts = {name: lambda plan, name=name: plan.pods[name].count for name in model.SERVICES}
    busy = {name: lambda plan, name=name: plan.pods[name].cores for name in [*model.SERVICES, "kafka", "postgres"]}
    alone = [[name, inputs["shapes"][name]["cpu_max"], number(model.full_at(name, inputs))] for name in model.ALONE]
    return [
        "## Pods of each service",
        words(PODS),
        over_users(plans, counts),
        "Cores that are busy at that moment:",
        over_users(plans, busy),
        words(SEEN),
        over_users(plans, {name: lambda plan, name=name: model.seen(name, plan.load, inputs) for name in model.FOLLOWING}),
        words(ALONE),
        table(["", "most cores it may use", "users"], alone),
    ]


def dollars(plans: list[model.Plan], inputs: dict) -> list[str]:
    bills = [model.bill(plan, inputs) for plan in plans]
    less = [model.discounted(lines, inputs) for lines in bills]
    rows = [[name, *(number(lines[name]) for lines in bills)] for name in bills[0]]
    rows += [
        ["**total**", *(f"**{number(sum(lines.values()))}**" for lines in bills)],
        ["**total, with discounts**", *(f"**{number(each)}**" for each in less)],
        ["of that, for each user", *(f"{each / plan.load.users:.4f}" for each, plan in zip(less, plans))],
        ["the requirements", *(estimates(plan.load.users, inputs) for plan in plans)],
    ]
    head = ["", *(people(plan.load.users) for plan in plans)]
    return ["## Dollars a month", words(DOLLARS), table(head, rows)]


def estimates(users: int, inputs: dict) -> str:
    span = lambda one: number(one["from"]) + (f" to {number(one['to'])}" if one["to"] > one["from"] else "")
    return "; ".join(f"{span(one)} ({one['source']})" for one in inputs["required"]["dollars"] if one["users"] == users)


def beside(inputs: dict) -> list[str]:
    rows = [
        [what, there, number(value), f"{verdict} than the model" if verdict else ""]
        for what, there, value, verdict in compare.differences(inputs)
    ]
    reasons = [f"**{one['is'].title()}: {', '.join(one['of'])}.** {one['why']}" for one in inputs["reasons"]]
    return [
        "## Beside the requirements and `k8s/`",
        "The requirements' table of growth:",
        growth(inputs),
        "Their resources for the first tenfold growth (Immediate), each \"and more\":",
        resources(inputs),
        "Their list of costs for a million users (OneM), in dollars a month at list prices:",
        costs(inputs),
        f"`k8s/overlays/prod`, which has the requirements' figures for {people(inputs['deployed']['users'])} users:",
        table(["", "k8s/", "the model", "k8s/ is"], rows),
        "\n".join(map(item, reasons)),
        standing(inputs),
    ]


def growth(inputs: dict) -> str:
    rows = []
    gb = lambda gib: number(gib * model.GIB / model.GB)
    for one in inputs["required"]["growth"]:
        plan = model.plan(one["users"], inputs)
        sql, redis = number(one["sql_gb"]), one["redis_gb"]
        rows.append([people(one["users"]), one["nodes"], plan.machines_in_all(), sql, gb(plan.sql_gib), redis])
        rows[-1].append(gb(plan.redis_gib))
    head = ["users", "nodes, required", "model", "rows in GB, required", "model", "Redis in GB, required", "model"]
    return table(head, rows)


def resources(inputs: dict) -> str:
    rows = []
    for one in inputs["required"]["resources"]:
        plan = model.plan(one["users"], inputs)
        gb = lambda gib: number(gib * model.GIB / model.GB)
        told = [(one["cores"], plan.cpu_asked()), (one["memory_gb"], gb(plan.memory_asked_gib()))]
        told.append((number(one["storage_gb"]), gb(model.disks_gib(plan, inputs))))
        rows.append([people(one["users"]), *(each if isinstance(each, str) else number(each) for pair in told for each in pair)])
    head = ["users", "cores, required", "model", "memory in GB, required", "model", "disks in GB, required", "model"]
    return table(head, rows)


def costs(inputs: dict) -> str:
    lines = model.bill(model.plan(1_000_000, inputs), inputs)
    required = inputs["required"]["bill"]
    rows = [[one["of"], number(one["dollars"]), number(sum(lines[ours] for ours in one["ours"]))] for one in required]
    rows.append(["**in all**", *(f"**{number(each)}**" for each in (sum(one["dollars"] for one in required), sum(lines.values())))])
    return table(["", "required", "model"], rows)


def standing(inputs: dict) -> str:
    servers, costs = model.standing(inputs)
    sql, rest, whole = (number(each) for each in (costs["sql"], costs["rest"], sum(costs.values())))
    asks, gives = inputs["deployed"]["sql_cpu"], inputs["shapes"]["postgres"]["cpu"]
    return words(
        f"""Idle, with the minimum of all pods, the machines of this deployment cost {whole} dollars a month at list prices:
        {sql} for {servers} PostgreSQL servers and {rest} for everything else. The requirements size a PostgreSQL server
        at {asks} CPU, so each has a c6i.8xlarge of its own (`terraform/`). The model gives a server {gives} CPU, which
        is more than the measured rows need: save money there first."""
    )


def sensitivity(inputs: dict) -> list[str]:
    rows = [[f"`{name}`", f"{move:+.0f} %"] for name, move in compare.moves(inputs) if abs(move) >= MOVE_PERCENT_MIN]
    return ["## What moves the cost", words(MOVES), table(["twice as much", "dollars"], rows)]


def measured(inputs: dict) -> list[str]:
    rows = []
    for name, figures in inputs["measured"].items():
        parts = [(part, value) for part, value in figures.items() if part != "source"]
        told = ", ".join(number(value) if part == "value" else f"{part} {number(value)}" for part, value in parts)
        rows.append([f"`{name}`", told or "nothing", figures["source"]])
    sources = "\n".join(item(f"**{name}**: {text}.") for name, text in inputs["sources"].items())
    return ["## What was measured", table(["", "figures", "source"], rows, "---"), sources]


def assumed(inputs: dict) -> list[str]:
    rows = [[f"`{name}`", number(each["value"]), each["why"]] for name, each in inputs["assumed"].items()]
    prices = [[f"`{name}`", f"{each['value']:g}", each["unit"]] for name, each in inputs["prices"].items()]
    return [
        "## What was assumed",
        table(["", "value", "why"], rows, "---"),
        words(PRICES),
        table(["", "dollars", "for"], prices, "---"),
    ]


if __name__ == "__main__":
    main()
