package config

import (
	"path/filepath"
	"regexp"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/hosts"
)

// clusters reads the Kubernetes clusters: by name, the address of the API and which
// pods are hosts. A cluster without settings is the one in which the gateway runs.
func (d *document) clusters(n *yaml.Node, boxes []hosts.Box) []hosts.Cluster {
	var clusters []hosts.Cluster
	d.each(n, "clusters", func(name, value *yaml.Node) {
		given := d.fields(value, "a cluster", "kubeconfig", "context", "namespaces", "impersonate")
		cluster := hosts.Cluster{Name: d.boxName(name), Kubeconfig: d.kubeconfig(given["kubeconfig"])}
		cluster.Context, _ = d.text(given["context"], "context")
		if given["context"] != nil && given["kubeconfig"] == nil {
			d.wrong(given["context"].Line, "context is one of a kubeconfig; name that, too")
		}
		d.list(given["namespaces"], "namespaces", func(item *yaml.Node) {
			cluster.Namespaces = append(cluster.Namespaces, d.namespace(item))
		})
		cluster.Impersonate = d.impersonate(given["impersonate"])
		for _, box := range boxes {
			if box.Name == cluster.Name {
				d.wrong(name.Line, "cluster %s has the name of a box; choose another one", cluster.Name)
			}
		}
		clusters = append(clusters, cluster)
	})
	return clusters
}

// kubeconfig reads a path; a relative one is relative to the configuration. Only the
// gateway's owner may be able to write the file, since it can name commands.
func (d *document) kubeconfig(n *yaml.Node) string {
	path, ok := d.text(n, "kubeconfig")
	if !ok {
		return ""
	}
	if !filepath.IsAbs(path) {
		path = filepath.Join(filepath.Dir(d.path), path)
	}
	_, mode, err := readFile(path)
	switch {
	case err != nil:
		d.wrong(n.Line, "kubeconfig: %s cannot be read: %v", path, err)
	case mode&0o022 != 0:
		d.wrong(n.Line, "kubeconfig: %s may be written by others (mode %04o); run: chmod go-w %s", path, mode, path)
	}
	return path
}

// impersonate reads the name under which a person acts in a cluster. It refuses names
// of the cluster's own components.
func (d *document) impersonate(n *yaml.Node) string {
	name, ok := d.text(n, "impersonate")
	switch {
	case !ok:
		return ""
	case strings.Count(name, hosts.PersonIn) != 1:
		d.wrong(n.Line, "impersonate: %.64q says nothing of the person; write \"%s\" where the name belongs", name, hosts.PersonIn)
	case strings.HasPrefix(name, "system:"):
		d.wrong(n.Line, "impersonate: %.64q is of the cluster's own parts, which no person is; choose another prefix", name)
	}
	return name
}

func (d *document) namespace(n *yaml.Node) string {
	name, ok := d.text(n, "a namespace")
	if isLabel := regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`); ok && !isLabel.MatchString(name) {
		d.wrong(n.Line, "%.64q is not the name of a namespace; write one as kubectl get namespaces shows it", name)
	}
	return name
}
