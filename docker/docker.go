// Package docker connects to a Docker engine, wherever docker itself would: at a
// socket, by TCP and TLS, or by ssh ([Connect], [Dial]); and runs commands in its
// containers ([Start], [Output]). Everything else is said to the engine's own
// client.
package docker

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/moby/moby/client"
)

// Connect makes a client of a Docker engine: the one at the address, or else the one
// that the docker command would take: of DOCKER_HOST, or of the Docker context, or at
// the usual socket. The address is as docker knows it: unix://, tcp:// (with TLS as DOCKER_TLS_VERIFY
// and DOCKER_CERT_PATH say) or ssh://, which runs the ssh command. It does not
// wait for an answer.
func Connect(address string) (*client.Client, error) {
	address = cmp.Or(address, os.Getenv("DOCKER_HOST"))
	options := []client.Opt{client.FromEnv}
	if address == "" {
		of, more, err := currentContext()
		if err != nil {
			return nil, err
		}
		if of != "" {
			address, options = of, more
		}
	}
	bySSH, err := connhelper.GetConnectionHelper(address)
	switch {
	case err != nil:
		return nil, fmt.Errorf("docker: %w", err)
	case bySSH != nil:
		options = []client.Opt{client.WithHost(bySSH.Host), client.WithDialContext(bySSH.Dialer)}
	case address != "":
		options = append(options, client.WithHost(address))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return engine, nil
}

// Dial is [Connect] to an engine that has answered. Its errors say what to do.
func Dial(ctx context.Context, address string) (*client.Client, error) {
	engine, err := Connect(address)
	if err != nil {
		return nil, err
	}
	_, err = engine.Ping(ctx, client.PingOptions{NegotiateAPIVersion: true})
	switch {
	case err == nil:
		return engine, nil
	case strings.Contains(err.Error(), "permission denied"): // the client hides the cause's type
		return nil, fmt.Errorf("no permission for the Docker engine at %s: be root, or in the group docker", engine.DaemonHost())
	case client.IsErrConnectionFailed(err):
		return nil, fmt.Errorf("no Docker engine answers at %s: is it running?", engine.DaemonHost())
	}
	return nil, err
}

// IsLocal says whether the engine's processes and networks are this machine's.
func IsLocal(engine *client.Client) bool { return strings.HasPrefix(engine.DaemonHost(), "unix://") }
