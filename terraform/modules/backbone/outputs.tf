# Only what has its policy can be attached to.
output "core_network" {
  description = "What regions attach themselves to."
  value       = { id = aws_networkmanager_core_network_policy_attachment.this.core_network_id, arn = aws_networkmanager_core_network.this.arn }
}
