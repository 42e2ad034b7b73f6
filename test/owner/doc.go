// Package owner does what the owner of a box does to a gateway that runs: looks
// who is on, ends somebody's connections, tells everybody something, upgrades it.
// make soak upgrades it a hundred times under load.
package owner
