// Package apply is where provision meets the engine: it observes what is there,
// and carries a plan's steps out, one call after the other. Images are built with
// BuildKit where the engine has it.
//
// [Observe] looks, [Executor.Apply] acts, [Executor.WaitReady] waits until the
// hosts can be entered. [Lock] holds off other runs in between.
//
// The package is larger than others are here: it is all that provision asks of an
// engine, a file for each kind of call.
package apply
