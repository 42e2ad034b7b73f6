package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"berth/auth"
)

// userCAs are the keys of authorities whose certificates open for people.
func (d *document) userCAs(n *yaml.Node) []ssh.PublicKey {
	var keys []ssh.PublicKey
	d.list(n, "user_cas", func(item *yaml.Node) {
		if key := d.publicKey(item, "user_cas"); key != nil {
			keys = append(keys, key)
		}
	})
	return keys
}

// login reads the rules that say which steps a login takes.
func (d *document) login(n *yaml.Node, users []auth.User) []auth.Rule {
	known := map[string]bool{}
	for _, user := range users {
		known[user.Name] = true
	}
	var rules []auth.Rule
	d.list(n, "login", func(item *yaml.Node) {
		given := d.fields(item, "a rule of login", "users", "from", "with")
		if isEmpty(given["with"]) {
			d.wrong(item.Line, "a rule of login has no with; write with: [key+totp] or the like")
		}
		for _, key := range []string{"users", "from"} {
			if given[key] != nil && isEmpty(given[key]) {
				d.wrong(given[key].Line, "%s of a rule of login is empty, so it fits nobody; leave it out to mean all", key)
			}
		}
		rule := auth.Rule{Users: d.ruleUsers(given["users"], known), From: d.ruleSources(given["from"])}
		for _, text := range d.texts(given["with"], "with") {
			steps, err := auth.ParseSteps(text.Value)
			if err != nil {
				d.wrong(text.Line, "with: %v", err)
			}
			rule.With = append(rule.With, steps)
		}
		rules = append(rules, rule)
	})
	return rules
}

func (d *document) ruleUsers(n *yaml.Node, known map[string]bool) auth.Names {
	var users auth.Names
	for _, name := range d.texts(n, "users") {
		if !known[name.Value] {
			d.wrong(name.Line, "there is no user %.64q; add it under users:", name.Value)
		}
		users = append(users, name.Value)
	}
	return users
}

func (d *document) ruleSources(n *yaml.Node) auth.Sources {
	var items []string
	for _, item := range d.texts(n, "from") {
		items = append(items, item.Value)
	}
	if items == nil {
		return nil
	}
	sources, err := auth.ParseSources(strings.Join(items, ","))
	if err != nil {
		d.wrong(n.Line, "from: %v", err)
	}
	return sources
}

// texts are the items of a list of single values.
func (d *document) texts(n *yaml.Node, what string) []*yaml.Node {
	var texts []*yaml.Node
	d.list(n, what, func(item *yaml.Node) {
		if _, ok := d.text(item, "an item of "+what); ok {
			texts = append(texts, item)
		}
	})
	return texts
}

// principals are what certificates call a user.
func (d *document) principals(n *yaml.Node) []string {
	var principals []string
	for _, item := range d.texts(n, "principals") {
		if item.Value == "" {
			d.wrong(item.Line, "a principal is empty; leave it out")
		}
		principals = append(principals, item.Value)
	}
	return principals
}
