// Package plan compares what compose files want with what exists, and says what to
// do: typed steps, each of which is one operation on one resource of the engine, with
// its cause. It is pure: making a plan neither asks nor changes anything.
//
// [Up] and [Down] make a [Plan] from a [compose.Wanted] and an [Observed]. What
// recreates a container if it changes is written on the container, as facts in a form
// of our own.
//
// The package is larger than others because a container's facts and the decision
// about the container belong together, and are tested together.
package plan
