package auth

import (
	"fmt"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func lineOf(key ssh.PublicKey) string {
	return strings.TrimSpace(string(ssh.MarshalAuthorizedKey(key)))
}

func TestOptionsOfAKey(t *testing.T) {
	key := newKey(t)
	none := &Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true, NoUserRC: true}
	for options, want := range map[string]Authorized{
		"":                              {},
		"pty,agent-forwarding":          {},
		"restrict":                      {Restrictions: none},
		"pty,restrict":                  {Restrictions: none},
		"RESTRICT,Pty":                  {Restrictions: &Restrictions{NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true, NoUserRC: true}},
		"restrict,port-forwarding":      {Restrictions: &Restrictions{NoPty: true, NoAgent: true, NoX11: true, NoUserRC: true}},
		"restrict,agent-forwarding":     {Restrictions: &Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoX11: true, NoUserRC: true}},
		"restrict,X11-forwarding":       {Restrictions: &Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoUserRC: true}},
		"restrict,user-rc":              {Restrictions: &Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true}},
		"no-pty":                        {Restrictions: &Restrictions{NoPty: true}},
		"no-port-forwarding":            {Restrictions: &Restrictions{NoLocal: true, NoRemote: true, NoStreamlocal: true}},
		"no-agent-forwarding":           {Restrictions: &Restrictions{NoAgent: true}},
		"no-X11-forwarding":             {Restrictions: &Restrictions{NoX11: true}},
		"no-user-rc":                    {Restrictions: &Restrictions{NoUserRC: true}},
		`command="rrsync \"/a b\", -x"`: {Restrictions: &Restrictions{Forced: `rrsync "/a b", -x`}},
		`command="internal-sftp"`:       {Restrictions: &Restrictions{Forced: "internal-sftp"}},
		`permitopen="localhost:80",permitopen="[::1]:*"`:               {Restrictions: &Restrictions{NoStreamlocal: true, Open: []Destination{{"localhost", 80}, {"::1", 0}}}},
		`permitlisten="8080",permitlisten="localhost:1"`:               {Restrictions: &Restrictions{NoStreamlocal: true, Listen: []Destination{{"*", 8080}, {"localhost", 1}}}},
		`expiry-time="20301231Z"`:                                      {Expires: time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)},
		`expiry-time="203012312359"`:                                   {Expires: time.Date(2030, 12, 31, 23, 59, 0, 0, time.Local)},
		`cert-authority,principals="dev,ops"`:                          {Authority: true, Principals: []string{"dev", "ops"}},
		"no-touch-required":                                            {NoTouch: true},
		`from="192.0.2.0/24,!192.0.2.7"`:                               {From: Sources{{network: netip.MustParsePrefix("192.0.2.0/24")}, {not: true, network: netip.MustParsePrefix("192.0.2.7/32")}}},
		`restrict,command="x",permitopen="a:1",pty`:                    {Restrictions: &Restrictions{NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true, NoUserRC: true, Forced: "x", Open: []Destination{{"a", 1}}}},
		`permitopen="a:1",restrict,port-forwarding,no-port-forwarding`: {Restrictions: &Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoAgent: true, NoX11: true, NoUserRC: true, Open: []Destination{{"a", 1}}}},
	} {
		got, err := ParseAuthorized(options + " " + lineOf(key) + " a comment")
		if err != nil {
			t.Errorf("%s: %v", options, err)
			continue
		}
		if got.Expires.Equal(want.Expires) {
			got.Expires = want.Expires
		}
		if want.Key = key; !isSameKey(got.Key, key) || !reflect.DeepEqual(withoutKey(got), withoutKey(want)) {
			t.Errorf("%s: %+v, restrictions %+v", options, got, got.Restrictions)
		}
	}
}

func withoutKey(a Authorized) Authorized {
	a.Key = nil
	return a
}

// An option that is silently ignored is a hole, since the line's author relies on it.
// So the whole line is refused, with its number.
func TestALineWithAnOptionThatIsNotHeldToIsRefused(t *testing.T) {
	key := lineOf(newKey(t))
	refused := []struct{ options, why string }{
		{`environment="LD_PRELOAD=/tmp/x"`, "is refused: a variable"},
		{`tunnel="1"`, "no tunnels"},
		{"verify-required", "cannot be held to"},
		{"no-such-option", "is unknown"},
		{`no-such-option="x"`, "is unknown"},
		{"no-restrict", "is unknown"},
		{`restrict="yes"`, "takes no value"},
		{`from=""`, "needs a value"},
		{"from", "needs a value"},
		{`command=ls`, "needs a value"},
		{`from="box.example.org"`, "not looked up"},
		{`from="*.example.org"`, "not looked up"},
		{`from="10.0.0.1/8"`, "not a list of addresses"},
		{`from="10.0.0.0/8,"`, "not a list of addresses"},
		{`from="10.0.0.0/8",from="0.0.0.0/0"`, "given twice"},
		{`command="a",command="b"`, "given twice"},
		{`expiry-time="2030"`, "must be YYYYMMDD"},
		{`expiry-time="20301301"`, "must be YYYYMMDD"},
		{`permitopen="*"`, "not a destination"},
		{`permitopen="a:0"`, "not a destination"},
		{`permitopen="*.example.org:22"`, "not a destination"},
		{`permitlisten="x"`, "not a destination"},
		{`command="internal-sftp -R"`, "without arguments"},
		{`principals="dev"`, "cert-authority"},
		{`cert-authority,principals="dev,,ops"`, "empty principal"},
	}
	text := "# keys\n\n" + key + "\n"
	for _, tt := range refused {
		text += tt.options + " " + key + "\n"
	}
	text += "ssh-ed25519 AAAA\nhello\r\n"
	all, wrong := ParseAuthorizedKeys(text)
	if len(all) != 1 || len(wrong) != len(refused)+2 {
		t.Errorf("%d lines are right, %d wrong: %v", len(all), len(wrong), wrong)
	}
	for i, tt := range refused {
		if got := wrong[i]; got.Line != i+4 || !strings.Contains(got.Err.Error(), tt.why) {
			t.Errorf("%s: line %d, %v", tt.options, got.Line, got.Err)
		}
	}
	for _, err := range wrong {
		if strings.Contains(err.Error(), "AAAAC3") {
			t.Errorf("quotes a key: %v", err)
		}
	}
}

func TestWhereAndUntilWhenALineAdmits(t *testing.T) {
	key := newKey(t)
	noon := time.Date(2030, 6, 1, 12, 0, 0, 0, time.UTC)
	for _, tt := range []struct {
		options, from string
		now           time.Time
		opens         bool
	}{
		{`from="192.0.2.0/24"`, "192.0.2.7", noon, true},
		{`from="192.0.2.0/24"`, "::ffff:192.0.2.7", noon, true},
		{`from="192.0.2.0/24"`, "192.0.3.7", noon, false},
		{`from="192.0.2.0/24"`, "", noon, false},
		{`from="192.0.2.0/24,!192.0.2.7"`, "192.0.2.7", noon, false},
		{`from="!192.0.2.7,192.0.2.0/24"`, "192.0.2.7", noon, false},
		{`from="!192.0.2.7"`, "192.0.2.8", noon, false},
		{`from="192.0.*,2001:db8::?"`, "192.0.9.9", noon, true},
		{`from="192.0.*,2001:db8::?"`, "2001:db8::1", noon, true},
		{`from="192.0.*,2001:db8::?"`, "2001:db8::11", noon, false},
		{`from="*"`, "", noon, false},
		{`from="2001:db8::/32"`, "2001:db8::1", noon, true},
		{`expiry-time="203006011200Z"`, "", noon.Add(-time.Second), true},
		{`expiry-time="203006011200Z"`, "", noon, false},
	} {
		line, err := ParseAuthorized(tt.options + " " + lineOf(key))
		if err != nil {
			t.Fatal(err)
		}
		policy := newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}}, User{Name: "other"})
		policy.now = func() time.Time { return tt.now }
		from, _ := netip.ParseAddr(tt.from)
		if who, err := policy.PublicKey("dev", key, from); (err == nil) != tt.opens || tt.opens && who.From != from {
			t.Errorf("%s from %q: %+v, %v", tt.options, tt.from, who, err)
		}
		if _, err := policy.PublicKey("other", key, from); err != ErrDenied {
			t.Errorf("%s: opens for another: %v", tt.options, err)
		}
	}
}

// A key may be in several lines; the first one that admits it decides, as in sshd.
func TestTheFirstLineThatAdmitsDecides(t *testing.T) {
	key := newKey(t)
	lines, wrong := ParseAuthorizedKeys(fmt.Sprintf("from=\"192.0.2.1\" %[1]s\nrestrict %[1]s\n%[1]s\n", lineOf(key)))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	policy := newPolicy(t, User{Name: "dev", Authorized: lines})
	near, _ := policy.PublicKey("dev", key, netip.MustParseAddr("192.0.2.1"))
	far, err := policy.PublicKey("dev", key, netip.MustParseAddr("198.51.100.1"))
	if near.Restrictions != nil || err != nil || !far.Restrictions.NoPty {
		t.Errorf("near %+v, far %+v, %v", near.Restrictions, far.Restrictions, err)
	}
}

// Of two credentials, or of a credential and a grant, only what each of them allows
// is allowed.
func TestAndAllowsWhatBothAllow(t *testing.T) {
	lists := [][]Destination{nil, {}, {{"a", 1}}, {{"*", 1}, {"b", 0}}, {{"*", 0}}}
	var all []*Restrictions
	for _, list := range lists {
		all = append(all, nil, &Restrictions{Open: list, Listen: list}, &Restrictions{NoPty: true, Open: list}, &Restrictions{NoLocal: true, NoRemote: true, NoAgent: true},
			&Restrictions{NoX11: true, NoUserRC: true, Forced: "x", Listen: list}, &Restrictions{Forced: "y", NoShell: true}, &Restrictions{NoExec: true, NoStreamlocal: true},
			&Restrictions{Commands: []string{"x", "z"}, NoSftp: true}, &Restrictions{Commands: []string{"y", "z"}, ReadOnlySftp: true},
			&Restrictions{SftpDirectory: "/a"}, &Restrictions{SftpDirectory: "/b", NoPty: true})
	}
	for _, one := range all {
		for _, other := range all {
			both, ok := one.And(other)
			a, b := one.orNone(), other.orNone()
			differ := a.Forced != "" && b.Forced != "" && a.Forced != b.Forced
			differ = differ || a.SftpDirectory != "" && b.SftpDirectory != "" && a.SftpDirectory != b.SftpDirectory
			if differ == ok {
				t.Fatalf("%+v and %+v: %v", a, b, ok)
			}
			if !ok {
				continue
			}
			for i, may := range []func(Restrictions) bool{
				func(r Restrictions) bool { return !r.NoPty }, func(r Restrictions) bool { return !r.NoAgent }, func(r Restrictions) bool { return !r.NoX11 },
				func(r Restrictions) bool { return !r.NoUserRC }, func(r Restrictions) bool { return !r.NoStreamlocal }, func(r Restrictions) bool { return !r.NoShell },
				func(r Restrictions) bool { return r.MayOpen("a", 1) }, func(r Restrictions) bool { return r.MayOpen("b", 2) }, func(r Restrictions) bool { return r.MayListen("b", 1) },
				func(r Restrictions) bool { return r.MayExec("x") }, func(r Restrictions) bool { return r.MayExec("z") }, func(r Restrictions) bool { return r.MaySubsystem("sftp") },
				func(r Restrictions) bool { return r.Forced == "" }, func(r Restrictions) bool { return !r.ReadOnlySftp }, func(r Restrictions) bool { return r.SftpDirectory == "" },
			} {
				if may(both.orNone()) != (may(a) && may(b)) {
					t.Fatalf("%d: %+v and %+v: %+v", i, a, b, both)
				}
			}
			if !a.Covers(both.orNone()) || !b.Covers(both.orNone()) {
				t.Fatalf("%+v and %+v: %+v is more than one of them", a, b, both)
			}
		}
	}
}

func FuzzAuthorized(f *testing.F) {
	key := lineOf(newKey(f))
	for _, options := range []string{"", "restrict ", `command="a\"b",from="10.0.0.0/8" `, `permitopen="a:1",permitlisten="1" `, `expiry-time="20300101" `} {
		f.Add(options + key)
	}
	f.Fuzz(func(t *testing.T, line string) {
		authorized, err := ParseAuthorized(line)
		if err == nil && (authorized.Key == nil || checkKey(authorized.Key) != nil) {
			t.Errorf("%q: %+v", line, authorized)
		}
	})
}
