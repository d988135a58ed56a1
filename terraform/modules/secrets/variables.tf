variable "names" {
  description = "Names of the secrets, as the ExternalSecrets of k8s/components/secrets and kafka-elsewhere have them."
  type        = set(string)
  default     = ["prepx/cluster", "prepx/sql", "prepx/user", "prepx/analytics", "prepx/notification", "prepx/kafka"]
}

variable "replica_regions" {
  description = "Regions beside this one that read them."
  type        = set(string)
  default     = []
}
