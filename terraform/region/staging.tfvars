# What k8s/overlays/staging and monitoring-staging run on, in an account of its own: one database, a tenth of the machines.
suffix       = "-staging"
sql_clusters = 1
pools = {
  spot             = { spot = true, instance_types = ["c6i.2xlarge"], min = 2, max = 14 }
  on-demand        = { spot = false, instance_types = ["c6i.4xlarge"], min = 3, max = 6 }
  on-demand-memory = { spot = false, instance_types = ["r6i.2xlarge"], min = 1, max = 2 }
}
