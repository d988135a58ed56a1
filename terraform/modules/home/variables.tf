variable "buckets" {
  description = "Names of the buckets: in PREPX_SNAPSHOT_URL and PREPX_ARCHIVE_URL, in k8s/components/sql, and in Loki's file."
  type        = object({ stages = string, backups = string, logs = string })
}

variable "alerts_secret" {
  description = "Name of the secret by which Alertmanager reaches the pager and the chat."
  type        = string
  default     = "prepx/alerts"
}

variable "other_regions" {
  description = "Regions that read the secrets too."
  type        = set(string)
  default     = []
}
