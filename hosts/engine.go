package hosts

import (
	"fmt"

	"github.com/moby/moby/client"
)

// Connect makes a client of a Docker engine: the one at the address, or else
// the one that DOCKER_HOST names, or else the one at the usual socket. It does
// not wait for an answer.
func Connect(address string) (*client.Client, error) {
	options := []client.Opt{client.FromEnv}
	if address != "" {
		options = append(options, client.WithHost(address))
	}
	engine, err := client.New(options...)
	if err != nil {
		return nil, fmt.Errorf("docker: %w", err)
	}
	return engine, nil
}
