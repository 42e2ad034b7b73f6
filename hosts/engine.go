package hosts

import (
	"cmp"
	"fmt"
	"os"
	"strings"

	"github.com/docker/cli/cli/connhelper"
	"github.com/moby/moby/client"
)

// Connect makes a client of a Docker engine: the one at the address, or else
// the one that DOCKER_HOST names, or else the one at the usual socket. The
// address is as docker knows it: unix://, tcp:// (with TLS as DOCKER_TLS_VERIFY
// and DOCKER_CERT_PATH say) or ssh://, which runs the ssh command. It does not
// wait for an answer.
func Connect(address string) (*client.Client, error) {
	address = cmp.Or(address, os.Getenv("DOCKER_HOST"))
	options := []client.Opt{client.FromEnv}
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

// IsLocal says whether the engine's processes and networks are this machine's.
func IsLocal(engine *client.Client) bool { return strings.HasPrefix(engine.DaemonHost(), "unix://") }
