output "vpc_id" {
  description = "The network."
  value       = aws_vpc.this.id
}

output "vpc_arn" {
  description = "The network, for the backbone."
  value       = aws_vpc.this.arn
}

output "private_subnets" {
  description = "By zone, where machines and pods are."
  value       = { for zone, subnet in aws_subnet.private : zone => { id = subnet.id, arn = subnet.arn } }
}

output "public_subnet_ids" {
  description = "Where load balancers are."
  value       = [for subnet in aws_subnet.public : subnet.id]
}

output "private_route_table_ids" {
  description = "By zone, the routes of machines and pods."
  value       = { for zone, table in aws_route_table.private : zone => table.id }
}
