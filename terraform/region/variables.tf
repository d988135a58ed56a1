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
