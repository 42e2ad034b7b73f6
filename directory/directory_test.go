package directory

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/test/harness"
)

// people are a directory's: anna is in two groups, bert in one.
func people(t *testing.T) *harness.Slapd {
	t.Helper()
	return harness.StartSlapd(t, harness.LDAPPerson("anna", "anna's")+harness.LDAPPerson("bert", "bert's")+
		harness.LDAPPerson("carl", "carl's")+harness.LDAPGroup("students", "anna", "bert")+harness.LDAPGroup("admins", "anna")+
		"dn: cn=guests,ou=groups,dc=lab\nchangetype: add\nobjectClass: posixGroup\ncn: guests\ngidNumber: 1\nmemberUid: bert\n\n")
}

// ways are those in which people are found, by TLS from the beginning and by StartTLS.
func ways(t *testing.T, s *harness.Slapd) map[string]Settings {
	t.Helper()
	file := filepath.Join(t.TempDir(), "password")
	harness.Write(t, file, 0o600, harness.SlapdPassword+"\n")
	groups := Search{Base: "ou=groups,dc=lab", Filter: "(|(memberUid=%u)(member=%d)(uniqueMember=%d))", Name: "cn"}
	people := Search{Filter: "(uid=%u)", Name: "uid"}
	below := people
	below.Base = "ou=people,dc=lab"
	return map[string]Settings{
		"by a DN": {URL: "ldaps://127.0.0.1:" + harness.Port(s.Secure), CA: s.CA, User: "uid=%u,ou=people,dc=lab", People: people, Groups: groups},
		"by a DN, and an account": {URL: "ldap://127.0.0.1:" + harness.Port(s.Address), CA: s.CA, User: "uid=%u,ou=people,dc=lab", People: people, Groups: groups,
			Bind: harness.SlapdAdmin, PasswordFile: file},
		"by a search": {URL: "ldap://127.0.0.1:" + harness.Port(s.Address), CA: s.CA, People: below, Groups: groups,
			Bind: harness.SlapdAdmin, PasswordFile: file},
	}
}

func TestWhoLogsIn(t *testing.T) {
	s := people(t)
	for way, settings := range ways(t, s) {
		d := New(settings)
		for _, tt := range []struct{ name, password, want string }{
			{"anna", "anna's", "anna [admins students]"},
			{"bert", "bert's", "bert [guests students]"},
			{"carl", "carl's", "carl []"},
			{"anna", "bert's", "denied"},
			{"nobody", "anna's", "denied"},
		} {
			if got := loggedIn(t, d, tt.name, tt.password); got != tt.want {
				t.Errorf("%s: %s: %s, want %s", way, tt.name, got, tt.want)
			}
		}
	}
}

// loggedIn is who somebody turns out to be; "denied" for nobody.
func loggedIn(t *testing.T, d *Directory, name, password string) string {
	t.Helper()
	person, err := d.LogIn(t.Context(), name, []byte(password))
	if err != nil {
		return err.Error()
	}
	slices.Sort(person.Groups)
	return fmt.Sprint(person.Name, " ", person.Groups)
}

// The attack: bind without a password, which a directory takes for nobody's and lets
// in (RFC 4513, section 5.1.2).
func TestAnEmptyPasswordOpensNothing(t *testing.T) {
	s := people(t)
	for way, settings := range ways(t, s) {
		for _, password := range []string{"", strings.Repeat("x", maxPassword+1)} {
			if got := loggedIn(t, New(settings), "anna", password); got != "denied" {
				t.Errorf("%s: %s", way, got)
			}
		}
	}
}

// The attack: a name that is more than a name where it is put into a filter or a DN,
// and finds somebody else, or somebody in another group.
func TestANameIsNothingButAName(t *testing.T) {
	s := people(t)
	for way, settings := range ways(t, s) {
		d := New(settings)
		for _, name := range []string{
			"*", "a*", "anna)(uid=*", "anna)(|(uid=*))", "*)(uid=anna", "anna,ou=people,dc=lab", "anna+cn=anna", `an\6ea`, `\61nna`, "anna\x00", "", "an na", "#616e6e61", "anna ", " anna",
		} {
			if got := loggedIn(t, d, name, "anna's"); got != "denied" {
				t.Errorf("%s: %q: %s", way, name, got)
			}
			if settings.Bind == "" {
				continue
			}
			if person, err := d.Find(t.Context(), name); !errors.Is(err, auth.ErrDenied) {
				t.Errorf("%s: %q is found: %+v, %v", way, name, person, err)
			}
		}
	}
}

// The attack: log in as ANNA, whom the directory takes for anna and the gateway for
// somebody else, of whom fewer steps are asked, and whose failures are counted apart.
func TestAnotherSpellingIsNobody(t *testing.T) {
	s := people(t)
	for way, settings := range ways(t, s) {
		for _, name := range []string{"ANNA", "Anna"} {
			if got := loggedIn(t, New(settings), name, "anna's"); got != "denied" {
				t.Errorf("%s: %s: %s", way, name, got)
			}
		}
	}
}

// The attack: stand in for the directory, and hear passwords.
func TestAPasswordIsForTheDirectoryAlone(t *testing.T) {
	s := people(t)
	for name, change := range map[string]func(*Settings){
		"another authority": func(s *Settings) { s.CA = filepath.Join(harness.MakeCertificates(t), "ca.pem") },
		"another name":      func(s *Settings) { s.URL = strings.Replace(s.URL, "127.0.0.1", "localhost", 1) },
	} {
		settings := ways(t, s)["by a DN"]
		change(&settings)
		if _, err := New(settings).LogIn(t.Context(), "anna", []byte("anna's")); err == nil || errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// Without TLS it says that it does not speak StartTLS, and waits for a password.
	heard := make(chan string, 1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	go func() {
		conn, err := listener.Accept()
		if err != nil {
			return
		}
		defer conn.Close()
		conn.SetDeadline(time.Now().Add(harness.Patience))
		first := make([]byte, 512)
		n, _ := conn.Read(first)
		conn.Write([]byte("\x30\x0c\x02\x01\x01\x78\x07\x0a\x01\x02\x04\x00\x04\x00")) // protocolError
		rest, _ := io.ReadAll(conn)
		heard <- string(first[:n]) + string(rest)
	}()
	settings := ways(t, s)["by a DN"]
	settings.URL = "ldap://" + listener.Addr().String()
	if _, err := New(settings).LogIn(t.Context(), "anna", []byte("anna's")); err == nil || errors.Is(err, auth.ErrDenied) {
		t.Errorf("without TLS: %v", err)
	}
	if all := <-heard; strings.Contains(all, "anna") {
		t.Errorf("it heard %q", all)
	}
}

// A directory that takes connections and says nothing, or takes none, is waited for
// so long and no longer.
func TestASilentDirectoryIsNotWaitedForLong(t *testing.T) {
	s := people(t)
	d := New(ways(t, s)["by a DN"])
	s.Stop(t)
	defer s.Continue()
	began := time.Now()
	_, err := d.LogIn(t.Context(), "anna", []byte("anna's"))
	if took := time.Since(began); err == nil || errors.Is(err, auth.ErrDenied) || took > 2*Patience {
		t.Errorf("%v, after %v", err, took)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.LogIn(ctx, "anna", []byte("anna's")); err == nil || errors.Is(err, auth.ErrDenied) {
		t.Errorf("nobody waits any more: %v", err)
	}
}

// What the account sees that asks for those who are there: who is gone is gone.
func TestWhoIsFound(t *testing.T) {
	s := people(t)
	for way, settings := range ways(t, s) {
		if settings.Bind == "" {
			continue
		}
		d := New(settings)
		if person, err := d.Find(t.Context(), "anna"); err != nil || person.Name != "anna" || len(person.Groups) != 2 {
			t.Errorf("%s: %+v, %v", way, person, err)
		}
		if _, err := d.Find(t.Context(), "nobody"); !errors.Is(err, auth.ErrDenied) {
			t.Errorf("%s: %v", way, err)
		}
		if err := d.Check(t.Context()); err != nil {
			t.Error(err)
		}
		harness.Write(t, settings.PasswordFile, 0o600, "another\n")
		if err := d.Check(t.Context()); err == nil || errors.Is(err, auth.ErrDenied) || !strings.Contains(err.Error(), harness.SlapdAdmin) {
			t.Errorf("%s: with another password: %v", way, err)
		}
		harness.Write(t, settings.PasswordFile, 0o600, harness.SlapdPassword+"\n")
	}
	// Where people are is not there, as in a directory that is being restored.
	settings := ways(t, s)["by a search"]
	settings.People.Base = "ou=nowhere,dc=lab"
	if _, err := New(settings).Find(t.Context(), "anna"); err == nil || errors.Is(err, auth.ErrDenied) {
		t.Errorf("everybody would be taken for gone: %v", err)
	}
}
