# The platform in one region: what k8s/overlays/prod runs on, all 16 shards in it; by staging.tfvars what k8s/overlays/staging does.

provider "aws" {
  region = var.region

  default_tags {
    tags = { platform = "prepx" }
  }
}

# Where copies of the buckets are.
provider "aws" {
  alias  = "replica"
  region = var.replica_region

  default_tags {
    tags = { platform = "prepx" }
  }
}

module "home" {
  source    = "../modules/home"
  providers = { aws = aws, aws.replica = aws.replica }

  buckets = {
    stages  = "prepx-stages${var.suffix}"
    backups = "prepx-backups${var.suffix}"
    logs    = "prepx-logs${var.suffix}"
  }
  alerts_secret = "prepx/alerts${var.suffix}"
}

module "region" {
  source = "../modules/region"

  at     = { name = "prepx", cidr = "10.16.0.0/16", sql_clusters = var.sql_clusters }
  shared = { operator_cidrs = var.operator_cidrs, may = module.home.may }
  pools  = var.pools
}

module "dns" {
  source = "../modules/dns"

  zone    = var.zone
  host    = "api.${var.zone}"
  regions = { (var.region) = module.region.entrance }
}
