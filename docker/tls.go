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

// A box that vanishes is noticed within half a minute also while nothing is said.
var vanished = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// dialTLS returns what connects to an engine by TLS, with the certificates of a
// directory as docker keeps them. They are read for each connection: they may be renewed,
// and where they are wrong only this engine is not reached.
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
