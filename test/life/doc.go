// Package life tests ends: gateways that are stopped, killed and replaced,
// containers and engines that restart, hang or go away, and clients that fall
// silent, are cut off, or are killed. What they had must be gone, and what was
// none of theirs must go on.
package life
