package migrate

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/provision/compose"
)

// mapping is a YAML mapping that is edited.
type mapping struct{ *yaml.Node }

// target returns what an alias stands for, and another node as it is.
func target(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// lookup finds a key of a mapping, in itself or else in what it merges (<<). It
// returns the mapping that has it, the key, and the value without aliases; nil
// where none has it.
func lookup(in *yaml.Node, key string) (holder, name, value *yaml.Node) {
	in = target(in)
	if in == nil || in.Kind != yaml.MappingNode {
		return nil, nil, nil
	}
	if name, value = compose.Child(in, key); name != nil {
		return in, name, target(value)
	}
	_, merged := compose.Child(in, "<<")
	for _, from := range mergedIn(target(merged)) {
		if holder, name, value = lookup(from, key); name != nil {
			return holder, name, value
		}
	}
	return nil, nil, nil
}

// mergedIn returns the mappings of a merge, of which the first has the last word.
func mergedIn(merge *yaml.Node) []*yaml.Node {
	switch {
	case merge == nil:
		return nil
	case merge.Kind == yaml.SequenceNode:
		return merge.Content
	}
	return []*yaml.Node{merge}
}

// drop takes the entries that match out of a service's list or mapping, wherever
// the service has it from, and the key too where nothing is left. What a list or
// mapping merges is searched as well.
func drop(service *yaml.Node, key string, matches func(key, value *yaml.Node) bool) {
	holder, _, list := lookup(service, key)
	if list == nil || !filter(list, matches) || len(list.Content) > 0 {
		return
	}
	if _, value := compose.Child(holder, key); value == list { // an anchor's may be wanted elsewhere
		remove(holder, key)
	}
}

// filter reports whether it is a list or mapping, from which entries could go.
func filter(list *yaml.Node, matches func(key, value *yaml.Node) bool) bool {
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
			if list.Content[i].Value == "<<" {
				for _, from := range mergedIn(target(list.Content[i+1])) {
					filter(target(from), matches)
				}
			}
			if !matches(list.Content[i], list.Content[i+1]) {
				kept = append(kept, list.Content[i], list.Content[i+1])
			}
		}
	default:
		return false
	}
	list.Content = kept
	return true
}

// remove takes a key away, wherever the mapping has it from.
func remove(in *yaml.Node, key string) {
	holder, _, _ := lookup(in, key)
	for i := 0; holder != nil && i+1 < len(holder.Content); i += 2 {
		if holder.Content[i].Value == key {
			holder.Content = slices.Delete(holder.Content, i, i+2)
			return
		}
	}
}

// put sets a key, the last of the mapping where it is new.
func (m mapping) put(key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, scalar(key), value)
}

// ownMapping returns the mapping of a key for changes that nobody else sees: what
// the key has by an alias or a merge is copied. It is made if need be.
func ownMapping(in *yaml.Node, key string) mapping {
	return mapping{own(in, key, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})}
}

// ownSequence is [ownMapping] for a list.
func ownSequence(in *yaml.Node, key string) *yaml.Node {
	return own(in, key, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
}

func own(in *yaml.Node, key string, empty *yaml.Node) *yaml.Node {
	_, _, found := lookup(in, key)
	if found == nil || found.Kind != empty.Kind { // volumes: may stand there without any
		found = empty
	}
	for i := 0; i+1 < len(in.Content); i += 2 {
		if in.Content[i].Value == key {
			if in.Content[i+1] != found {
				in.Content[i+1] = copyOf(found)
			}
			return in.Content[i+1]
		}
	}
	found = copyOf(found)
	mapping{in}.put(key, found)
	return found
}

// copyOf copies a node and what is below it, without its anchor.
func copyOf(node *yaml.Node) *yaml.Node {
	c := *node
	c.Anchor = ""
	c.Content = nil
	for _, below := range node.Content {
		if below.Kind == yaml.AliasNode {
			c.Content = append(c.Content, below)
			continue
		}
		c.Content = append(c.Content, copyOf(below))
	}
	return &c
}

// set writes a text below a key of the mapping's own.
func set(in *yaml.Node, key, below, value string) {
	ownMapping(in, key).put(below, scalar(value))
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

// spellNulls writes out the nulls that stand as nothing in {a: , b: }, which the
// encoder would make empty texts of.
func spellNulls(node *yaml.Node, inFlow bool) {
	inFlow = inFlow || node.Style&yaml.FlowStyle != 0
	if inFlow && node.Kind == yaml.ScalarNode && node.Tag == "!!null" && node.Value == "" {
		node.Value = "null"
	}
	for _, below := range node.Content {
		spellNulls(below, inFlow)
	}
}
