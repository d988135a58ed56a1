# One name for all regions: a client is told of the one that is nearest to it among those that are well. A region that does
# not answer is left out after 20 to 30 s; one that is drained by hand is left out at the next apply.

resource "aws_route53_zone" "this" {
  name = var.zone
}

# Each region by a name of its own, by which its health is looked at.
resource "aws_route53_record" "region" {
  for_each = var.regions

  zone_id = aws_route53_zone.this.zone_id
  name    = "${each.key}.${var.host}"
  type    = "A"

  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = false
  }
}

# The certificate is for the name that clients use, so that is what is asked for, at the region's own address.
resource "aws_route53_health_check" "region" {
  for_each = var.regions

  fqdn              = aws_route53_record.region[each.key].fqdn
  type              = "HTTPS"
  port              = 443
  resource_path     = "/readyz"
  request_interval  = 10
  failure_threshold = 2
  measure_latency   = true
  tags              = { Name = "${var.host} in ${each.key}" }
}

resource "aws_route53_record" "nearest" {
  for_each = { for region, address in var.regions : region => address if !contains(var.drained, region) }

  zone_id         = aws_route53_zone.this.zone_id
  name            = var.host
  type            = "A"
  set_identifier  = each.key
  health_check_id = aws_route53_health_check.region[each.key].id

  latency_routing_policy {
    region = each.key
  }

  alias {
    name                   = each.value.name
    zone_id                = each.value.zone_id
    evaluate_target_health = true
  }
}
