variable "zone" {
  description = "The zone, such as prepx.com; its name servers are an output, for the registrar."
  type        = string
}

variable "host" {
  description = "The name that clients use, in that zone; istio/base/gateway.yaml has it too."
  type        = string

  validation {
    condition     = endswith(var.host, ".${var.zone}")
    error_message = "The host is in the zone, as api.prepx.com is in prepx.com."
  }
}

variable "regions" {
  description = "By region, where clients come in."
  type = map(object({
    name    = string
    zone_id = string
  }))
}

variable "drained" {
  description = "Regions that get no new clients."
  type        = set(string)
  default     = []

  validation {
    condition     = length(setsubtract(keys(var.regions), var.drained)) > 0
    error_message = "One region at least has to be left to serve."
  }
}
