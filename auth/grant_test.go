package auth

import (
	"cmp"
	"errors"
	"net/netip"
	"testing"
	"time"
)

// enters returns the target of a login, for hosts without projects and labels.
func enters(p *Policy, who Identity) (Target, error) {
	host, err := p.Host(who, nil)
	if err != nil {
		return Target{}, err
	}
	return p.Target(who, Host{Name: host})
}

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
			target, err := enters(policy, Identity{User: login.User, Login: login, Method: ByPassword, Credential: policy.users["dev"].shown})
			if target.Host.Name != tt.host || target.Account != tt.account {
				t.Errorf("enters %+v, want %s as %q", target, tt.host, tt.account)
			}
			var refusal *Refusal
			if tt.refusal == "" && err != nil || tt.refusal != "" && (!errors.As(err, &refusal) || refusal.Error() != tt.refusal) {
				t.Errorf("says %v\nwant %s", err, tt.refusal)
			}
		})
	}
}

// identity returns that of dev, who has logged in from 10.0.0.7 with a password.
func identity(t *testing.T, p *Policy, login string) Identity {
	t.Helper()
	parsed, err := ParseLogin(login)
	if err != nil {
		t.Fatal(err)
	}
	return Identity{User: parsed.User, Login: parsed, Method: ByPassword, Credential: p.users[parsed.User].shown, From: netip.MustParseAddr("10.0.0.7")}
}

func TestGrantsForManyHosts(t *testing.T) {
	lab := Host{Name: "gpu-1", Account: "own", Project: "lab", Labels: map[string]string{"team": "vision"}}
	office := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}
	elsewhere := []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	past, future := time.Now().Add(-time.Second), time.Now().Add(time.Hour)
	root := GrantAccount("root")
	for _, tt := range []struct {
		name    string
		hosts   map[string]Grant
		group   map[string]Grant
		login   string
		account string
		refusal string
	}{
		{name: "a pattern", hosts: map[string]Grant{"gpu-*": root}, account: "root"},
		{name: "another pattern", hosts: map[string]Grant{"cpu-*": root}, refusal: `host "gpu-1" is not granted to dev; granted: cpu-*`},
		{name: "a project", hosts: map[string]Grant{"project:lab": root}, account: "root"},
		{name: "another project", hosts: map[string]Grant{"project:law": root}, refusal: `host "gpu-1" is not granted to dev; granted: project:law`},
		{name: "a label", hosts: map[string]Grant{"label:team=vision": root}, account: "root"},
		{name: "another value", hosts: map[string]Grant{"label:team=law": root}, refusal: `host "gpu-1" is not granted to dev; granted: label:team=law`},
		{name: "a group", group: map[string]Grant{"gpu-1": root}, account: "root"},
		{name: "a name before patterns", hosts: map[string]Grant{"gpu-*": root, "gpu-1": {}, "*": root}, account: ""},
		{name: "a long pattern before a short one", hosts: map[string]Grant{"gpu-*": root, "*": {}}, account: "root"},
		{name: "the user's own before the group's", hosts: map[string]Grant{"*": root}, group: map[string]Grant{"gpu-1": {}}, account: "root"},
		{name: "a group's account", login: "dev+root@gpu-1", hosts: map[string]Grant{"gpu-1": GrantAccount("developer")}, group: map[string]Grant{"*": root}, account: "root"},
		{name: "nobody's account", login: "dev+toor@gpu-1", hosts: map[string]Grant{"gpu-1": GrantAccount("developer")}, group: map[string]Grant{"*": root},
			refusal: `account "toor" is not granted to dev on gpu-1; granted: developer, root`},
		{name: "until later", hosts: map[string]Grant{"gpu-1": {Until: future}}},
		{name: "until earlier", hosts: map[string]Grant{"gpu-1": {Until: past}},
			refusal: `host "gpu-1" was granted to dev until ` + past.Format("2006-01-02 15:04 MST")},
		{name: "until earlier, and a pattern", hosts: map[string]Grant{"gpu-1": {Until: past}, "gpu-*": root}, account: "root"},
		{name: "from there", hosts: map[string]Grant{"gpu-1": {From: office}}},
		{name: "from elsewhere", hosts: map[string]Grant{"gpu-1": {From: elsewhere}}, refusal: `host "gpu-1" is not granted to dev from 10.0.0.7`},
		{name: "from nowhere", hosts: map[string]Grant{"gpu-1": {From: []netip.Prefix{}}}, refusal: `host "gpu-1" is not granted to dev from 10.0.0.7`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: tt.hosts, Groups: []Group{{Name: "g", Hosts: tt.group}}})
			for _, login := range []string{cmp.Or(tt.login, "dev+gpu-1"), cmp.Or(tt.login, "dev")} {
				who := identity(t, policy, login)
				name, err := policy.Host(who, func() []Host { return []Host{lab} })
				target := Target{}
				if err == nil {
					target, err = policy.Target(who, lab)
				}
				if tt.refusal == "" && (err != nil || name != "gpu-1" || target.Account != tt.account) {
					t.Errorf("%s: enters %q as %q, %v; want %q", login, name, target.Account, err, tt.account)
				}
				if tt.refusal != "" && (err == nil || login != "dev" && err.Error() != tt.refusal) {
					t.Errorf("%s: %v, want %s", login, err, tt.refusal)
				}
			}
		})
	}
}

// A login that names no host is shown the existing hosts that match the patterns.
func TestOfPatternsTheHostsThatThereAreAreShown(t *testing.T) {
	policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: map[string]Grant{"gpu-*": {}, "lab": {}}})
	there := func() []Host { return []Host{{Name: "gpu-1"}, {Name: "gpu-2"}, {Name: "vault"}} }
	want := "3 hosts are granted to dev; log in as one of\n  dev+gpu-1\n  dev+gpu-2\n  dev+lab"
	if _, err := policy.Host(identity(t, policy, "dev"), there); err == nil || err.Error() != want {
		t.Errorf("%v, want %s", err, want)
	}
}

// With several boxes, a grant is for a host by its name, by name.box, or by its box.
func TestGrantsOnSeveralBoxes(t *testing.T) {
	own := Host{Name: "master", Exact: "master.a100", Box: "a100"}        // whose the name is
	other := Host{Name: "master.h200", Exact: "master.h200", Box: "h200"} // a clash
	for _, tt := range []struct {
		grant      string
		own, other bool
	}{
		{"master", true, false},
		{"master.a100", true, false},
		{"master.h200", false, true},
		{"*.a100", true, false},
		{"*.h200", false, true},
		{"box:a100", true, false},
		{"box:h200", false, true},
		{"mast?r.*", true, true},
		{"*", true, true},
		{"worker.a100", false, false},
		{"box:a", false, false},
	} {
		policy := newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: map[string]Grant{tt.grant: {}}})
		for host, want := range map[*Host]bool{&own: tt.own, &other: tt.other} {
			for _, login := range []string{"dev+" + host.Exact, "dev+" + host.Name} {
				who := identity(t, policy, login)
				_, err := policy.Host(who, nil)
				if want && err != nil {
					t.Errorf("%s by %s is refused before it is looked up: %v", login, tt.grant, err)
				}
				if _, err := policy.Target(who, *host); (err == nil) != want {
					t.Errorf("%s by %s: %v, want entered: %v", login, tt.grant, err, want)
				}
			}
		}
	}
}

// A connection may go on if any line grants its host and account, even if its login
// would now lead to another account.
func TestAConnectionGoesOnAsLongAsWhatItHasIsGranted(t *testing.T) {
	lab := Host{Name: "lab", Account: "own"}
	user := func(hosts map[string]Grant) *Policy {
		return newPolicy(t, User{Name: "dev", Password: cheapHash("dev"), Hosts: hosts})
	}
	for _, tt := range []struct {
		name    string
		hosts   map[string]Grant
		account string
		goesOn  bool
	}{
		{"the same", map[string]Grant{"lab": GrantAccount("root")}, "root", true},
		{"a second host", map[string]Grant{"lab": {}, "more": {}}, "own", true},
		{"another default", map[string]Grant{"lab": {Accounts: []string{"dev", "root"}}}, "root", true},
		{"by a pattern now", map[string]Grant{"*": GrantAccount("root")}, "root", true},
		{"the account by name now", map[string]Grant{"lab": GrantAccount("own")}, "own", true},
		{"another account", map[string]Grant{"lab": GrantAccount("dev")}, "root", false},
		{"the host's account only", map[string]Grant{"lab": {}}, "root", false},
		{"no host", nil, "root", false},
		{"another host", map[string]Grant{"more": GrantAccount("root")}, "root", false},
	} {
		policy := user(tt.hosts)
		if _, err := policy.CurrentGrant(identity(t, policy, "dev+lab"), lab, tt.account); (err == nil) != tt.goesOn {
			t.Errorf("%s: %v, want it to go on: %v", tt.name, err, tt.goesOn)
		}
	}
}

func TestSelectors(t *testing.T) {
	for _, good := range []string{"lab", "gpu-*", "*", "?", "project:lab", "label:a.b/c=d e", "label:k="} {
		if err := CheckSelector(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
	for _, bad := range []string{"", "-x", "a b", "../x", "[a]*", "project:", "project:*", "label:", "label:x", "label:=x", "group:x", "a\\*"} {
		if CheckSelector(bad) == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// Covers notices everything that a change takes away, whatever else it gives.
func TestRestrictionsCover(t *testing.T) {
	web, any := []Destination{{"localhost", 80}}, []Destination{{"*", 0}}
	all, none := Restrictions{}, RestrictAll()
	for _, tt := range []struct {
		now, before Restrictions
		covers      bool
	}{
		{all, all, true}, {all, none, true}, {none, all, false}, {none, none, true},
		{Restrictions{NoAgent: true}, all, false}, {all, Restrictions{NoAgent: true}, true},
		{Restrictions{Commands: []string{"a"}}, all, false}, {all, Restrictions{Commands: []string{"a"}}, true},
		{Restrictions{Commands: []string{"a", "b"}}, Restrictions{Commands: []string{"a"}}, true},
		{Restrictions{Commands: []string{"a"}}, Restrictions{Commands: []string{"a", "b"}}, false},
		{Restrictions{Open: web}, Restrictions{Open: any}, false}, {Restrictions{Open: web}, Restrictions{Open: web}, true},
		{Restrictions{Open: web}, Restrictions{NoLocal: true}, true}, {Restrictions{Listen: web}, all, false},
		{Restrictions{SftpDirectory: "/a"}, all, false}, {all, Restrictions{SftpDirectory: "/a"}, true}, {Restrictions{SftpDirectory: "/a"}, Restrictions{SftpDirectory: "/b"}, false},
		{Restrictions{SftpDirectory: "/a"}, Restrictions{SftpDirectory: "/a"}, true}, {Restrictions{SftpDirectory: "/a"}, Restrictions{NoSftp: true}, true},
		{Restrictions{ReadOnlySftp: true}, all, false}, {Restrictions{ReadOnlySftp: true}, Restrictions{NoSftp: true}, true},
	} {
		if tt.now.Covers(tt.before) != tt.covers {
			t.Errorf("%+v covers %+v: want %v", tt.now, tt.before, tt.covers)
		}
	}
}

func TestDestinations(t *testing.T) {
	for _, tt := range []struct {
		pattern, host string
		port          uint32
		matches       bool
	}{
		{"localhost:8888", "localhost", 8888, true}, {"localhost:8888", "LocalHost", 8888, true},
		{"localhost:8888", "localhost", 8889, false}, {"localhost:8888", "127.0.0.1", 8888, false},
		{"localhost:*", "localhost", 1, true}, {"*:443", "example.org", 443, true}, {"*:443", "example.org", 80, false},
		{"[::1]:80", "::1", 80, true}, {"*:*", "", 0, true}, {"localhost:8888", "", 8888, false},
		{"localhost:8888", "localhost\x00.example.org", 8888, false},
	} {
		d, err := ParseDestination(tt.pattern)
		if err != nil || d.String() != tt.pattern || anyMatches([]Destination{d}, tt.host, tt.port) != tt.matches {
			t.Errorf("%s (%v, %v) for %s:%d: want %v", tt.pattern, d, err, tt.host, tt.port, tt.matches)
		}
	}
	for _, bad := range []string{"", "localhost", ":80", "localhost:", "localhost:0", "localhost:65536", "a b:1", "*.example.org:1", "u@h:1"} {
		if d, err := ParseDestination(bad); err == nil {
			t.Errorf("%q is taken for %v", bad, d)
		}
	}
}
