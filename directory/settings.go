package directory

import (
	"errors"
	"net"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"
)

// Settings say where a directory is, and how people are found there. In DNs and
// filters %u stands for the name of a person, and %d for the person's own DN.
type Settings struct {
	URL string // ldaps://host, or ldap://host, which is upgraded by StartTLS; with or without a port
	CA  string // a file with the certificates that are trusted; "": the system's

	User   string // the DN of a person; "": they are searched for
	People Search // where people are, where User is ""; its filter must fit in any case

	Bind         string // who searches; "": whoever logs in, or nobody
	PasswordFile string // of Bind

	Groups Search // of the groups of a person; without a base there are none

	Recheck time.Duration // how often those who are connected are asked for again; 0: never
}

// Search is where entries are and what they have.
type Search struct {
	Base   string // a DN, below which they are
	Filter string
	Name   string // the attribute that has the name
}

var (
	errURL       = errors.New("not the address of a directory; write ldaps://ldap.example.org, or ldap:// for StartTLS")
	errFilter    = errors.New("not a filter; write such as (&(objectClass=person)(uid=%u))")
	errAttribute = errors.New("not the name of an attribute; write such as uid or cn")
	errDN        = errors.New("not a DN; write such as ou=people,dc=example,dc=org")
)

// CheckURL says what is wrong with the address of a directory.
func CheckURL(address string) error {
	_, _, err := splitURL(address)
	return err
}

// splitURL is the host and port of a directory, and whether TLS begins at once.
func splitURL(address string) (hostPort string, tlsAtOnce bool, err error) {
	u, err := url.Parse(address)
	if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "" {
		return "", false, errURL
	}
	port, known := map[string]string{"ldaps": ldap.DefaultLdapsPort, "ldap": ldap.DefaultLdapPort}[u.Scheme]
	if !known {
		return "", false, errURL
	}
	if u.Port() != "" {
		port = u.Port()
	}
	return net.JoinHostPort(u.Hostname(), port), u.Scheme == "ldaps", nil
}

// CheckDN says what is wrong with a DN, in which %u may stand for a name.
func CheckDN(dn string) error {
	if _, err := ldap.ParseDN(strings.ReplaceAll(dn, "%u", "u")); err != nil || dn == "" {
		return errDN
	}
	return nil
}

// CheckFilter says what is wrong with a filter, in which %u and %d may stand for a
// person.
func CheckFilter(filter string) error {
	if _, err := ldap.CompileFilter(fill(filter, "u", "d")); err != nil {
		return errFilter
	}
	return nil
}

// CheckAttribute says what is wrong with the name of an attribute.
func CheckAttribute(name string) error {
	if !regexp.MustCompile(`^[A-Za-z][A-Za-z0-9-]*$`).MatchString(name) {
		return errAttribute
	}
	return nil
}

// fill puts a person into a filter.
func fill(filter, name, dn string) string {
	return strings.NewReplacer("%u", ldap.EscapeFilter(name), "%d", ldap.EscapeFilter(dn)).Replace(filter)
}
