# Applied to doubles of the providers: no account is asked for anything.

mock_provider "aws" {
  source = "../testing"
}

mock_provider "aws" {
  alias  = "us_west_2"
  source = "../testing"
}

mock_provider "aws" {
  alias  = "eu_west_1"
  source = "../testing"
}

mock_provider "aws" {
  alias  = "ap_southeast_1"
  source = "../testing"
}

variables {
  operator_cidrs = ["192.0.2.0/24"]
}

run "four_regions" {
  assert {
    condition     = keys(module.dns.records) == keys(local.regions)
    error_message = "Clients are led to ${jsonencode(keys(module.dns.records))}."
  }

  assert {
    condition     = keys(local.running) == keys(local.regions)
    error_message = "Of the regions there run ${jsonencode(keys(local.running))}."
  }

  assert {
    condition     = length(distinct([for region in local.regions : region.cidr])) == length(local.regions)
    error_message = "Two regions have the same addresses."
  }
}

run "one_is_drained" {
  variables {
    drained = ["eu-west-1"]
  }

  assert {
    condition     = keys(module.dns.records) == ["ap-southeast-1", "us-east-1", "us-west-2"]
    error_message = "Clients are led to ${jsonencode(keys(module.dns.records))}."
  }
}
