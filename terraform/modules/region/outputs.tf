output "cluster" {
  description = "Name of the cluster, and where its API is."
  value       = { name = module.cluster.name, endpoint = module.cluster.endpoint }
}

output "entrance" {
  description = "Where clients come in."
  value       = module.entrance.address
}

output "target_group_arn" {
  description = "For a TargetGroupBinding to the ingress gateway."
  value       = module.entrance.target_group_arn
}

output "role_arns" {
  description = "What service accounts are annotated with, by what it is for."
  value       = module.identity.role_arns
}
