package config

import (
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/hosts"
)

// boxes reads the boxes besides this machine: the address of each one's engine, by
// name.
func (d *document) boxes(n *yaml.Node) []hosts.Box {
	var boxes []hosts.Box
	d.each(n, "boxes", func(name, value *yaml.Node) {
		given := d.fields(value, "a box", "docker", "tls")
		box := hosts.Box{Name: d.boxName(name), Docker: d.docker(given["docker"], false), TLS: d.tls(given["tls"])}
		switch {
		case given["docker"] == nil:
			d.wrong(name.Line, "box %.64q has no docker; write where its engine is, such as docker: ssh://berth@%.64s", name.Value, name.Value)
		case given["tls"] != nil && !strings.HasPrefix(box.Docker, "tcp:"):
			d.wrong(given["tls"].Line, "tls is for an engine at tcp://; leave it out")
		}
		boxes = append(boxes, box)
	})
	return boxes
}

// boxName reads the name of a box. It may have no dot, which separates it from a
// host's name.
func (d *document) boxName(n *yaml.Node) string {
	name := d.name(n, "box")
	switch {
	case strings.Contains(name, "."):
		d.wrong(n.Line, "box %.64q has a dot in its name, which stands between host and box", name)
	case name == hosts.LocalBox:
		d.wrong(n.Line, "box %s is this machine, whose engine docker: says; choose another name", name)
	}
	return name
}

// tls reads the directory of an engine's certificates; a relative path is relative to
// the configuration.
func (d *document) tls(n *yaml.Node) string {
	dir, ok := d.text(n, "tls")
	if !ok {
		return ""
	}
	if dir == "" {
		d.wrong(n.Line, "tls must be the directory of ca.pem, cert.pem and key.pem")
		return ""
	}
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(filepath.Dir(d.path), dir)
	}
	return dir
}

// checkBoxes finds names of hosts and boxes that contradict each other. lines has the
// lines of the hosts.
func (d *document) checkBoxes(c Config, lines []int) {
	isBox := func(name string) bool {
		return name == hosts.LocalBox || slices.ContainsFunc(c.Boxes, func(b hosts.Box) bool { return b.Name == name })
	}
	isCluster := func(name string) bool {
		return slices.ContainsFunc(c.Clusters, func(c hosts.Cluster) bool { return c.Name == name })
	}
	several := len(c.Boxes)+len(c.Clusters) > 0
	for i, entry := range c.Hosts {
		dot := strings.LastIndexByte(entry.Name, '.')
		if of := entry.Name[dot+1:]; several && dot > 0 && (isBox(of) || isCluster(of)) {
			d.wrong(lines[i], "host %s would be host %s of box %s; choose another name", entry.Name, entry.Name[:dot], of)
		}
		if entry.Box != "" && !isBox(entry.Box) {
			d.wrong(lines[i], "there is no box %.64q; add it under boxes:", entry.Box)
		}
	}
}

// HostSettings returns what the configuration says about hosts.
func (c Config) HostSettings() hosts.Settings {
	return hosts.Settings{Docker: c.Docker, Boxes: c.Boxes, Clusters: c.Clusters, Entries: c.Hosts}
}
