package migrate

import (
	"slices"
	"strings"

	"github.com/compose-spec/compose-go/v2/types"
	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/provision/compose"
)

// keepHome puts an account's home into a volume, so that it outlives the container,
// unless the file mounts something at the home or above it.
func (m *Migration) keepHome(service *yaml.Node, c types.ServiceConfig, account string) {
	home, suffix := "/home/"+account, "-home"
	if account == "root" {
		home, suffix = "/root", "-root"
	}
	covered := slices.ContainsFunc(c.Volumes, func(v types.ServiceVolumeConfig) bool {
		return v.Target == home || strings.HasPrefix(home, strings.TrimSuffix(v.Target, "/")+"/")
	})
	if covered {
		return
	}
	name := m.freeVolume(c.Name + suffix)
	list := ownSequence(service, "volumes")
	list.Content = append(list.Content, scalar(name+":"+home))
	ownMapping(m.file.Content[0], "volumes").put(name, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map", Style: yaml.FlowStyle})
}

// freeVolume returns the name, changed if the file already has a volume of that name.
func (m *Migration) freeVolume(name string) string {
	for {
		if key, _ := compose.Child(m.file, "volumes", name); key == nil {
			return name
		}
		name += "_"
	}
}
