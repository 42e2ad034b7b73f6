// Package apply is where provision meets the engine: it observes what is there,
// and carries a plan's steps out, one call after the other. Images are built with
// BuildKit where the engine has it.
//
// [Observe] looks, [Executor.Apply] acts, [Executor.WaitReady] waits until the
// hosts can be entered. [Lock] holds off other runs in between.
package apply
