# The network between the regions (AWS Cloud WAN): one policy for all of them instead of a peering for each pair. Regions
# attach themselves, modules/region does; whoever is tagged `segment = prepx` is let in.

data "aws_networkmanager_core_network_policy_document" "this" {
  core_network_configuration {
    asn_ranges = ["64512-64555"]

    dynamic "edge_locations" {
      for_each = var.regions

      content {
        location = edge_locations.value
      }
    }
  }

  segments {
    name                          = "prepx"
    require_attachment_acceptance = false
  }

  attachment_policies {
    rule_number     = 100
    condition_logic = "and"

    conditions {
      type     = "tag-value"
      operator = "equals"
      key      = "segment"
      value    = "prepx"
    }

    action {
      association_method = "constant"
      segment            = "prepx"
    }
  }
}

resource "aws_networkmanager_global_network" "this" {
  description = "prepx"
}

resource "aws_networkmanager_core_network" "this" {
  global_network_id    = aws_networkmanager_global_network.this.id
  create_base_policy   = true
  base_policy_document = data.aws_networkmanager_core_network_policy_document.this.json
}

resource "aws_networkmanager_core_network_policy_attachment" "this" {
  core_network_id = aws_networkmanager_core_network.this.id
  policy_document = data.aws_networkmanager_core_network_policy_document.this.json
}
