// Package cluster creates the hosts of a compose file as pods of a Kubernetes
// cluster, as packages plan and apply create them as containers of an engine.
//
// [Up] and [Down] compare what the files want (package pods) with the content of a
// namespace, and return a plan; both are pure. A [Namespace] can be observed, and an
// [Executor] carries out a plan in it.
package cluster
