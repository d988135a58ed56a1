output "name_servers" {
  description = "What the registrar has to name."
  value       = aws_route53_zone.this.name_servers
}

output "records" {
  description = "By region that serves, the record which clients near it are given."
  value       = { for region, record in aws_route53_record.nearest : region => record.fqdn }
}
