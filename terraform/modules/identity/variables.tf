variable "name" {
  description = "Name of the cluster, with which the names of the roles begin."
  type        = string
}

variable "tokens" {
  description = "Who vouches for service accounts."
  type = object({
    provider_arn = string
    issuer       = string
  })
}

variable "roles" {
  description = "By name: which service accounts (`*` stands for any letters), in which namespace, may do what."
  type = map(object({
    namespace = string
    accounts  = list(string)
    may = list(object({
      actions   = list(string)
      resources = list(string)
    }))
  }))
}
