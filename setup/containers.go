package setup

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/docker"
	"github.com/berth-ssh/berth/labels"

	"github.com/moby/moby/api/types/container"
	"github.com/moby/moby/client"
)

// Container is a running container that can be entered.
type Container struct {
	Host     string // its name in a login
	Name     string // as docker ps shows it
	Labelled bool   // has the labels of a host, so that the gateway finds it by itself
	SSHPort  string // on which it publishes an sshd of its own; "" where it does not

	service string // as docker compose calls it; "" where it was made by other means
}

// containers returns the containers that run here, with the names that they get as
// hosts: the one in their label, or else their compose service, or, if another has
// that name, too, their own.
func containers(ctx context.Context) ([]Container, error) {
	engine, err := docker.Dial(ctx, docker.Address{})
	if err != nil {
		return nil, err
	}
	defer engine.Close()
	list, err := engine.ContainerList(ctx, client.ContainerListOptions{})
	if err != nil {
		return nil, err
	}
	var all []Container
	for _, item := range list.Items {
		if item.State == container.StateRunning && len(item.Names) > 0 {
			all = append(all, newContainer(item))
		}
	}
	return nameHosts(all), nil
}

func newContainer(item container.Summary) Container {
	c := Container{
		Host:    item.Labels[labels.Host],
		Name:    strings.TrimPrefix(item.Names[0], "/"),
		service: item.Labels[labels.ComposeService],
	}
	c.Labelled = auth.CheckName(c.Host) == nil
	for _, port := range item.Ports {
		if port.PrivatePort == 22 && port.PublicPort != 0 {
			c.SSHPort = strconv.Itoa(int(port.PublicPort))
		}
	}
	return c
}

// nameHosts returns the containers that have a name for a login, sorted by it.
func nameHosts(all []Container) []Container {
	wanted := map[string]int{}
	for _, c := range all {
		wanted[c.wants()]++
	}
	var named []Container
	for _, c := range all {
		if host := c.wants(); c.Labelled || wanted[host] == 1 {
			c.Host = host
		} else {
			c.Host = c.Name
		}
		if auth.CheckName(c.Host) == nil {
			named = append(named, c)
		}
	}
	slices.SortFunc(named, func(a, b Container) int { return strings.Compare(a.Host, b.Host) })
	return slices.CompactFunc(named, func(a, b Container) bool { return a.Host == b.Host })
}

// wants is the name that a container gets unless others want it, too.
func (c Container) wants() string {
	switch {
	case c.Labelled:
		return c.Host
	case auth.CheckName(c.service) == nil:
		return c.service
	}
	return c.Name
}
