package config

import (
	"go.yaml.in/yaml/v4"
	"golang.org/x/crypto/ssh"

	"berth/auth"
)

func (d *document) user(name, value *yaml.Node) auth.User {
	given := d.fields(value, "a user", "password", "keys", "hosts")
	if given["password"] == nil && isEmpty(given["keys"]) {
		d.wrong(name.Line, "user %.64q has neither password nor keys; give one of them", name.Value)
	}
	return auth.User{
		Name:     d.name(name, "user"),
		Password: d.password(given["password"]),
		Keys:     d.publicKeys(given["keys"]),
		Hosts:    d.grants(given["hosts"]),
	}
}

func isEmpty(n *yaml.Node) bool {
	return n == nil || n.Kind == yaml.SequenceNode && len(n.Content) == 0
}

func (d *document) publicKeys(n *yaml.Node) []ssh.PublicKey {
	var keys []ssh.PublicKey
	d.list(n, "keys", func(item *yaml.Node) {
		keys = append(keys, d.publicKey(item, "key"))
	})
	return keys
}

func (d *document) grants(n *yaml.Node) map[string]auth.Grant {
	grants := make(map[string]auth.Grant)
	d.each(n, "hosts", func(host, account *yaml.Node) {
		grants[d.name(host, "host")] = auth.GrantAccount(d.account(account))
	})
	return grants
}
