variable "name" {
  description = "Name of the cluster."
  type        = string
}

variable "kubernetes_version" {
  description = "Version of Kubernetes: that of the schemas which tests/k8s puts manifests beside."
  type        = string
}

variable "subnet_ids" {
  description = "Where machines and pods are, a subnet a zone."
  type        = list(string)
}

variable "operator_cidrs" {
  description = "From where the API of the cluster is reached; with none, from inside only."
  type        = list(string)
}

variable "pools" {
  description = "Pools of machines, by names in which `spot` or `on-demand` is: how many there are at least and at most."
  type = map(object({
    spot           = bool
    instance_types = list(string)
    min            = number
    max            = number
  }))

  validation {
    condition     = alltrue([for name, pool in var.pools : strcontains(name, pool.spot ? "spot" : "on-demand") && pool.min <= pool.max])
    error_message = "A pool's name says what its machines are, by `spot` or `on-demand`, and it has not fewer than its least."
  }
}
