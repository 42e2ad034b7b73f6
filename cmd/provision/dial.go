package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/moby/moby/client"

	"github.com/berth-ssh/berth/config"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/hosts"
)

// dial connects to the engine of the box that is meant, until this program ends.
func (o options) dial(ctx context.Context) (*client.Client, error) {
	engine, err := o.engine(ctx)
	if err != nil {
		return nil, err
	}
	return engine.Client, nil
}

// engine connects to that engine, until it is closed.
func (o options) engine(ctx context.Context) (*docker.Engine, error) {
	at, err := o.address()
	if err != nil {
		return nil, err
	}
	return docker.Dial(ctx, at)
}

// address is where that engine is: where gateway.yaml says of the box, or else where
// docker finds one.
func (o options) address() (docker.Address, error) {
	if o.box == "" || o.box == hosts.LocalBox {
		return docker.Address{}, nil
	}
	settings, err := config.Load(o.config)
	if err != nil {
		return docker.Address{}, err
	}
	var known []string
	for _, box := range settings.Boxes {
		if box.Name == o.box {
			return docker.Address{URL: box.Docker, TLS: box.TLS}, nil
		}
		known = append(known, box.Name)
	}
	slices.Sort(known)
	if len(known) == 0 {
		return docker.Address{}, fmt.Errorf("there is no box %s: add it under boxes: in %s", o.box, o.config)
	}
	return docker.Address{}, fmt.Errorf("there is no box %s in %s; there are %s", o.box, o.config, strings.Join(known, ", "))
}

// isElsewhere reports whether a box is meant that is not this machine.
func (o options) isElsewhere() bool { return o.box != "" && o.box != hosts.LocalBox }
