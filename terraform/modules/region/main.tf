# All of one region: network, cluster, entrance, and what the programs in the cluster may do. PostgreSQL, Kafka and Redis run
# in the cluster (k8s/components); what they need of the cloud is machines, disks and the buckets that are handed in.

locals {
  # A machine for each server: it asks for 16 CPU and 32 GiB, and may take twice that.
  sql_machines = 3 * var.at.sql_clusters
  sql_pool     = { spot = false, instance_types = ["c6i.8xlarge"], min = local.sql_machines, max = local.sql_machines + 3 }
  # Who of k8s/ needs something of the cloud. Each PostgreSQL has a service account with its own name.
  roles = {
    stages = {
      namespace = "prepx"
      accounts  = ["prepx-risk", "prepx-trading"]
      may       = var.shared.may.stages
    }
    backups = {
      namespace = "prepx"
      accounts  = ["prepx-sql-*"]
      may       = var.shared.may.backups
    }
    secrets = {
      namespace = "prepx"
      accounts  = ["prepx-secrets"]
      may       = var.shared.may.secrets
    }
    monitoring-secrets = {
      namespace = "monitoring"
      accounts  = ["monitoring-secrets"]
      may       = var.shared.may.watching_secrets
    }
    loki = {
      namespace = "monitoring"
      accounts  = ["loki"]
      may       = var.shared.may.logs
    }
    autoscaler = {
      namespace = "kube-system"
      accounts  = ["cluster-autoscaler"]
      may = [{
        actions = [
          "autoscaling:Describe*", "autoscaling:SetDesiredCapacity", "autoscaling:TerminateInstanceInAutoScalingGroup",
          "ec2:Describe*", "eks:DescribeNodegroup",
        ]
        resources = ["*"]
      }]
    }
    targets = {
      namespace = "kube-system"
      accounts  = ["aws-load-balancer-controller"]
      may = [{
        actions = [
          "elasticloadbalancing:Describe*", "elasticloadbalancing:RegisterTargets", "elasticloadbalancing:DeregisterTargets", "ec2:Describe*",
        ]
        resources = ["*"]
      }]
    }
  }
}

module "network" {
  source = "../network"

  name  = var.at.name
  cidr  = var.at.cidr
  zones = var.zones
}

module "cluster" {
  source = "../cluster"

  name               = var.at.name
  kubernetes_version = var.kubernetes_version
  subnet_ids         = [for subnet in module.network.private_subnets : subnet.id]
  operator_cidrs     = var.shared.operator_cidrs
  pools              = merge(var.pools, { on-demand-sql = local.sql_pool })
}

module "identity" {
  source = "../identity"

  name   = module.cluster.name
  tokens = module.cluster.tokens
  roles  = local.roles
}

module "entrance" {
  source = "../entrance"

  name                   = var.at.name
  vpc_id                 = module.network.vpc_id
  subnet_ids             = module.network.public_subnet_ids
  pods_security_group_id = module.cluster.security_group_id
}

# To the other regions, where there are any.

resource "aws_networkmanager_vpc_attachment" "backbone" {
  count = var.shared.backbone == null ? 0 : 1

  core_network_id = var.shared.backbone.core_network.id
  vpc_arn         = module.network.vpc_arn
  subnet_arns     = [for subnet in module.network.private_subnets : subnet.arn]
  tags            = { Name = var.at.name, segment = "prepx" }
}

resource "aws_route" "backbone" {
  for_each = var.shared.backbone == null ? {} : module.network.private_route_table_ids

  route_table_id         = each.value
  destination_cidr_block = var.shared.backbone.cidr
  core_network_arn       = var.shared.backbone.core_network.arn
  depends_on             = [aws_networkmanager_vpc_attachment.backbone]
}

resource "aws_vpc_security_group_ingress_rule" "backbone" {
  count = var.shared.backbone == null ? 0 : 1

  security_group_id = module.cluster.security_group_id
  description       = "From the clusters of other regions; who may call whom is the mesh's to say"
  cidr_ipv4         = var.shared.backbone.cidr
  ip_protocol       = "tcp"
  from_port         = 1024
  to_port           = 65535
}
