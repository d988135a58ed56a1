variable "name" {
  description = "Name of the bucket, in all of S3."
  type        = string
}

variable "noncurrent_days" {
  description = "For how many days what was overwritten or deleted is kept."
  type        = number
}

variable "colder" {
  description = "What is read less the older it is, by the beginning of its names: after how many days it goes to which class of storage."
  type        = map(map(number))
  default     = {}
}
