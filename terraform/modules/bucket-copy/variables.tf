variable "of" {
  description = "The bucket, as modules/bucket tells it; its copy is called so with `-replica`."
  type        = object({ name = string, arn = string, key_arn = string })
}
