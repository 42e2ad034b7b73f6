// Package kubernetes is the connection to a Kubernetes cluster: where its API server is,
// the client of a group of its API, one way to run a command in a pod, and why a pod does
// not run, in words for people.
package kubernetes
