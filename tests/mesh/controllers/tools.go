//go:build tools

// Package controllers pins what acts on a cluster beside Kubernetes itself.
package controllers

import _ "github.com/argoproj/argo-rollouts/cmd/rollouts-controller"
