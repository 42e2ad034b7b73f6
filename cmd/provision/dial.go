package main

import (
	"context"

	"github.com/moby/moby/client"

	"berth/docker"
)

// dial connects to the engine, until this program ends.
func (o options) dial(ctx context.Context) (*client.Client, error) {
	engine, err := docker.Dial(ctx, docker.Address{})
	if err != nil {
		return nil, err
	}
	return engine.Client, nil
}
