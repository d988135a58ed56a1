# What there is once, in the home region: the buckets that k8s/ names, with copies elsewhere of what must not be lost, and the secrets.

# Snapshots of the stages, and journals that have left Kafka: the audit chain is over them, so they stay. Warm after 30 days, cold
# after a year.
module "stages" {
  source = "../bucket"

  name            = var.buckets.stages
  noncurrent_days = 35
  colder          = { "journals/" = { STANDARD_IA = 30, GLACIER_IR = 365 } }
}

module "stages_copy" {
  source    = "../bucket-copy"
  providers = { aws = aws, aws.replica = aws.replica }

  of = module.stages.source
}

# The databases' backups: CloudNativePG takes away what is older than 35 days.
module "backups" {
  source = "../bucket"

  name            = var.buckets.backups
  noncurrent_days = 35
}

module "backups_copy" {
  source    = "../bucket-copy"
  providers = { aws = aws, aws.replica = aws.replica }

  of = module.backups.source
}

# Logs: Loki takes away what is older than a year. Of its lines (it has one tenant, `fake`) those of more than 30 days are cold, and
# yet read at once; its index stays. Who loses them loses no order: there is no copy.
module "logs" {
  source = "../bucket"

  name            = var.buckets.logs
  noncurrent_days = 1
  colder          = { "fake/" = { GLACIER_IR = 30 } }
}

module "secrets" {
  source = "../secrets"

  replica_regions = var.other_regions
}

# Of what watches the platform, which may read these and no others.
module "watching_secrets" {
  source = "../secrets"

  names           = [var.alerts_secret, "prepx/grafana"]
  replica_regions = var.other_regions
}
