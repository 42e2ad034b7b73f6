// Package kube is the source of hosts that are pods of a Kubernetes cluster: those
// with the labels of package labels, in the namespaces of the configuration.
//
// A host is one container of a pod: the one that an annotation names, or else the
// first one. Its pods are listed and watched (follow.go), so that a lookup makes no
// request. pod.go reads from a pod's status what the pod is, and why it cannot be
// entered. known.go stores that, and ends everything that was entered in a container
// when the container ends.
//
// Route exec starts one helper for each account of a container, with one exec that
// carries all of its sessions as streams (exec.go, stream.go). An exec in a pod
// cannot choose an account: if the container runs as root, the helper changes to the
// account; otherwise it refuses every account but its own. Route sshd connects to the
// pod's address if that can be reached from here, or else through the API server
// (forward.go).
//
// A lookup returns a container's id. Kubernetes executes by a pod's name, so the
// gateway asks afterwards whether it still was that container (open.go).
package kube
