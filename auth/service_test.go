package auth

import (
	"net/netip"
	"testing"
	"time"
)

// ofServices returns a policy with users who may log in by services, and with a group
// for people whom it does not know.
func ofServices(t *testing.T, options ...Option) *Policy {
	t.Helper()
	all := append([]Option{
		WithGroups(Group{
			Name: "students", Hosts: map[string]Grant{"gpu-*": {}}, Limits: Limits{Sessions: 3},
			At: []ServiceGroup{{LDAP, "cn-students"}},
		}),
		WithLimits(Limits{Sessions: 9, Total: time.Hour}),
	}, options...)
	policy, err := NewPolicy([]User{
		{Name: "admin", Password: cheapHash("admin"), Hosts: map[string]Grant{"box": {}}},
		{Name: "anna", At: map[Service]string{LDAP: "a.smith"}, Hosts: map[string]Grant{"lab": {}}},
		{Name: "olga", At: map[Service]string{OIDC: "olga"}, Hosts: map[string]Grant{"lab": {}}},
	}, all...)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// The attack: a person of the directory takes the name of a user in the
// configuration, or logs in under another name for which fewer steps are needed.
func TestWhoIsMeantByANameOfAService(t *testing.T) {
	policy := ofServices(t)
	for _, tt := range []struct {
		service     Service
		login, name string // the person's name at the service
		groups      []string
		enters      bool
	}{
		{LDAP, "anna+lab", "a.smith", nil, true},
		{LDAP, "anna+lab", "anna", nil, false},                                 // somebody else, whom the directory calls so
		{LDAP, "a.smith+gpu-1", "a.smith", []string{"cn-students"}, false},     // anna by another name
		{LDAP, "admin+box", "admin", []string{"cn-students"}, false},           // a namesake of the file's admin
		{LDAP, "bert+gpu-1", "bert", []string{"other", "cn-students"}, true},   // nobody here knows bert
		{LDAP, "bert+gpu-1", "bert", []string{"students"}, false},              // the group here, not the one there
		{LDAP, "bert+gpu-1", "bert", nil, false},                               // in no group
		{LDAP, "bert+gpu-1", "BERT", []string{"cn-students"}, false},           // another spelling
		{LDAP, "olga+lab", "olga", []string{"cn-students"}, false},             // who comes by the other service
		{OIDC, "olga+lab", "olga", nil, true},                                  //
		{OIDC, "olga+lab", "bert", nil, false},                                 // bert approves what olga is asked
		{OIDC, "bert+gpu-1", "bert", []string{"cn-students"}, false},           // the group is the directory's
		{LDAP, "", "", []string{"cn-students"}, false},                         // nobody
		{LDAP, "-bert+gpu-1", "-bert", []string{"cn-students"}, false},         // no name
		{LDAP, "bert@x@gpu-1", "bert@x@gpu-1", []string{"cn-students"}, false}, // no login
	} {
		who, err := policy.By(tt.service, tt.login, Person{tt.name, tt.groups})
		if (err == nil) != tt.enters || err != nil && !isNobody(who) {
			t.Errorf("%+v: %+v, %v", tt, who, err)
		}
		if err != nil {
			continue
		}
		if _, err := policy.Target(who, Host{Name: who.Login.Host}); err != nil {
			t.Errorf("%+v: %v", tt, err)
		}
	}
}

// Which grants and limits a person of a group has, and what happens to connected
// people when the directory or the configuration changes.
func TestWhatAPersonOfAGroupMay(t *testing.T) {
	policy := ofServices(t)
	bert, err := policy.By(LDAP, "bert+gpu-1", Person{"bert", []string{"cn-students"}})
	if err != nil {
		t.Fatal(err)
	}
	gpu, lab := Host{Name: "gpu-1"}, Host{Name: "lab"}
	if got, want := policy.Limits(bert), (Limits{Sessions: 3, Total: time.Hour}); got != want {
		t.Errorf("limits: %+v", got)
	}
	if _, err := policy.Target(bert, lab); err == nil || err.Error() != `host "lab" is not granted to bert; granted: gpu-*` {
		t.Errorf("another host: %v", err)
	}
	anna, err := policy.By(LDAP, "anna+gpu-1", Person{"a.smith", []string{"cn-students"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []Host{gpu, lab} {
		if _, err := policy.Target(anna, host); err != nil {
			t.Errorf("a user who is in a group, too: %v", err)
		}
	}
	if _, err := policy.CurrentGrant(anna.Now(LDAP, &Person{"a.smith", nil}), gpu, ""); err == nil {
		t.Error("out of the group, and goes on by its grant")
	}
	if _, err := policy.CurrentGrant(anna.Now(LDAP, &Person{"a.smith", nil}), lab, ""); err != nil {
		t.Errorf("out of the group, and may not go on by another grant: %v", err)
	}
	if _, err := policy.CurrentGrant(anna.Now(LDAP, nil), lab, ""); err == nil {
		t.Error("out of the directory, and goes on")
	}
	if _, err := policy.CurrentGrant(bert, gpu, ""); err != nil {
		t.Errorf("nothing has changed: %v", err)
	}
	namesake, err := NewPolicy([]User{{Name: "bert", Password: cheapHash("x"), Hosts: map[string]Grant{"gpu-1": {}}}},
		WithGroups(Group{Name: "students", Hosts: map[string]Grant{"gpu-*": {}}, At: []ServiceGroup{{LDAP, "cn-students"}}}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := namesake.CurrentGrant(bert, gpu, ""); err == nil {
		t.Error("goes on as a user of the configuration who was made since")
	}
}

// A rule for a group applies to the people whom a service knows in it.
func TestRulesAreForPeopleOfGroups(t *testing.T) {
	policy := ofServices(t, WithRules(
		Rule{Users: Names{}, Groups: []ServiceGroup{{LDAP, "cn-students"}}, With: []Steps{{ByPassword, ByCode}}},
		Rule{Users: Names{"olga"}, With: []Steps{{ByPublicKey, ByApproval}}},
	))
	at := func(who Identity, err error) Identity {
		if err != nil {
			t.Fatal(err)
		}
		who.From = netip.MustParseAddr("192.0.2.1")
		return who
	}
	if _, next, err := policy.After(nil, at(policy.By(LDAP, "bert+gpu-1", Person{"bert", []string{"cn-students"}}))); err != nil || len(next) != 1 || next[0] != ByCode {
		t.Errorf("after the password of a student: %v, %v", next, err)
	}
	if _, next, err := policy.After(nil, at(policy.By(LDAP, "anna+lab", Person{"a.smith", nil}))); err != nil || len(next) != 0 {
		t.Errorf("after the password of somebody else: %v, %v", next, err)
	}
	approved := at(policy.By(OIDC, "olga+lab", Person{"olga", nil}))
	if _, next, err := policy.After(nil, approved); err != nil || len(next) != 1 || next[0] != ByPublicKey {
		t.Errorf("after an approval alone: %v, %v", next, err)
	}
	key := Identity{User: "olga", Login: approved.Login, Method: ByPublicKey, From: approved.From}
	if _, next, err := policy.After(&key, approved); err != nil || len(next) != 0 {
		t.Errorf("after a key and an approval: %v, %v", next, err)
	}
}

func TestOnePersonOfAServiceIsOneUser(t *testing.T) {
	_, err := NewPolicy([]User{{Name: "a", At: map[Service]string{LDAP: "x"}}, {Name: "b", At: map[Service]string{LDAP: "x"}}})
	if err == nil || err.Error() != "users a and b are the same person of ldap" {
		t.Error(err)
	}
}

func TestStepsWithAnApproval(t *testing.T) {
	for text, ok := range map[string]bool{"oidc": true, "key+oidc": true, "password+oidc": true, "key+totp+oidc": false} {
		if _, err := ParseSteps(text); (err == nil) != ok {
			t.Errorf("%s: %v", text, err)
		}
	}
	for _, tt := range []struct {
		with []Steps
		two  bool
	}{
		{[]Steps{{ByPublicKey, ByCode}, {ByPublicKey, ByApproval}}, true},
		{[]Steps{{ByPassword, ByCode}, {ByPublicKey, ByApproval}}, false},
	} {
		if got := (Rule{With: tt.with}).AsksTwoThings(); got != tt.two {
			t.Errorf("%v: %v", tt.with, got)
		}
	}
}
