package config

import (
	"cmp"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/hosts"
)

// checkKeys refuses beside keys what each gateway would decide by its own state directory,
// and differently. Several gateways have the same keys, each has a directory of its own,
// and that may be lost. Whose a host name is must be known without it, as it is where all
// hosts are of one namespace, or entries of the file. See also the steps of a login.
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
