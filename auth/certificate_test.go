package auth

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"golang.org/x/crypto/ssh"
)

func newTestSigner(t testing.TB) ssh.Signer {
	t.Helper()
	_, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	signer, err := ssh.NewSignerFromKey(private)
	if err != nil {
		t.Fatal(err)
	}
	return signer
}

var allExtensions = map[string]string{
	"permit-pty": "", "permit-port-forwarding": "", "permit-agent-forwarding": "", "permit-X11-forwarding": "", "permit-user-rc": "",
}

// signed returns a certificate for dev, signed by ca; change is called before it is
// signed.
func signed(t testing.TB, ca ssh.Signer, change func(*ssh.Certificate)) *ssh.Certificate {
	t.Helper()
	c := &ssh.Certificate{
		Key: newKey(t), CertType: ssh.UserCert, KeyId: "dev's", Serial: 7, ValidPrincipals: []string{"dev"},
		ValidBefore: ssh.CertTimeInfinity, Permissions: ssh.Permissions{Extensions: allExtensions},
	}
	principals := c.ValidPrincipals
	if change != nil {
		change(c)
		principals = c.ValidPrincipals
	}
	if len(principals) == 0 { // SignCert refuses to sign it
		c.ValidPrincipals = []string{"x"}
	}
	if err := c.SignCert(rand.Reader, ca); err != nil {
		t.Fatal(err)
	}
	if len(principals) == 0 {
		c.ValidPrincipals = nil
		resign(t, c, ca)
	}
	return c
}

// resign signs a certificate that the library would refuse to sign.
func resign(t testing.TB, c *ssh.Certificate, ca ssh.Signer) {
	t.Helper()
	unsigned := *c
	unsigned.Signature = &ssh.Signature{Format: "x"}
	blob := unsigned.Marshal()
	blob = blob[:len(blob)-4-len(ssh.Marshal(*unsigned.Signature))]
	signature, err := ca.Sign(rand.Reader, blob)
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = signature
}

func TestCertificatesOfAUserCA(t *testing.T) {
	ca, stranger := newTestSigner(t), newTestSigner(t)
	now := time.Date(2030, 1, 1, 0, 0, 0, 0, time.UTC)
	at := func(d time.Duration) uint64 { return uint64(now.Add(d).Unix()) }
	options := func(pairs ...string) func(*ssh.Certificate) {
		return func(c *ssh.Certificate) { c.CriticalOptions = map[string]string{pairs[0]: pairs[1]} }
	}
	for name, tt := range map[string]struct {
		by     ssh.Signer
		change func(*ssh.Certificate)
		login  string
		opens  bool
	}{
		"as it should be":                 {ca, nil, "dev+lab", true},
		"of several principals":           {ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"ops", "dev"} }, "dev", true},
		"valid now":                       {ca, func(c *ssh.Certificate) { c.ValidAfter, c.ValidBefore = at(0), at(time.Second) }, "dev", true},
		"from here":                       {ca, options("source-address", "192.0.2.0/24,10.0.0.1"), "dev", true},
		"with a command":                  {ca, options("force-command", "ls"), "dev", true},
		"an unknown extension":            {ca, func(c *ssh.Certificate) { c.Extensions = map[string]string{"x@y": "z"} }, "dev", true},
		"another's login":                 {ca, nil, "other", false},
		"an unknown user's login":         {ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"nobody"} }, "nobody", false},
		"no login":                        {ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{""} }, "", false},
		"no principal":                    {ca, func(c *ssh.Certificate) { c.ValidPrincipals = nil }, "dev", false},
		"a prefix of the name":            {ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"de", "dev*", "*", "DEV"} }, "dev", false},
		"a host's certificate":            {ca, func(c *ssh.Certificate) { c.CertType = ssh.HostCert }, "dev", false},
		"another authority":               {stranger, nil, "dev", false},
		"not yet":                         {ca, func(c *ssh.Certificate) { c.ValidAfter = at(time.Second) }, "dev", false},
		"no more":                         {ca, func(c *ssh.Certificate) { c.ValidBefore = at(0) }, "dev", false},
		"from elsewhere":                  {ca, options("source-address", "198.51.100.0/24"), "dev", false},
		"from nowhere":                    {ca, options("source-address", ""), "dev", false},
		"an unknown critical option":      {ca, options("no-such-thing", ""), "dev", false},
		"verify-required":                 {ca, options("verify-required", ""), "dev", false},
		"a command that cannot be forced": {ca, options("force-command", "internal-sftp -R"), "dev", false},
	} {
		policy := newPolicyWith(t, WithAuthorities(ca.PublicKey()))
		policy.now = func() time.Time { return now }
		change := tt.change
		if name == "no login" {
			change = func(c *ssh.Certificate) { c.ValidPrincipals = []string{"x"} }
		}
		c := signed(t, tt.by, change)
		who, err := policy.PublicKey(tt.login, c, netip.MustParseAddr("192.0.2.7"))
		if tt.opens != (err == nil) || tt.opens && (who.User != "dev" || who.Certificate != c) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
		if !tt.opens && (!isNobody(who) || err != ErrDenied) {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
}

func newPolicyWith(t testing.TB, options ...Option) *Policy {
	t.Helper()
	policy, err := NewPolicy([]User{
		{Name: "dev", Hosts: map[string]Grant{"lab": {}}},
		{Name: "other", Hosts: map[string]Grant{"vault": {}}},
		{Name: "called", Principals: []string{"called@example.org"}},
	}, options...)
	if err != nil {
		t.Fatal(err)
	}
	return policy
}

// The attacks: change a certificate after it was signed; sign it with the certified
// key; or name the CA's key as the signer without having it.
func TestAForgedCertificateOpensNothing(t *testing.T) {
	ca, own := newTestSigner(t), newTestSigner(t)
	policy := newPolicyWith(t, WithAuthorities(ca.PublicKey()))
	changed := signed(t, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{"other"} })
	changed.ValidPrincipals = []string{"dev"}
	claimed := signed(t, own, nil)
	claimed.SignatureKey = ca.PublicKey()
	bare := signed(t, ca, nil)
	bare.Signature = nil
	itself := signed(t, ca, func(c *ssh.Certificate) { c.Key = own.PublicKey() })
	itself.SignatureKey, itself.Signature = own.PublicKey(), nil
	nested := &ssh.Certificate{Key: signed(t, ca, nil), SignatureKey: signed(t, ca, nil), CertType: ssh.UserCert, ValidPrincipals: []string{"dev"}}
	for name, c := range map[string]*ssh.Certificate{"changed": changed, "claimed": claimed, "bare": bare, "itself": itself, "nested": nested, "empty": {}} {
		if who, err := policy.PublicKey("dev", c, netip.Addr{}); err != ErrDenied {
			t.Errorf("%s: %+v, %v", name, who, err)
		}
	}
	if _, err := policy.PublicKey("dev", ca.PublicKey(), netip.Addr{}); err != ErrDenied {
		t.Error("the CA's own key opens")
	}
}

func TestACertificateNamesAUserByThePrincipalsThatTheUserHas(t *testing.T) {
	ca := newTestSigner(t)
	policy := newPolicyWith(t, WithAuthorities(ca.PublicKey()))
	for principal, opens := range map[string]bool{"called@example.org": true, "called": false} {
		c := signed(t, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{principal} })
		if _, err := policy.PublicKey("called", c, netip.Addr{}); (err == nil) != opens {
			t.Errorf("%s: %v", principal, err)
		}
	}
}

// cert-authority in a user's own file is valid for that user only, with the line's
// options.
func TestAnAuthorityOfOneUser(t *testing.T) {
	ca := newTestSigner(t)
	for _, tt := range []struct {
		options, principal, login string
		opens                     bool
	}{
		{"cert-authority", "dev", "dev", true},
		{"cert-authority", "dev", "other", false},
		{"cert-authority", "other", "other", false},
		{"cert-authority", "ops", "dev", false},
		{`cert-authority,principals="ops,night"`, "night", "dev", true},
		{`cert-authority,principals="ops"`, "dev", "dev", false},
		{`cert-authority,from="198.51.100.1"`, "dev", "dev", false},
		{`cert-authority,expiry-time="20200101"`, "dev", "dev", false},
		{"restrict", "dev", "dev", false},
	} {
		line, err := ParseAuthorized(tt.options + " " + lineOf(ca.PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		policy := newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}}, User{Name: "other"})
		c := signed(t, ca, func(c *ssh.Certificate) { c.ValidPrincipals = []string{tt.principal} })
		if _, err := policy.PublicKey(tt.login, c, netip.MustParseAddr("192.0.2.7")); (err == nil) != tt.opens {
			t.Errorf("%s, %s as %s: %v", tt.options, tt.principal, tt.login, err)
		}
		if _, err := policy.PublicKey("dev", ca.PublicKey(), netip.Addr{}); line.Authority && err != ErrDenied {
			t.Errorf("%s: the authority's own key opens", tt.options)
		}
	}
}

// Only what a certificate permits by name is permitted, and only what its authority's
// line does not forbid.
func TestWhatACertificatePermits(t *testing.T) {
	ca := newTestSigner(t)
	line, err := ParseAuthorized(`cert-authority,no-pty ` + lineOf(ca.PublicKey()))
	if err != nil {
		t.Fatal(err)
	}
	policy := newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}})
	c := signed(t, ca, func(c *ssh.Certificate) {
		c.Extensions = map[string]string{"permit-pty": "", "permit-agent-forwarding": ""}
		c.CriticalOptions = map[string]string{"force-command": "ls"}
	})
	who, err := policy.PublicKey("dev", c, netip.Addr{})
	want := Restrictions{NoPty: true, NoLocal: true, NoRemote: true, NoStreamlocal: true, NoX11: true, NoUserRC: true, Forced: "ls"}
	if err != nil || who.Restrictions == nil || fmt.Sprint(*who.Restrictions) != fmt.Sprint(want) {
		t.Errorf("%+v, %v", who.Restrictions, err)
	}
	line.Restrictions = &Restrictions{Forced: "another"}
	policy = newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}})
	if _, err := policy.PublicKey("dev", c, netip.Addr{}); err != ErrDenied {
		t.Error("two forced commands, and one of them runs")
	}
}

// A certificate can say itself that its security key need not be touched. As in sshd,
// this counts only if the authority's line says so, too.
func TestNoTouchIsTheAuthoritysLineToAllow(t *testing.T) {
	ca := newTestSigner(t)
	c := signed(t, ca, func(c *ssh.Certificate) { c.Extensions = map[string]string{noTouchRequired: ""} })
	for options, opens := range map[string]bool{"cert-authority": false, "cert-authority,no-touch-required": true} {
		line, err := ParseAuthorized(options + " " + lineOf(ca.PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		who, err := newPolicy(t, User{Name: "dev", Authorized: []Authorized{line}}).PublicKey("dev", c, netip.Addr{})
		if (err == nil) != opens || who.NoTouch != opens {
			t.Errorf("%s: %+v, %v", options, who, err)
		}
	}
}

func TestWhatIsRevokedOpensNothing(t *testing.T) {
	ca, key := newTestSigner(t), newTestSigner(t)
	cert := signed(t, ca, func(c *ssh.Certificate) { c.Key = key.PublicKey() })
	fingerprint := ssh.FingerprintSHA256(key.PublicKey())
	for list, open := range map[string]string{
		"# none\n\n":                       "key cert",
		"serial: 7":                        "key",
		"serial: 5-9\nserial: 0x10":        "key",
		"serial: 8-9":                      "key cert",
		"id: dev's":                        "key",
		"id: dev":                          "key cert",
		"key: " + lineOf(key.PublicKey()):  "",
		lineOf(key.PublicKey()) + " dev@x": "",
		lineOf(ca.PublicKey()):             "key",
		"hash: " + fingerprint:             "",
		lineOf(cert):                       "",
	} {
		revoked, wrong := ParseRevoked([]byte(list))
		if len(wrong) > 0 {
			t.Errorf("%s: %v", list, wrong)
			continue
		}
		users := []User{{Name: "dev", Keys: []ssh.PublicKey{key.PublicKey()}, Hosts: map[string]Grant{"lab": {}}}}
		before, err := NewPolicy(users, WithAuthorities(ca.PublicKey()))
		if err != nil {
			t.Fatal(err)
		}
		policy, err := NewPolicy(users, WithAuthorities(ca.PublicKey()), WithRevoked(revoked))
		if err != nil {
			t.Fatal(err)
		}
		opened := ""
		for _, shown := range []struct {
			name string
			key  ssh.PublicKey
		}{{"key", key.PublicKey()}, {"cert", cert}} {
			_, err := policy.PublicKey("dev", shown.key, netip.Addr{})
			if err == nil {
				opened += " " + shown.name
			}
			was, _ := before.PublicKey("dev", shown.key, netip.Addr{})
			if _, refusal := policy.Target(was, Host{Name: "lab"}); (refusal == nil) != (err == nil) {
				t.Errorf("%s: whoever came by the %s before: %v", list, shown.name, refusal)
			}
		}
		if opened != prefixed(open) {
			t.Errorf("%s: opens%s, want %s", list, opened, open)
		}
	}
}

func prefixed(s string) string {
	if s == "" {
		return ""
	}
	return " " + s
}

func TestRevocationsThatAreRefused(t *testing.T) {
	for list, line := range map[string]int{
		"SSHKRL\n\x00\x00": 1, "\nhello": 2, "serial: x": 1, "serial: 9-5": 1, "hash: SHA256:short": 1, "sha1: x": 1, "key: x": 1, "id: a\nnope: b": 2,
	} {
		if _, wrong := ParseRevoked([]byte(list)); len(wrong) != 1 || wrong[0].Line != line {
			t.Errorf("%q: %v", list, wrong)
		}
	}
}

func FuzzRevoked(f *testing.F) {
	for _, list := range []string{"serial: 1-9\nid: x\n# y\n", "key: " + lineOf(newKey(f)), "SSHKRL\n\x00", "hash: SHA256:x\nserial: -1"} {
		f.Add([]byte(list))
	}
	c := signed(f, newTestSigner(f), nil)
	f.Fuzz(func(t *testing.T, list []byte) {
		if revoked, wrong := ParseRevoked(list); len(wrong) == 0 {
			revoked.has(c)
		}
	})
}
