// Package hosts knows which hosts there are and how to reach them.
//
// A [Directory] finds hosts by the labels of containers, follows the engine's
// events, and adds what the configuration names. Its callers ask it two
// things: [Directory.Lookup] turns a name into a host, which is a container's
// immutable id from then on, and [Directory.Open] opens a route to that id and
// an account. A route is either a connection to an SSH server together with
// the host keys that it must show, or a machine to serve (see
// [berth/machine.Machine]).
//
// Nothing is ever dialled from here because a user named it: addresses come
// from the engine and from the configuration.
package hosts
