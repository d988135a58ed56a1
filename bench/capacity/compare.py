"""The model beside what is deployed, and beside itself with one input changed."""

import copy

import model

# From this many times the model on, what is deployed is more than it.
MORE = 2
# What is a share of something is never doubled, since there is no more than all of it; nor are limits.
SHARES = ("share", "target", "discount", "allocatable", "from_users", "shard_orders", "partition_orders")


def differences(inputs: dict) -> list[tuple[str, str, float, str]]:
    """Of what is deployed: what it is of, how much, how much the model says, and whether that is `more` or `less`."""
    has = inputs["deployed"]
    plan = model.plan(has["users"], inputs)
    found = []
    for name, (least, most) in has["pods"].items():
        count = plan.pods[name].count
        verdict = "more" if count < least else "less" if count > most else ""
        found.append((f"pods of {name}", f"{least} to {most}", count, verdict))
    for name, value in wanted(plan).items():
        verdict = "less" if has[name] < value else "more" if has[name] > MORE * value else ""
        found.append((name.replace("_gib", ", GiB"), f"{has[name]:,}", value, verdict))
    for name in model.ALONE:
        users = model.full_at(name, inputs)
        verdict = "less" if users < has["users"] else ""
        found.append((f"users that one {name} serves", f"{has['users']:,}", users, verdict))
    return found


def wanted(plan: model.Plan) -> dict[str, float]:
    """By the names that `deployed` has."""
    return {
        "partitions": plan.partitions,
        "shards": plan.shards,
        "kafka": plan.pods["kafka"].count,
        "kafka_gib": plan.kafka_gib,
        "sql_gib": plan.sql_gib,
        "redis": plan.pods["redis"].count,
        "redis_gib": plan.redis_gib,
    }


def unreasoned(inputs: dict) -> list[str]:
    """What differs without a reason, and reasons for what does not differ."""
    differ = {f"{verdict}: {what}" for what, _, _, verdict in differences(inputs) if verdict}
    told = {f"{reason['is']}: {what}" for reason in inputs["reasons"] for what in reason["of"]}
    wrong = [f"inputs.toml gives no reason for {what!r}, which is so" for what in sorted(differ - told)]
    return wrong + [f"inputs.toml gives a reason for {what!r}, which is not so" for what in sorted(told - differ)]


def moves(inputs: dict) -> list[tuple[str, float]]:
    """By how many percent the cost of the deployed number of users moves when one figure is twice what it is, the
    greatest first."""
    users = inputs["deployed"]["users"]
    base = total(users, inputs)
    found = []
    for group in ("measured", "assumed", "prices"):
        for name in inputs[group]:
            if not any(word in name for word in SHARES):
                changed = copy.deepcopy(inputs)
                double(changed[group][name])
                found.append((name, (total(users, changed) / base - 1) * 100))
    return sorted(found, key=lambda move: -abs(move[1]))


def total(users: int, inputs: dict) -> float:
    return model.discounted(model.bill(model.plan(users, inputs), inputs), inputs)


def double(figures: dict):
    for name, value in figures.items():
        if isinstance(value, (int, float)):
            figures[name] = 2 * value
