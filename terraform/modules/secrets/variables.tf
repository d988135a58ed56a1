variable "names" {
  description = "Names of the secrets, as the ExternalSecrets of k8s/components/secrets have them."
  type        = set(string)
  default     = ["prepx/cluster", "prepx/sql", "prepx/user", "prepx/analytics", "prepx/notification"]
}

variable "replica_regions" {
  description = "Regions beside this one that read them."
  type        = set(string)
  default     = []
}
