// Package load holds every door of the gateway to its promise when much is asked
// of it. make soak asks for much more.
package load
