variable "regions" {
  description = "Regions that it joins."
  type        = list(string)
}
