variable "at" {
  description = "What is its own: the name of network, cluster and entrance; addresses, a /16; and how many databases are in it (k8s/components/sql and sql-shards-*), each three servers of 16 CPU, which no machine of the pools below has room for."
  type = object({
    name         = string
    cidr         = string
    sql_clusters = number
  })
}

variable "shared" {
  description = "What it has in common with others: from where operators reach the API of the cluster; what may be done with what is kept at home, as modules/home says; and where there is more than one region, the network between them with the addresses of all."
  type = object({
    operator_cidrs = list(string)
    may = map(list(object({
      actions   = list(string)
      resources = list(string)
    })))
    backbone = optional(object({
      cidr         = string
      core_network = object({ id = string, arn = string })
    }))
  })
}

variable "zones" {
  description = "How many zones."
  type        = number
  default     = 3
}

variable "kubernetes_version" {
  description = "Version of Kubernetes: that of the schemas which tests/k8s puts manifests beside."
  type        = string
  default     = "1.34"
}

variable "pools" {
  description = "Pools of machines, as modules/cluster takes them: the requirements' 20 to 200 of these three kinds, 70 % of them spot."
  type = map(object({
    spot           = bool
    instance_types = list(string)
    min            = number
    max            = number
  }))
  nullable = false
  default = {
    spot             = { spot = true, instance_types = ["c6i.2xlarge"], min = 14, max = 140 }
    on-demand        = { spot = false, instance_types = ["c6i.4xlarge"], min = 3, max = 40 }
    on-demand-memory = { spot = false, instance_types = ["r6i.2xlarge"], min = 3, max = 20 }
  }
}
