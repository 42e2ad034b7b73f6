// Package forwards tests what goes through a connection besides its sessions, at
// every door: ports and sockets both ways, SOCKS, jumps, the agent, and X11.
package forwards
