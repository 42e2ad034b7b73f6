// Package images tests containers of every kind that people bring, each as it
// must be as a host (docs/exec.md).
package images
