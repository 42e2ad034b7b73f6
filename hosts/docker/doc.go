// Package docker is the source of hosts that are containers of a Docker engine:
// those with the labels of package labels, and those that the configuration
// names.
//
// It follows the engine's events, so that a login costs one call to the engine:
// the inspection of the container that is entered, by its id (open.go). Route
// sshd then connects to an address of that moment, and pins the host keys that
// the container has; route exec starts a helper in it (exec.go), which is mounted
// or brought in (deliver.go).
package docker
