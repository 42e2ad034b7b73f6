// Package streams is a helper's way to answer where no descriptor can cross, as with
// an engine on another machine. The requests are those of package descriptors. They
// and the data go over many streams, which share the helper's standard input and
// output (yamux).
//
// The gateway opens a stream for each process, connection or listener: its control.
// The first message says what is asked for, and the thing lives until the gateway
// ends its control. Its data goes over streams beside it. Each has its own window, so
// one that nobody reads blocks no other. The end of a stream means the end of that
// input; for output it says that nobody reads any more.
//
// The container is not trusted. Only the gateway may open streams, and it gives a
// helper up that does not end a stream in time after the gateway has released it.
package streams
