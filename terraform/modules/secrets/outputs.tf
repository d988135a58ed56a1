output "use" {
  description = "What whoever reads them may do, in any region, as modules/identity takes it."
  value = [{
    actions   = ["secretsmanager:GetSecretValue", "secretsmanager:DescribeSecret"]
    resources = [for secret in aws_secretsmanager_secret.this : replace(secret.arn, "/^(arn:[^:]+:secretsmanager):[^:]+:/", "$1:*:")]
  }]
}
