# The platform in one region: what k8s/overlays/prod runs on, all 16 shards in it.

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

  stages_bucket = "prepx-stages"
}

module "region" {
  source = "../modules/region"

  # The home database and the shards.
  at     = { name = "prepx", cidr = "10.16.0.0/16", sql_clusters = 17 }
  shared = { operator_cidrs = var.operator_cidrs, may = module.home.may }
}

module "dns" {
  source = "../modules/dns"

  zone    = var.zone
  host    = "api.${var.zone}"
  regions = { (var.region) = module.region.entrance }
}
