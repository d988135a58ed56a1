# The platform in four regions: what k8s/overlays/REGION run on. The home region has the event log, the home database, the
# buckets and the secrets; each has four shards.

locals {
  home = "us-east-1"
  # Addresses that do not overlap, all in one range.
  cidr = "10.16.0.0/12"
  regions = {
    us-east-1      = { cidr = "10.16.0.0/16", sql_clusters = 5 }
    us-west-2      = { cidr = "10.17.0.0/16", sql_clusters = 4 }
    eu-west-1      = { cidr = "10.18.0.0/16", sql_clusters = 4 }
    ap-southeast-1 = { cidr = "10.19.0.0/16", sql_clusters = 4 }
  }
  backbone = { cidr = local.cidr, core_network = module.backbone.core_network }
  running = {
    us-east-1      = module.us_east_1
    us-west-2      = module.us_west_2
    eu-west-1      = module.eu_west_1
    ap-southeast-1 = module.ap_southeast_1
  }
}

module "home" {
  source    = "../modules/home"
  providers = { aws = aws, aws.replica = aws.us_west_2 }

  stages_bucket = "prepx-stages-${local.home}"
  other_regions = setsubtract(keys(local.regions), [local.home])
}

module "backbone" {
  source = "../modules/backbone"

  regions = keys(local.regions)
}

# A module cannot be told its provider by for_each, so there is a block for each region; what differs is above.

module "us_east_1" {
  source = "../modules/region"

  name           = "prepx"
  cidr           = local.regions.us-east-1.cidr
  sql_clusters   = local.regions.us-east-1.sql_clusters
  operator_cidrs = var.operator_cidrs
  may            = module.home.may
  backbone       = local.backbone
}

module "us_west_2" {
  source    = "../modules/region"
  providers = { aws = aws.us_west_2 }

  name           = "prepx-us-west-2"
  cidr           = local.regions.us-west-2.cidr
  sql_clusters   = local.regions.us-west-2.sql_clusters
  operator_cidrs = var.operator_cidrs
  may            = module.home.may
  backbone       = local.backbone
}

module "eu_west_1" {
  source    = "../modules/region"
  providers = { aws = aws.eu_west_1 }

  name           = "prepx-eu-west-1"
  cidr           = local.regions.eu-west-1.cidr
  sql_clusters   = local.regions.eu-west-1.sql_clusters
  operator_cidrs = var.operator_cidrs
  may            = module.home.may
  backbone       = local.backbone
}

module "ap_southeast_1" {
  source    = "../modules/region"
  providers = { aws = aws.ap_southeast_1 }

  name           = "prepx-ap-southeast-1"
  cidr           = local.regions.ap-southeast-1.cidr
  sql_clusters   = local.regions.ap-southeast-1.sql_clusters
  operator_cidrs = var.operator_cidrs
  may            = module.home.may
  backbone       = local.backbone
}

module "dns" {
  source = "../modules/dns"

  zone    = var.zone
  host    = "api.${var.zone}"
  regions = { for region, running in local.running : region => running.entrance }
  drained = var.drained
}
