output "name" {
  description = "Name of the cluster."
  value       = aws_eks_cluster.this.name
}

output "endpoint" {
  description = "Where its API is."
  value       = aws_eks_cluster.this.endpoint
}

output "security_group_id" {
  description = "The group of machines and pods."
  value       = aws_eks_cluster.this.vpc_config[0].cluster_security_group_id
}

output "tokens" {
  description = "Who vouches for service accounts: the provider that IAM knows, and the issuer's name."
  value = {
    provider_arn = aws_iam_openid_connect_provider.cluster.arn
    issuer       = trimprefix(aws_eks_cluster.this.identity[0].oidc[0].issuer, "https://")
  }
}
