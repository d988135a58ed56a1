variable "zone" {
  description = "The zone of DNS; clients use `api` in it."
  type        = string
  default     = "prepx.com"
}

variable "operator_cidrs" {
  description = "From where operators reach the API of the clusters."
  type        = list(string)
}

variable "drained" {
  description = "Regions that get no new clients: how one is taken out by hand."
  type        = set(string)
  default     = []
}
