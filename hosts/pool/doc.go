// Package pool keeps the helpers that run (see package helper): one for each
// account of a container, or of this machine. The first connection of a person
// starts it, the next ones share it, and it is kept for a minute after the last
// one.
package pool
