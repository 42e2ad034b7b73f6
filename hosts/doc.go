// Package hosts is what the gateway knows of hosts: a [Host] is a name that was
// looked up, an [Entrance] is an open way into it.
//
// A [Directory] is a list of sources. A [Source] finds hosts of one kind, looks
// them up by their names and opens them: the sshds that the configuration gives
// the addresses of ([Addresses], here), the containers of a Docker engine
// (hosts/docker), the pods of a cluster (hosts/kube), this machine (hosts/local).
// Package hosts/configured puts together those of a configuration.
//
// # Invariants
//
// A name becomes something that nobody else can have, a container's id for one,
// when it is looked up, and only that is opened.
//
// A name is one source's. The first source that knows it decides, even if its
// host cannot be entered: a later source never stands in.
//
// Nothing is dialled from here because a user named it: addresses come from a
// source and from the configuration. What answers at an address is believed
// only if it shows a host key that is known from elsewhere.
package hosts
