package harness

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// Slapd is an LDAP directory for one test, of OpenLDAP, below dc=lab. Its people are
// below ou=people, its groups below ou=groups.
type Slapd struct {
	Address string // host:port, without TLS until StartTLS
	Secure  string // host:port with TLS from the beginning
	CA      string // path of its certificate
	Command *exec.Cmd
	dir     string
}

// The account that may read and change everything in the directory.
const (
	SlapdAdmin    = "cn=admin,dc=lab"
	SlapdPassword = "the-directory's-own-9c2e"
)

// StartSlapd starts a directory with entries in LDIF.
func StartSlapd(t *testing.T, ldif string) *Slapd {
	t.Helper()
	Need(t, "/usr/sbin/slapd", "ldapmodify")
	certificates, dir := MakeCertificates(t), t.TempDir()
	s := &Slapd{Address: FreeAddress(t), Secure: FreeAddress(t), CA: filepath.Join(certificates, "ca.pem"), dir: dir}
	if err := os.Mkdir(filepath.Join(dir, "db"), 0o700); err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "slapd.conf")
	Write(t, config, 0o600, fmt.Sprintf(`
include /etc/ldap/schema/core.schema
include /etc/ldap/schema/cosine.schema
include /etc/ldap/schema/nis.schema
include /etc/ldap/schema/inetorgperson.schema
modulepath /usr/lib/ldap
moduleload back_mdb
pidfile %[1]s/slapd.pid
TLSCertificateFile %[2]s/server.pem
TLSCertificateKeyFile %[2]s/server-key.pem
database mdb
suffix dc=lab
rootdn %[3]s
rootpw "%[4]s"
directory %[1]s/db
maxsize 10485760
access to attrs=userPassword by anonymous auth by * none
access to * by users read by anonymous auth
`, dir, certificates, SlapdAdmin, SlapdPassword))
	s.start(t)
	s.Change(t, "dn: dc=lab\nchangetype: add\nobjectClass: dcObject\nobjectClass: organization\no: lab\ndc: lab\n\n"+
		"dn: ou=people,dc=lab\nchangetype: add\nobjectClass: organizationalUnit\nou: people\n\n"+
		"dn: ou=groups,dc=lab\nchangetype: add\nobjectClass: organizationalUnit\nou: groups\n\n"+ldif)
	return s
}

func (s *Slapd) start(t *testing.T) {
	t.Helper()
	s.Command = PlainHome("/usr/sbin/slapd", "-d", "0", "-f", filepath.Join(s.dir, "slapd.conf"), "-h", "ldap://"+s.Address+"/ ldaps://"+s.Secure+"/")
	StartLogged(t, s.Command, filepath.Join(s.dir, "slapd.log"))
	Eventually(t, "slapd", func() bool { return Answers(s.Address) && Answers(s.Secure) })
}

// Change changes entries as LDIF describes it.
func (s *Slapd) Change(t *testing.T, ldif string) {
	t.Helper()
	command := exec.Command("ldapmodify", "-x", "-H", "ldap://"+s.Address, "-D", SlapdAdmin, "-w", SlapdPassword)
	command.Env = append(os.Environ(), "LDAPNOINIT=1")
	command.Stdin = strings.NewReader(ldif)
	Must(t, command)
}

// Stop stops the process (SIGSTOP): its ports accept connections, and nobody answers.
func (s *Slapd) Stop(t *testing.T) {
	t.Helper()
	s.Command.Process.Signal(syscall.SIGSTOP)
	Eventually(t, "slapd to be stopped, with all its threads", func() bool {
		files, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/stat", s.Command.Process.Pid))
		running := func(file string) bool {
			stat, err := os.ReadFile(file)
			return err == nil && !strings.Contains(string(stat), ") T ")
		}
		return len(files) > 0 && !slices.ContainsFunc(files, running)
	})
}

// Continue reverses Stop.
func (s *Slapd) Continue() { s.Command.Process.Signal(syscall.SIGCONT) }

// Port returns the port of an address.
func Port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// LDAPPerson returns an entry with a name and a password.
func LDAPPerson(name, password string) string {
	return fmt.Sprintf("dn: uid=%[1]s,ou=people,dc=lab\nchangetype: add\nobjectClass: inetOrgPerson\nuid: %[1]s\ncn: %[1]s\nsn: %[1]s\nuserPassword: %[2]s\n\n", name, password)
}

// LDAPGroup returns an entry of a group with these people.
func LDAPGroup(name string, members ...string) string {
	ldif := fmt.Sprintf("dn: cn=%[1]s,ou=groups,dc=lab\nchangetype: add\nobjectClass: groupOfNames\ncn: %[1]s\n", name)
	for _, member := range members {
		ldif += "member: uid=" + member + ",ou=people,dc=lab\n"
	}
	return ldif + "\n"
}
