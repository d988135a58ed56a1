variable "name" {
  description = "Name of the load balancer."
  type        = string
}

variable "vpc_id" {
  description = "The network that it is in."
  type        = string
}

variable "subnet_ids" {
  description = "Public subnets, one a zone."
  type        = list(string)
}

variable "pods_security_group_id" {
  description = "The group of the pods behind it."
  type        = string
}

variable "port" {
  description = "Where the ingress gateway's pods listen for TLS."
  type        = number
  default     = 8443
}
