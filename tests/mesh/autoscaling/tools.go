//go:build tools

// Package autoscaling pins who tells autoscalers what Prometheus and the kubelets know.
package autoscaling

import (
	_ "sigs.k8s.io/metrics-server/cmd/metrics-server"
	_ "sigs.k8s.io/prometheus-adapter/cmd/adapter"
)
