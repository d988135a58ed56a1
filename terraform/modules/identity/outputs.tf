output "role_arns" {
  description = "By name, what service accounts are annotated with (eks.amazonaws.com/role-arn)."
  value       = { for name, role in aws_iam_role.this : name => role.arn }
}
