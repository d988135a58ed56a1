output "may" {
  description = "What may be done with what is kept here, as modules/region takes it."
  value = {
    stages           = module.stages.use
    backups          = module.backups.use
    logs             = module.logs.use
    secrets          = module.secrets.use
    watching_secrets = module.watching_secrets.use
  }
}
