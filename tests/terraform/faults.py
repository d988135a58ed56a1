"""That each rule sees what it is there for: terraform/ is spoilt in one place at a time."""

from configuration import Edit, modules
import deployed
import layout
import rules

# What is said instead, and what has to be said of it.
FAULTS = [
    (Edit("modules/network/main.tf", "var.cidr", "var.cird"), "var.cird: there is no such variable"),
    (
        Edit("modules/network/main.tf", "for_each = local.zones", "for_each = local.zone"),
        "local.zone: there is no such local",
    ),
    (
        Edit("modules/network/main.tf", "aws_vpc.this.id", "aws_vpc.that.id"),
        "aws_vpc.that.id: there is no such resource",
    ),
    (Edit("modules/network/main.tf", "aws_vpc.this.id", "aws_vpc.this.ident"), "aws_vpc tells no such thing"),
    (Edit("modules/network/main.tf", "data.aws_region.here", "data.aws_region.there"), "there is no such data"),
    (
        Edit("modules/region/main.tf", "module.network.vpc_id", "module.network.vpc"),
        "modules/network has no such output",
    ),
    (Edit("modules/region/main.tf", "module.network.vpc_id", "module.net.vpc_id"), "there is no such module"),
    (Edit("modules/region/main.tf", '"../network"', '"../net"'), "is not there"),
    (Edit("modules/region/main.tf", "  cidr  = var.at.cidr\n", ""), "module network is not given cidr"),
    (Edit("modules/region/main.tf", "  zones = var.zones\n", "  zone = var.zones\n"), "module network knows no zone"),
    (Edit("modules/network/variables.tf", 'variable "zones"', 'variable "places"'), "variable places is not used"),
    (
        Edit("region/main.tf", "operator_cidrs = var.operator_cidrs", "operator_cidrs = []"),
        "variable operator_cidrs is not used",
    ),
    (Edit("multi-region/main.tf", "  cidr = \"10.16.0.0/12\"", "  range = \"10.16.0.0/12\""), "local range is not used"),
    (Edit("modules/region/outputs.tf", "module.entrance.address", "null"), "output address is not used"),
    (
        Edit("modules/dns/variables.tf", '  description = "Regions that get no new clients."\n', ""),
        "variable drained has no description",
    ),
    (Edit("modules/dns/variables.tf", "  type        = string\n", ""), "has no type"),
    (Edit("modules/entrance/main.tf", "target_type ", "target_kind "), "target_kind is not known"),
    (
        Edit(
            "modules/entrance/main.tf",
            '  default_action {\n    type             = "forward"',
            '  default_action {\n    kind             = "forward"',
        ),
        "type is missing",
    ),
    (
        Edit("modules/entrance/main.tf", '  protocol          = "TCP"\n', '  arn               = "a"\n'),
        "arn is not to be said but told",
    ),
    (
        Edit("modules/dns/main.tf", "latency_routing_policy {", "latency_policy {"),
        "a block latency_policy is not known",
    ),
    (Edit("modules/cluster/main.tf", "  vpc_config {", "  vpc {"), "a block vpc_config is missing"),
    (
        Edit("region/versions.tf", "required_providers", "wanted_providers"),
        "it does not say which version of the provider it takes",
    ),
    (Edit("modules/secrets/main.tf", "resource", 'provider "aws" {}\n\nresource'), "only roots configure providers"),
    (
        Edit("region/main.tf", 'module "home"', 'resource "aws_kms_key" "more" {}\n\nmodule "home"'),
        "a root has modules and no resources",
    ),
    (Edit("modules/region/variables.tf", "max = 140", "max = 150"), "the requirements have (20, 200)"),
    (
        Edit(
            "modules/region/variables.tf",
            'spot = false, instance_types = ["c6i.4xlarge"]',
            'spot = true, instance_types = ["c6i.4xlarge"]',
        ),
        "machines are spot",
    ),
    (
        Edit("modules/cluster/main.tf", '"prepx.io/capacity" =', '"prepx.io/kind" ='),
        "k8s/ selects machines by prepx.io/capacity",
    ),
    (Edit("multi-region/main.tf", "sql_clusters = 5", "sql_clusters = 4"), "databases by region are"),
    (Edit("region/variables.tf", "= 17", "= 16"), "one region has 16 databases"),
    (Edit("modules/region/main.tf", "3 * var.at.sql_clusters", "2 * var.at.sql_clusters"), "are counted otherwise"),
    (Edit("region/main.tf", '"prepx-stages$', '"prepx-steps$'), "k8s/ names the buckets"),
    (Edit("multi-region/main.tf", '"prepx-logs"', '"prepx-lines"'), "k8s/ names the buckets"),
    (Edit("modules/region/main.tf", '"prepx-risk"', '"prepx-risks"'), "k8s/ has none"),
    (Edit("modules/region/main.tf", '["loki"]', '["prepx-risk"]'), "k8s/ gives loki the role prepx-loki"),
    (Edit("modules/region/main.tf", "    backups = {", "    copies = {"), "k8s/ gives prepx-sql-home the role prepx-backups"),
    (Edit("multi-region/main.tf", '"prepx-eu-west-1"', '"prepx-eu"'), "k8s/overlays/eu-west-1 names the roles"),
    (Edit("modules/region/main.tf", "    targets = {", "    aims = {"), "terraform/region/tests expects the roles"),
    (Edit("region/main.tf", '"prepx/alerts$', '"prepx/alarms$'), "k8s/ reads the secrets"),
    (Edit("modules/dns/main.tf", "failure_threshold = 2", "failure_threshold = 3"), "left out after 3 failures"),
    (Edit("modules/secrets/variables.tf", '"prepx/user", ', ""), "k8s/ reads the secrets"),
    (Edit("modules/region/variables.tf", '"1.34"', '"1.33"'), "manifests are tested for 1.34"),
    (Edit("multi-region/main.tf", '"api.${var.zone}"', '"www.${var.zone}"'), "istio/base/gateway.yaml answers to"),
]
# How lines are laid out, and what is wrong of it.
UNTIDY = {
    'a "b" {\n   c = 1\n}\n': "indented by 3",
    'a "b" {\n  c = 1\n  long = 2\n}\n': "`=` is not below",
    'a "b" {\n  c = 1 \n}\n': "space at the end",
    'a "b" {\n  c = 1\n}': "ends with one newline",
}


def unseen(schema: dict) -> list[str]:
    """The faults that no rule sees."""
    found = []
    for edit, words in FAULTS:
        world = rules.World(modules(edit), schema)
        if not any(words in problem for problem in rules.problems(world) + deployed.problems(world)):
            found.append(f"tests/terraform: nothing says {words!r} of {edit}")
    return found + [
        f"tests/terraform: nothing says {words!r} of {text!r}"
        for text, words in UNTIDY.items()
        if not any(words in line for line in layout.of_text(text))
    ]
