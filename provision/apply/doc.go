// Package apply is where provision meets the engine: it observes what exists, and
// carries out a plan's steps, one call after the other. It builds images with
// BuildKit if the engine has it.
//
// [Observe] observes, [Executor.Apply] changes, and [Executor.WaitReady] waits until
// the hosts can be entered. [Lock] keeps other runs away in between.
//
// The package is larger than others because it has everything that provision asks of
// an engine, with a file for each kind of call.
package apply
