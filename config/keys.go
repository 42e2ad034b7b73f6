package config

import (
	"cmp"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/hosts"
)

// checkKeys refuses settings that do not work together with keys. Several gateways
// use the same keys, but each has its own state directory, which may be lost. So
// nothing may depend on the state directory, where each would decide differently,
// such as the steps of a login. And it must be certain without it which host has a
// name: all hosts must be of one namespace, or entries of the file.
func (d *document) checkKeys(c Config, given map[string]*yaml.Node) {
	if given["keys"] == nil {
		return
	}
	const why = "gateways with the same keys would not agree whose a host name is"
	line := func(key string) int { return cmp.Or(given[key], given["keys"]).Line }
	if c.Docker != hosts.NoEngine {
		d.wrong(line("docker"), "docker must be none beside keys: %s", why)
	}
	if len(c.Boxes) > 0 {
		d.wrong(line("boxes"), "boxes do not go with keys: %s", why)
	}
	namespaces := 0
	for _, cluster := range c.Clusters {
		namespaces += max(1, len(cluster.Namespaces))
	}
	if namespaces > 1 {
		d.wrong(line("clusters"), "clusters must be of one namespace beside keys: %s; let each namespace have gateways of its own", why)
	}
}
