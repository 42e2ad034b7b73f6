// Package files tests that files go both ways, at every door, by every client that
// copies files.
package files
