package config

import (
	"strings"

	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"github.com/berth-ssh/berth/auth"
)

// userCAs reads the keys of authorities whose certificates log people in.
func (d *document) userCAs(n *yaml.Node) []ssh.PublicKey {
	var keys []ssh.PublicKey
	d.list(n, "user_cas", func(item *yaml.Node) {
		if key := d.publicKey(item, "user_cas"); key != nil {
			keys = append(keys, key)
		}
	})
	return keys
}

// login reads the rules about the steps of a login. It must be called after all users
// and groups are read.
func (d *document) login(n *yaml.Node, all *people) []auth.Rule {
	var rules []auth.Rule
	d.list(n, "login", func(item *yaml.Node) {
		given := d.fields(item, "a rule of login", "users", "groups", "from", "with")
		if isEmpty(given["with"]) {
			d.wrong(item.Line, "a rule of login has no with; write with: [key+totp] or the like")
		}
		for _, key := range []string{"users", "groups", "from"} {
			if given[key] != nil && isEmpty(given[key]) {
				d.wrong(given[key].Line, "%s of a rule of login is empty, so it fits nobody; leave it out to mean all", key)
			}
		}
		rule := auth.Rule{Users: d.ruleUsers(given["users"], given["groups"], *all), From: d.ruleSources(given["from"])}
		for _, name := range d.texts(given["groups"], "groups") {
			rule.Groups = append(rule.Groups, all.groups[name.Value].At...)
		}
		for _, text := range d.texts(given["with"], "with") {
			steps, err := auth.ParseSteps(text.Value)
			if err != nil {
				d.wrong(text.Line, "with: %v", err)
			}
			rule.With = append(rule.With, steps)
		}
		if rule.AsksTwoThings() {
			d.wrong(item.Line, "with: totp and oidc cannot both come after the same step; keep one of them")
		}
		if rule.Asks(auth.ByCode) && all.keys != nil {
			d.wrong(item.Line, "with: totp is no step beside keys: of a code that one gateway took, another one with the same keys does not know; take oidc, or one gateway without keys")
		}
		if rule.Asks(auth.ByApproval) {
			all.namedAt(auth.OIDC, d, item.Line)
		}
		rules = append(rules, rule)
	})
	return rules
}

// ruleUsers returns the users of a rule, which names them or their groups. It returns
// nil, which is everybody, only if the rule names neither.
func (d *document) ruleUsers(users, groups *yaml.Node, all people) auth.Names {
	if users == nil && groups == nil {
		return nil
	}
	names := auth.Names{}
	for _, name := range d.texts(users, "users") {
		if _, known := all.places[name.Value]; !known {
			d.wrong(name.Line, "there is no user %.64q; add it under users:", name.Value)
		}
		names = append(names, name.Value)
	}
	for _, name := range d.texts(groups, "groups") {
		if _, known := all.groups[name.Value]; !known {
			d.wrong(name.Line, "there is no group %.64q; %s", name.Value, suggest(name.Value, all.groupNames()))
		}
		names = append(names, all.members(name.Value)...)
	}
	return names
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

// texts returns the items of a list of scalars.
func (d *document) texts(n *yaml.Node, what string) []*yaml.Node {
	var texts []*yaml.Node
	d.list(n, what, func(item *yaml.Node) {
		if _, ok := d.text(item, "an item of "+what); ok {
			texts = append(texts, item)
		}
	})
	return texts
}

// principals reads the names of a user in certificates.
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
