// Package cluster makes the hosts of a compose file pods of a Kubernetes cluster, as plan
// and apply make them containers of an engine.
//
// [Want] turns the files into objects: for each service a StatefulSet of one pod and a
// Secret with its variables, for each named volume a PersistentVolumeClaim. What a pod
// cannot do is refused by key and line (refuse.go). [Up] and [Down] compare that with what
// is in the namespace, and say what to do; both are pure. A [Namespace] is observed, and an
// [Executor] carries a plan out there.
//
// What a StatefulSet was made of is written on it as facts, texts by keys of the files, in
// its annotation berth.config. Only they are compared: what the API server and other
// controllers add to an object is no change.
package cluster
