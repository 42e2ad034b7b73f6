// Package messages is what a front and its keeper ask each other (packages front and
// fronts), by the calls of package calls. The two are one program of one version, so
// the forms may change with each version.
package messages
