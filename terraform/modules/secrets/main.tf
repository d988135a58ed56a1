# Places for the secrets that k8s/components reads, copied to all regions. What is in them is put there by hand
# (`aws secretsmanager put-secret-value`): it would otherwise be in the state.

resource "aws_secretsmanager_secret" "this" {
  for_each = var.names

  name                    = each.key
  recovery_window_in_days = 30

  dynamic "replica" {
    for_each = var.replica_regions

    content {
      region = replica.value
    }
  }
}
