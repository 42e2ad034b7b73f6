// Package kube tries hosts that are pods, in the cluster of two nodes that
// scripts/setup-kube starts: make test-kube. What is the same at every door is asked
// there by the other scenarios.
package kube
