# The platform in four regions: what k8s/overlays/REGION run on. The home region has the event log, the home database, the
# buckets and the secrets; each has four shards.

locals {
  home = "us-east-1"
  # Addresses that do not overlap, all in one range.
  cidr = "10.16.0.0/12"
  regions = {
    us-east-1      = { name = "prepx", cidr = "10.16.0.0/16", sql_clusters = 5 }
    us-west-2      = { name = "prepx-us-west-2", cidr = "10.17.0.0/16", sql_clusters = 4 }
    eu-west-1      = { name = "prepx-eu-west-1", cidr = "10.18.0.0/16", sql_clusters = 4 }
    ap-southeast-1 = { name = "prepx-ap-southeast-1", cidr = "10.19.0.0/16", sql_clusters = 4 }
  }
  shared = {
    operator_cidrs = var.operator_cidrs
    may            = module.home.may
    backbone       = { cidr = local.cidr, core_network = module.backbone.core_network }
  }
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

  buckets       = { stages = "prepx-stages-${local.home}", backups = "prepx-backups", logs = "prepx-logs" }
  other_regions = setsubtract(keys(local.regions), [local.home])
}

module "backbone" {
  source = "../modules/backbone"

  regions = keys(local.regions)
}

# A module cannot be told its provider by for_each, so each region has a block; what differs is above.

module "us_east_1" {
  source = "../modules/region"
  at     = local.regions.us-east-1
  shared = local.shared
}

module "us_west_2" {
  source    = "../modules/region"
  providers = { aws = aws.us_west_2 }
  at        = local.regions.us-west-2
  shared    = local.shared
}

module "eu_west_1" {
  source    = "../modules/region"
  providers = { aws = aws.eu_west_1 }
  at        = local.regions.eu-west-1
  shared    = local.shared
}

module "ap_southeast_1" {
  source    = "../modules/region"
  providers = { aws = aws.ap_southeast_1 }
  at        = local.regions.ap-southeast-1
  shared    = local.shared
}

module "dns" {
  source = "../modules/dns"

  zone    = var.zone
  host    = "api.${var.zone}"
  regions = { for region, running in local.running : region => running.entrance }
  drained = var.drained
}
