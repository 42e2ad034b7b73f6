// Package local is the source of hosts that are this machine itself (route
// local). It is there for who configures it: an admin's shell, the demo.
package local
