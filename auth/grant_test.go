package auth

import (
	"errors"
	"testing"
)

func TestTarget(t *testing.T) {
	one := map[string]string{"master": "developer"}
	own := map[string]string{"master": ""}
	two := map[string]string{"worker": "developer", "master": "developer"}
	for _, tt := range []struct {
		name          string
		hosts         map[string]string
		login         string
		host, account string
		refusal       string
	}{
		{name: "the only host", hosts: one, login: "dev", host: "master", account: "developer"},
		{name: "named", hosts: two, login: "dev+worker", host: "worker", account: "developer"},
		{name: "account named", hosts: two, login: "dev+developer@worker", host: "worker", account: "developer"},
		{name: "the host's own account", hosts: own, login: "dev+master", host: "master"},
		{name: "another account", hosts: one, login: "dev+root@master",
			refusal: `account "root" is not granted to dev on master; granted: developer`},
		{name: "an account over the host's own", hosts: own, login: "dev+root@master",
			refusal: `account "root" is not granted to dev on master; name no account: dev+master`},
		{name: "not granted", hosts: one, login: "dev+worker",
			refusal: `host "worker" is not granted to dev; granted: master`},
		{name: "not granted, with an account", hosts: two, login: "dev+root@vault",
			refusal: `host "vault" is not granted to dev; granted: master, worker`},
		{name: "no case folding", hosts: one, login: "dev+Master",
			refusal: `host "Master" is not granted to dev; granted: master`},
		{name: "a choice to make", hosts: two, login: "dev",
			refusal: "2 hosts are granted to dev; log in as one of\n  dev+master\n  dev+worker"},
		{name: "nothing granted", login: "dev", refusal: "no host is granted to dev"},
		{name: "nothing granted, named", login: "dev+master", refusal: "no host is granted to dev"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			login, err := ParseLogin(tt.login)
			if err != nil {
				t.Fatal(err)
			}
			grant := &Grant{user: login.User, login: login, hosts: tt.hosts}
			host, account, err := grant.Target()
			if host != tt.host || account != tt.account {
				t.Errorf("enters %q as %q, want %q as %q", host, account, tt.host, tt.account)
			}
			var refusal *Refusal
			if tt.refusal == "" && err != nil || tt.refusal != "" && (!errors.As(err, &refusal) || refusal.Error() != tt.refusal) {
				t.Errorf("says %v\nwant %s", err, tt.refusal)
			}
		})
	}
}
