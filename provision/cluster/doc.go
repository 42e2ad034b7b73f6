// Package cluster makes the hosts of a compose file pods of a Kubernetes cluster, as plan
// and apply make them containers of an engine.
//
// [Up] and [Down] compare what the files want (package pods) with what is in a namespace,
// and say what to do; both are pure. A [Namespace] is observed, and an [Executor] carries a
// plan out there.
package cluster
