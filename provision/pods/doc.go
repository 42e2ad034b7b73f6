// Package pods says what compose files want of a Kubernetes cluster: for each service a
// StatefulSet of one pod and the variables that a Secret has to hold, for each named volume
// a PersistentVolumeClaim. It is pure, and knows the files alone.
//
// What a pod cannot do is refused by key and line (refuse.go): no key of a service that
// provision carries out on an engine is passed over.
//
// Beside the objects stand facts: what a host is made of, texts by keys of the files. They
// are kept on the StatefulSet in a form of our own (facts.go), and only they are compared
// later: what the API server and other controllers add to an object is no change.
package pods
