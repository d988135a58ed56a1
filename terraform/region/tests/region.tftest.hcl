# Applied to a double of the provider: no account is asked for anything.

mock_provider "aws" {
  source = "../testing"
}

mock_provider "aws" {
  alias  = "replica"
  source = "../testing"
}

variables {
  operator_cidrs = ["192.0.2.0/24"]
}

run "one_region" {
  assert {
    condition     = keys(module.region.role_arns) == ["autoscaler", "backups", "loki", "monitoring-secrets", "secrets", "stages", "targets"]
    error_message = "Roles are made for ${jsonencode(keys(module.region.role_arns))}."
  }

  assert {
    condition     = module.dns.records == { us-east-1 = module.dns.records.us-east-1 }
    error_message = "Clients are led to ${jsonencode(keys(module.dns.records))}."
  }
}
