# What there is once, in the home region: the buckets that k8s/ names, with their copies elsewhere, and the secrets.

# Snapshots of the stages, and journals that have left Kafka: the audit chain is over them, so they stay.
module "stages" {
  source    = "../bucket"
  providers = { aws = aws, aws.replica = aws.replica }

  name            = var.stages_bucket
  noncurrent_days = 35
  cold_prefixes   = ["journals/"]
}

# The databases' backups: CloudNativePG takes away what is older than 35 days.
module "backups" {
  source    = "../bucket"
  providers = { aws = aws, aws.replica = aws.replica }

  name            = var.backups_bucket
  noncurrent_days = 35
}

module "secrets" {
  source = "../secrets"

  replica_regions = var.other_regions
}

# Of what watches the platform, which may read these and no others.
module "watching_secrets" {
  source = "../secrets"

  names           = ["prepx/alerts", "prepx/grafana"]
  replica_regions = var.other_regions
}
