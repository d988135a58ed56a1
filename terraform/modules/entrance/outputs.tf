output "address" {
  description = "The load balancer's name, and the zone of DNS that it is in."
  value       = { name = aws_lb.this.dns_name, zone_id = aws_lb.this.zone_id }
}

output "target_group_arn" {
  description = "For a TargetGroupBinding to the ingress gateway."
  value       = aws_lb_target_group.gateway.arn
}
