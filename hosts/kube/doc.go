// Package kube is the source of hosts that are pods of a Kubernetes cluster: those
// with the labels of package labels, in the namespaces that the configuration names.
//
// A host is one container of a pod: the one that an annotation names, or else the
// first. Its pods are listed and watched (follow.go), so that a lookup asks nobody.
// What a pod is at a time, and why nothing can be entered in it, pod.go reads of its
// status; known.go keeps it, and ends what was entered in a container when that ends.
//
// Route exec starts one helper for each account of a container, by one exec that
// carries all of its sessions as streams (exec.go, stream.go). An exec in a pod chooses
// no account: the helper becomes the account where the container runs as root, and
// refuses every other account than its own where it does not. Route sshd goes to the
// pod's address where that can be reached from here, or else through the API server
// (forward.go).
//
// What was looked up is a container's id. Kubernetes executes by a pod's name, and so
// it is asked afterwards whether that container still is the one (open.go).
package kube
