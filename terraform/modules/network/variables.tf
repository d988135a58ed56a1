variable "name" {
  description = "Name of the network, and of the cluster that will be in it."
  type        = string
}

variable "cidr" {
  description = "Addresses of the region, a /16; those of two regions must not overlap."
  type        = string

  validation {
    condition     = can(cidrhost(var.cidr, 0)) && endswith(var.cidr, "/16")
    error_message = "The addresses of a region are a /16, such as 10.16.0.0/16."
  }
}

variable "zones" {
  description = "How many zones, at most three."
  type        = number

  validation {
    condition     = var.zones >= 2 && var.zones <= 3
    error_message = "There are two or three zones: a cluster needs two, and the addresses are shared out to three."
  }
}
