// Package migration takes over a box that has an ssh port and passwords for each
// container.
package migration
