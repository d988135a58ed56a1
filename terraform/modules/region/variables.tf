variable "name" {
  description = "Name of network, cluster and entrance."
  type        = string
}

variable "cidr" {
  description = "Addresses of the region, a /16."
  type        = string
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

variable "operator_cidrs" {
  description = "From where operators reach the API of the cluster."
  type        = list(string)
}

variable "pools" {
  description = "Pools of machines, as modules/cluster takes them: the requirements' 20 to 200 of these three kinds, 70 % of them spot."
  type = map(object({
    spot           = bool
    instance_types = list(string)
    min            = number
    max            = number
  }))
  default = {
    spot             = { spot = true, instance_types = ["c6i.2xlarge"], min = 14, max = 140 }
    on-demand        = { spot = false, instance_types = ["c6i.4xlarge"], min = 3, max = 40 }
    on-demand-memory = { spot = false, instance_types = ["r6i.2xlarge"], min = 3, max = 20 }
  }
}

variable "sql_clusters" {
  description = "How many databases are in this region (k8s/components/sql and sql-shards-*), each three servers of 16 CPU, which no machine of the pools above has room for."
  type        = number
}

variable "may" {
  description = "What is kept at home and may be used here, as modules/home says: the bucket of snapshots and archived journals by owners of partitions, that of backups by databases, the secrets."
  type = map(list(object({
    actions   = list(string)
    resources = list(string)
  })))
}

variable "backbone" {
  description = "The network between the regions, and the addresses of all of them; null where there is one region."
  type = object({
    cidr         = string
    core_network = object({ id = string, arn = string })
  })
  default = null
}
