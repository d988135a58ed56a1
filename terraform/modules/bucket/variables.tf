variable "name" {
  description = "Name of the bucket, in all of S3; its copy is called so with `-replica`."
  type        = string
}

variable "noncurrent_days" {
  description = "For how many days what was overwritten or deleted is kept."
  type        = number
}

variable "cold_prefixes" {
  description = "What is read less the older it is, by the beginning of its names."
  type        = list(string)
  default     = []
}
