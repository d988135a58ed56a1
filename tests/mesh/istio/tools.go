//go:build tools

package main

// The agent of a pod, and the control plane as it runs in a cluster.
import (
	_ "istio.io/istio/pilot/cmd/pilot-agent"
	_ "istio.io/istio/pilot/cmd/pilot-discovery"
)
