// Package streams is a helper's way where no descriptor can cross, as with an
// engine on another machine: what is asked and answered by descriptors
// elsewhere, on streams that share the helper's standard ones (yamux).
//
// Whatever is asked for, a process, a connection or a listener, is asked for by
// the first message of a stream, its control, and lives until the gateway ends
// that. Its data goes by streams beside it, each with a window of its own, so
// that one which nobody reads stops no other. The end of a stream is the end of
// input, or says of output that nobody reads on.
//
// The container is not trusted: the gateway alone opens streams, and gives up a
// helper that does not end one which was let go of.
package streams
