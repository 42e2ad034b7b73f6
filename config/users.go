package config

import (
	"go.yaml.in/yaml/v4"

	"berth/auth"
)

func (d *document) user(name, value *yaml.Node) auth.User {
	given := d.fields(value, "a user", "password", "keys", "authorized_keys", "principals", "hosts")
	if given["password"] == nil && isEmpty(given["keys"]) && given["authorized_keys"] == nil && !d.certified {
		d.wrong(name.Line, "user %.64q has neither password nor keys; give one of them", name.Value)
	}
	keys, restricted := d.keys(given["keys"])
	return auth.User{
		Name:       d.name(name, "user"),
		Password:   d.password(given["password"]),
		Keys:       keys,
		Authorized: append(restricted, d.authorizedKeys(given["authorized_keys"])...),
		Principals: d.principals(given["principals"]),
		Hosts:      d.grants(given["hosts"]),
	}
}

func isEmpty(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0
}

func (d *document) grants(n *yaml.Node) map[string]auth.Grant {
	grants := make(map[string]auth.Grant)
	d.each(n, "hosts", func(host, account *yaml.Node) {
		grants[d.name(host, "host")] = auth.GrantAccount(d.account(account))
	})
	return grants
}
