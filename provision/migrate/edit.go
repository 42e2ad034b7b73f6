package migrate

import (
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/berth-ssh/berth/provision/compose"
)

// mapping is a YAML mapping that is being edited.
type mapping struct{ *yaml.Node }

// target returns the node that an alias stands for, and every other node itself.
func target(node *yaml.Node) *yaml.Node {
	for node != nil && node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	return node
}

// lookup finds a key in a mapping, or else in the mappings that it merges (<<). It
// returns the mapping that has the key, the key, and the value without aliases; nil
// if there is none.
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

// mergedIn returns the mappings of a merge; an earlier one overrides a later one.
func mergedIn(merge *yaml.Node) []*yaml.Node {
	switch {
	case merge == nil:
		return nil
	case merge.Kind == yaml.SequenceNode:
		return merge.Content
	}
	return []*yaml.Node{merge}
}

// drop removes the matching entries from a list or mapping of a service, wherever the
// service gets it from, also from what that merges. If nothing is left, it removes
// the key, too.
func drop(service *yaml.Node, key string, matches func(key, value *yaml.Node) bool) {
	holder, _, list := lookup(service, key)
	if list == nil || !filter(list, matches) || len(list.Content) > 0 {
		return
	}
	if _, value := compose.Child(holder, key); value == list { // an anchor elsewhere may still be needed
		remove(holder, key)
	}
}

// filter removes the matching entries. It returns false if the node is neither a list
// nor a mapping.
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

// remove removes a key, wherever the mapping gets it from.
func remove(in *yaml.Node, key string) {
	holder, _, _ := lookup(in, key)
	for i := 0; holder != nil && i+1 < len(holder.Content); i += 2 {
		if holder.Content[i].Value == key {
			holder.Content = slices.Delete(holder.Content, i, i+2)
			return
		}
	}
}

// put sets a key. A new key becomes the last one.
func (m mapping) put(key string, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, scalar(key), value)
}

// ownMapping returns the mapping of a key, whose changes affect nothing else: if the
// key gets it by an alias or a merge, it is copied. It is created if it does not
// exist.
func ownMapping(in *yaml.Node, key string) mapping {
	return mapping{own(in, key, &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"})}
}

// ownSequence is [ownMapping] for a list.
func ownSequence(in *yaml.Node, key string) *yaml.Node {
	return own(in, key, &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq"})
}

func own(in *yaml.Node, key string, empty *yaml.Node) *yaml.Node {
	_, _, found := lookup(in, key)
	if found == nil || found.Kind != empty.Kind { // such as volumes: without a value
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

// copyOf returns a deep copy of a node, without its anchor.
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

// set sets a text below a key, in a mapping that belongs to in alone.
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

// spellNulls writes nulls as null in {a: , b: }; the encoder would make empty texts
// of them.
func spellNulls(node *yaml.Node, inFlow bool) {
	inFlow = inFlow || node.Style&yaml.FlowStyle != 0
	if inFlow && node.Kind == yaml.ScalarNode && node.Tag == "!!null" && node.Value == "" {
		node.Value = "null"
	}
	for _, below := range node.Content {
		spellNulls(below, inFlow)
	}
}
