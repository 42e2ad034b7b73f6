package apply

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"

	"github.com/moby/moby/api/types/build"
	"github.com/moby/moby/client"
)

// buildSession is the connection on which BuildKit asks questions during a build,
// such as for credentials of a registry. Older versions pull nothing without such a
// connection. The answer here is that there are none.
type buildSession struct {
	id   string
	conn net.Conn
}

// openSession opens a session for a build by BuildKit. It returns nil if the classic
// builder is to build: the engine has no BuildKit, or the user wants that.
func openSession(ctx context.Context, api *client.Client) (*buildSession, error) {
	wanted, err := wantsBuildKit(ctx, api)
	if err != nil || !wanted {
		return nil, err
	}
	id := rand.Text()
	conn, err := api.DialHijack(ctx, "/session", "h2c", http.Header{
		"X-Docker-Expose-Session-Uuid":        {id},
		"X-Docker-Expose-Session-Grpc-Method": {healthCheck},
	})
	if err != nil {
		return nil, ctx.Err() // an engine without BuildKit has no sessions
	}
	server := http.Server{Handler: http.HandlerFunc(answer), Protocols: new(http.Protocols)}
	server.Protocols.SetUnencryptedHTTP2(true)
	go server.Serve(&oneConn{conn})
	return &buildSession{id, conn}, nil
}

func (s *buildSession) close() { s.conn.Close() }

// wantsBuildKit reports whether BuildKit is to build, according to DOCKER_BUILDKIT,
// or else to the engine's configuration.
func wantsBuildKit(ctx context.Context, api *client.Client) (bool, error) {
	if text := os.Getenv("DOCKER_BUILDKIT"); text != "" {
		wanted, err := strconv.ParseBool(text)
		if err != nil {
			return false, fmt.Errorf("DOCKER_BUILDKIT is 0 or 1, not %q", text)
		}
		return wanted, nil
	}
	ping, err := api.Ping(ctx, client.PingOptions{})
	return ping.BuilderVersion != build.BuilderV1, err
}

const healthCheck = "/grpc.health.v1.Health/Check"

// answer is a gRPC server that says it is healthy, and refuses everything else.
func answer(w http.ResponseWriter, r *http.Request) {
	const ok, unimplemented = "0", "12"
	io.Copy(io.Discard, r.Body)
	w.Header().Set("Content-Type", "application/grpc")
	if r.URL.Path != healthCheck {
		w.Header().Set("Grpc-Status", unimplemented)
		return
	}
	w.Write([]byte{0, 0, 0, 0, 2, 0x08, 1}) // not compressed, two bytes long: field 1, the status, is SERVING
	w.Header().Set(http.TrailerPrefix+"Grpc-Status", ok)
}

// oneConn is a listener that accepts one connection, which exists already.
type oneConn struct{ conn net.Conn }

func (l *oneConn) Accept() (net.Conn, error) {
	conn := l.conn
	l.conn = nil
	if conn == nil {
		return nil, net.ErrClosed
	}
	return conn, nil
}

func (l *oneConn) Close() error   { return nil }
func (l *oneConn) Addr() net.Addr { return &net.UnixAddr{} }
