output "regions" {
  description = "By region: the cluster, annotations of its service accounts, and the target group of its entrance."
  value = {
    for region, running in local.running : region => {
      cluster          = running.cluster
      role_arns        = running.role_arns
      target_group_arn = running.target_group_arn
    }
  }
}

output "records" {
  description = "By region that serves, the record which clients near it are given."
  value       = module.dns.records
}

output "name_servers" {
  description = "For the registrar."
  value       = module.dns.name_servers
}
