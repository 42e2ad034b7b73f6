// Package docker is the source of hosts that are containers of a Docker engine: those
// with the labels of package labels, and those in the configuration.
//
// It follows the engine's events, so that a login costs only one call to the engine:
// the inspection of the container, by its id (open.go). Route sshd then connects to
// the container's present address, and pins its host keys; route exec starts a helper
// in it (exec.go), which is mounted or copied into it (deliver.go).
package docker
