// Package pods says what compose files want of a Kubernetes cluster: for each service
// a StatefulSet of one pod, and the variables for its Secret; for each named volume a
// PersistentVolumeClaim. It is pure, and uses only the files.
//
// What a pod cannot do is refused with its key and line (refuse.go): every key of a
// service that provision carries out on an engine is either carried out here or
// refused.
//
// Beside the objects there are facts: what a host was created from, texts by keys of
// the files. They are stored on the StatefulSet in a form of our own (facts.go), and
// only they are compared later, so what the API server and controllers add to an
// object is no change.
package pods
