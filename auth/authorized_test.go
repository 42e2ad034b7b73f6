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
	none := &Permits{NoPty: true, NoForwarding: true, NoAgent: true, NoX11: true, NoUserRC: true}
	for options, want := range map[string]Authorized{
		"":                              {},
		"pty,agent-forwarding":          {},
		"restrict":                      {Permits: none},
		"pty,restrict":                  {Permits: none},
		"RESTRICT,Pty":                  {Permits: &Permits{NoForwarding: true, NoAgent: true, NoX11: true, NoUserRC: true}},
		"restrict,port-forwarding":      {Permits: &Permits{NoPty: true, NoAgent: true, NoX11: true, NoUserRC: true}},
		"restrict,agent-forwarding":     {Permits: &Permits{NoPty: true, NoForwarding: true, NoX11: true, NoUserRC: true}},
		"restrict,X11-forwarding":       {Permits: &Permits{NoPty: true, NoForwarding: true, NoAgent: true, NoUserRC: true}},
		"restrict,user-rc":              {Permits: &Permits{NoPty: true, NoForwarding: true, NoAgent: true, NoX11: true}},
		"no-pty":                        {Permits: &Permits{NoPty: true}},
		"no-port-forwarding":            {Permits: &Permits{NoForwarding: true}},
		"no-agent-forwarding":           {Permits: &Permits{NoAgent: true}},
		"no-X11-forwarding":             {Permits: &Permits{NoX11: true}},
		"no-user-rc":                    {Permits: &Permits{NoUserRC: true}},
		`command="rrsync \"/a b\", -x"`: {Permits: &Permits{Command: `rrsync "/a b", -x`}},
		`command="internal-sftp"`:       {Permits: &Permits{Command: "internal-sftp"}},
		`permitopen="localhost:80",permitopen="[::1]:*"`:               {Permits: &Permits{Open: []Destination{{"localhost", 80}, {"::1", 0}}}},
		`permitlisten="8080",permitlisten="localhost:1"`:               {Permits: &Permits{Listen: []Destination{{"*", 8080}, {"localhost", 1}}}},
		`expiry-time="20301231Z"`:                                      {Expires: time.Date(2030, 12, 31, 0, 0, 0, 0, time.UTC)},
		`expiry-time="203012312359"`:                                   {Expires: time.Date(2030, 12, 31, 23, 59, 0, 0, time.Local)},
		`cert-authority,principals="dev,ops"`:                          {Authority: true, Principals: []string{"dev", "ops"}},
		"no-touch-required":                                            {NoTouch: true},
		`from="192.0.2.0/24,!192.0.2.7"`:                               {From: Sources{{network: netip.MustParsePrefix("192.0.2.0/24")}, {not: true, network: netip.MustParsePrefix("192.0.2.7/32")}}},
		`restrict,command="x",permitopen="a:1",pty`:                    {Permits: &Permits{NoForwarding: true, NoAgent: true, NoX11: true, NoUserRC: true, Command: "x", Open: []Destination{{"a", 1}}}},
		`permitopen="a:1",restrict,port-forwarding,no-port-forwarding`: {Permits: &Permits{NoPty: true, NoForwarding: true, NoAgent: true, NoX11: true, NoUserRC: true, Open: []Destination{{"a", 1}}}},
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
			t.Errorf("%s: %+v, permits %+v", options, got, got.Permits)
		}
	}
}

func withoutKey(a Authorized) Authorized {
	a.Key = nil
	return a
}

// An option that is not held to is a hole: whoever wrote it believes in it. So
// the whole line is refused, by its number.
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

// A key may stand in several lines; the first that admits decides, as in sshd.
func TestTheFirstLineThatAdmitsDecides(t *testing.T) {
	key := newKey(t)
	lines, wrong := ParseAuthorizedKeys(fmt.Sprintf("from=\"192.0.2.1\" %[1]s\nrestrict %[1]s\n%[1]s\n", lineOf(key)))
	if len(wrong) > 0 {
		t.Fatal(wrong)
	}
	policy := newPolicy(t, User{Name: "dev", Authorized: lines})
	near, _ := policy.PublicKey("dev", key, netip.MustParseAddr("192.0.2.1"))
	far, err := policy.PublicKey("dev", key, netip.MustParseAddr("198.51.100.1"))
	if !near.Permits.All() || err != nil || far.Permits.MayPty() {
		t.Errorf("near %+v, far %+v, %v", near.Permits, far.Permits, err)
	}
}

func TestPermits(t *testing.T) {
	for _, everything := range []*Permits{nil, {}} {
		if !everything.All() || !everything.MayPty() || !everything.MayAgent() || !everything.MayX11() || !everything.MayUserRC() ||
			!everything.MayOpen("a", 1) || !everything.MayListen("", 0) || !everything.MayOpenSocket() || !everything.MayListenSocket() || everything.Forced() != "" {
			t.Errorf("%+v does not permit everything", everything)
		}
	}
	p := &Permits{Open: []Destination{{"localhost", 80}, {"*", 443}}, Listen: []Destination{{"*", 8080}}}
	for _, tt := range []struct {
		what      string
		got, want bool
	}{
		{"localhost:80", p.MayOpen("LOCALHOST", 80), true}, {"localhost:81", p.MayOpen("localhost", 81), false},
		{"127.0.0.1:80", p.MayOpen("127.0.0.1", 80), false}, {"any:443", p.MayOpen("x", 443), true},
		{"a socket", p.MayOpenSocket(), false}, {"listen 8080", p.MayListen("", 8080), true},
		{"listen 0", p.MayListen("", 0), false}, {"listen at a socket", p.MayListenSocket(), false},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: %v", tt.what, tt.got)
		}
	}
}

// What two credentials permit together is never more than what each does.
func TestAndPermitsNoMoreThanBoth(t *testing.T) {
	lists := [][]Destination{nil, {}, {{"a", 1}}, {{"*", 1}, {"b", 0}}, {{"*", 0}}}
	var all []*Permits
	for _, list := range lists {
		all = append(all, nil, &Permits{Open: list, Listen: list}, &Permits{NoPty: true, Open: list}, &Permits{NoForwarding: true, NoAgent: true},
			&Permits{NoX11: true, NoUserRC: true, Command: "x", Listen: list}, &Permits{Command: "y"})
	}
	for _, a := range all {
		for _, b := range all {
			both, ok := a.And(b)
			if differ := a.Forced() != "" && b.Forced() != "" && a.Forced() != b.Forced(); differ == ok {
				t.Fatalf("%+v and %+v: %v", a, b, ok)
			}
			if !ok {
				continue
			}
			for _, may := range []func(*Permits) bool{
				(*Permits).MayPty, (*Permits).MayAgent, (*Permits).MayX11, (*Permits).MayUserRC, (*Permits).MayOpenSocket, (*Permits).MayListenSocket,
				func(p *Permits) bool { return p.MayOpen("a", 1) }, func(p *Permits) bool { return p.MayOpen("b", 2) }, func(p *Permits) bool { return p.MayListen("b", 1) },
				func(p *Permits) bool { return p.Forced() == "" },
			} {
				if may(both) != (may(a) && may(b)) {
					t.Fatalf("%+v and %+v: %+v", a, b, both)
				}
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
