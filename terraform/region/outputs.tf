output "cluster" {
  description = "For `aws eks update-kubeconfig`, and for what is put into the cluster."
  value       = module.region.cluster
}

output "role_arns" {
  description = "Annotations of the service accounts, eks.amazonaws.com/role-arn."
  value       = module.region.role_arns
}

output "target_group_arn" {
  description = "For a TargetGroupBinding to the ingress gateway."
  value       = module.region.target_group_arn
}

output "name_servers" {
  description = "For the registrar."
  value       = module.dns.name_servers
}
