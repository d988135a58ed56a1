variable "stages_bucket" {
  description = "Name of the bucket in PREPX_SNAPSHOT_URL and PREPX_ARCHIVE_URL."
  type        = string
}

variable "backups_bucket" {
  description = "Name of the bucket in k8s/components/sql."
  type        = string
  default     = "prepx-backups"
}

variable "other_regions" {
  description = "Regions that read the secrets too."
  type        = set(string)
  default     = []
}
