// Package plan compares what compose files want with what is there, and says what
// to do: typed steps, each one operation on one resource of the engine, with its
// cause. It is pure: making a plan asks the engine nothing and changes nothing.
//
// [Up] and [Down] make a [Plan] of a [compose.Wanted] and an [Observed]. What
// recreates a container is written on it, as facts in a form of our own.
//
// The package is larger than others are here: the facts of a container, and what
// becomes of it by them, are one decision, which is tested as one.
package plan
