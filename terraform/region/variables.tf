variable "region" {
  description = "The region."
  type        = string
  default     = "us-east-1"
}

variable "replica_region" {
  description = "Where copies of snapshots, archives and backups are."
  type        = string
  default     = "us-west-2"
}

variable "zone" {
  description = "The zone of DNS; clients use `api` in it."
  type        = string
  default     = "prepx.com"
}

variable "operator_cidrs" {
  description = "From where operators reach the API of the cluster."
  type        = list(string)
}

variable "suffix" {
  description = "With which names end that are of all accounts together (buckets), or of staging: empty in production."
  type        = string
  default     = ""
}

variable "sql_clusters" {
  description = "How many databases are in it: the home database and 16 shards."
  type        = number
  default     = 17
}

variable "pools" {
  description = "Other pools of machines than the requirements', as modules/region takes them."
  type = map(object({
    spot           = bool
    instance_types = list(string)
    min            = number
    max            = number
  }))
  default = null
}
