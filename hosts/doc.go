// Package hosts defines what the gateway knows of hosts: a [Host] is the result of
// looking a name up, an [Entrance] is an open way into a host.
//
// A [Directory] is a list of sources. A [Source] finds hosts of one kind, looks them
// up by name and opens them: sshds whose addresses are in the configuration
// ([Addresses], here), containers of a Docker engine (hosts/docker), pods of a
// cluster (hosts/kube), this machine (hosts/local). Package hosts/configured creates
// those of a configuration.
//
// # Invariants
//
// A lookup turns a name into something that nobody else can have, such as a
// container's id, and exactly that is opened.
//
// A name belongs to one source. The first source that knows it decides, even if its
// host cannot be entered: a later source never replaces it.
//
// Nothing is dialled from here because a user named it: addresses come from a source
// or from the configuration. A server at an address is trusted only if it shows a
// host key that is known from elsewhere.
package hosts
