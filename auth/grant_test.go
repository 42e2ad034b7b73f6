package auth

import (
	"errors"
	"testing"
)

func TestTarget(t *testing.T) {
	one := map[string]Grant{"master": GrantAccount("developer")}
	own := map[string]Grant{"master": {}}
	some := map[string]Grant{"master": {Accounts: []string{"developer", "root"}}}
	two := map[string]Grant{"worker": GrantAccount("developer"), "master": GrantAccount("developer")}
	for _, tt := range []struct {
		name          string
		hosts         map[string]Grant
		login         string
		host, account string
		refusal       string
	}{
		{name: "the only host", hosts: one, login: "dev", host: "master", account: "developer"},
		{name: "named", hosts: two, login: "dev+worker", host: "worker", account: "developer"},
		{name: "account named", hosts: two, login: "dev+developer@worker", host: "worker", account: "developer"},
		{name: "the first of several accounts", hosts: some, login: "dev", host: "master", account: "developer"},
		{name: "one of several accounts", hosts: some, login: "dev+root@master", host: "master", account: "root"},
		{name: "none of several accounts", hosts: some, login: "dev+admin@master",
			refusal: `account "admin" is not granted to dev on master; granted: developer, root`},
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
			policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: tt.hosts})
			target, err := policy.Target(Identity{User: login.User, Login: login, Method: ByPassword})
			if want := (Target{tt.host, tt.account}); target != want {
				t.Errorf("enters %+v, want %+v", target, want)
			}
			var refusal *Refusal
			if tt.refusal == "" && err != nil || tt.refusal != "" && (!errors.As(err, &refusal) || refusal.Error() != tt.refusal) {
				t.Errorf("says %v\nwant %s", err, tt.refusal)
			}
		})
	}
}
