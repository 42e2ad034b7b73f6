package migrate

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"berth/provision/compose"
)

// drop takes the entries that match out of a list or mapping, and the key too
// where nothing is left.
func drop(service *yaml.Node, key string, matches func(key, value *yaml.Node) bool) {
	_, list := compose.Child(service, key)
	if list == nil {
		return
	}
	var kept []*yaml.Node
	switch list.Kind {
	case yaml.SequenceNode:
		for _, item := range list.Content {
			if !matches(nil, item) {
				kept = append(kept, item)
			}
		}
	case yaml.MappingNode:
		for i := 0; i+1 < len(list.Content); i += 2 {
			if !matches(list.Content[i], list.Content[i+1]) {
				kept = append(kept, list.Content[i], list.Content[i+1])
			}
		}
	default:
		return
	}
	if list.Content = kept; len(kept) == 0 {
		remove(service, key)
	}
}

func remove(mapping *yaml.Node, key string) {
	for i := 0; i+1 < len(mapping.Content); i += 2 {
		if mapping.Content[i].Value == key {
			mapping.Content = slices.Delete(mapping.Content, i, i+2)
			return
		}
	}
}

// set writes a text below a key, which is made if need be.
func set(mapping *yaml.Node, key, below, value string) {
	_, inner := compose.Child(mapping, key)
	if inner == nil {
		inner = &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
		mapping.Content = append(mapping.Content, scalar(key), inner)
	}
	inner.Content = append(inner.Content, scalar(below), scalar(value))
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func isSSHPort(_, item *yaml.Node) bool {
	if item.Kind == yaml.MappingNode {
		_, target := compose.Child(item, "target")
		return target != nil && target.Value == "22"
	}
	return regexp.MustCompile(`(^|:)22(/tcp)?$`).MatchString(item.Value)
}

func isPassword(key, item *yaml.Node) bool {
	name, _, _ := strings.Cut(item.Value, "=")
	if key != nil {
		name = key.Value
	}
	return name == "ROOT_PASSWORD" || name == "DEVELOPER_PASSWORD"
}

func isDockerSocket(_, item *yaml.Node) bool {
	source, _, _ := strings.Cut(item.Value, ":")
	if item.Kind == yaml.MappingNode {
		if _, node := compose.Child(item, "source"); node != nil {
			source = node.Value
		}
	}
	return strings.HasPrefix(source, "/") && compose.LeadsToDockerSocket(source)
}
