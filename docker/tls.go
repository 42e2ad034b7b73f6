package docker

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"path/filepath"
	"time"

	"github.com/docker/go-connections/tlsconfig"
)

const dialTimeout = 10 * time.Second

// vanished makes the kernel notice within half a minute that a box has vanished, also
// on an idle connection.
var vanished = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialTLS returns a function that connects to an engine by TLS, with the certificates
// of a directory as docker stores them. It reads them for each connection: they may
// be renewed, and if they are invalid only this engine cannot be reached.
func dialTLS(dir string) func(ctx context.Context, network, address string) (net.Conn, error) {
	file := func(name string) string { return filepath.Join(dir, name) }
	files := tlsconfig.Options{CAFile: file("ca.pem"), CertFile: file("cert.pem"), KeyFile: file("key.pem"), ExclusiveRootPools: true}
	return func(ctx context.Context, _, address string) (net.Conn, error) {
		config, err := tlsconfig.Client(files)
		if err != nil {
			return nil, fmt.Errorf("certificates in %s: %w", dir, err)
		}
		dialer := tls.Dialer{NetDialer: &net.Dialer{Timeout: dialTimeout, KeepAliveConfig: vanished}, Config: config}
		return dialer.DialContext(ctx, "tcp", address)
	}
}
