package directory

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/go-ldap/ldap/v3"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/trust"
)

// Patience is how long a question may take, all its parts together.
const Patience = 5 * time.Second

// maxPassword is how long a password may be, in bytes.
const maxPassword = 1024

// maxGroups bounds how many groups a person may be in.
const maxGroups = 1000

// Directory answers questions by what a directory says. It is safe for use by many
// at once.
type Directory struct{ settings Settings }

// New makes a directory of settings that were checked. It asks nothing yet.
func New(settings Settings) *Directory { return &Directory{settings} }

// LogIn returns the person with this name and password, or [auth.ErrDenied]. Any
// other error means that the directory gave no answer.
func (d *Directory) LogIn(ctx context.Context, name string, password []byte) (auth.Person, error) {
	if name == "" || len(password) > maxPassword || len(password) == 0 { // a bind without a password always succeeds (RFC 4513, section 5.1.2)
		return auth.Person{}, auth.ErrDenied
	}
	return d.ask(ctx, func(c *ldap.Conn) (auth.Person, error) {
		if d.settings.User == "" {
			return d.logInBySearch(c, name, password)
		}
		dn := strings.ReplaceAll(d.settings.User, "%u", ldap.EscapeDN(name))
		if err := bindAs(c, dn, password); err != nil {
			return auth.Person{}, err
		}
		return d.person(c, name)
	})
}

// logInBySearch finds the DN first. For a name that is not there it asks for one
// that nobody has, so that both take as many questions.
func (d *Directory) logInBySearch(c *ldap.Conn, name string, password []byte) (auth.Person, error) {
	if err := d.bind(c); err != nil {
		return auth.Person{}, err
	}
	dn, err := d.find(c, name)
	if err != nil && !errors.Is(err, auth.ErrDenied) {
		return auth.Person{}, err
	}
	if err != nil {
		bindAs(c, "cn="+rand.Text()+","+d.settings.People.Base, password)
		return auth.Person{}, auth.ErrDenied
	}
	if err := bindAs(c, dn, password); err != nil {
		return auth.Person{}, err
	}
	return d.person(c, name)
}

// Find returns the person who has a name now, as the account in the settings sees the
// directory; or [auth.ErrDenied] if there is none.
func (d *Directory) Find(ctx context.Context, name string) (auth.Person, error) {
	return d.ask(ctx, func(c *ldap.Conn) (auth.Person, error) { return d.person(c, name) })
}

// Check reports whether the directory answers, and lets the account in that the
// settings name.
func (d *Directory) Check(ctx context.Context) error {
	_, err := d.ask(ctx, func(c *ldap.Conn) (auth.Person, error) { return auth.Person{}, d.bind(c) })
	return err
}

// ask asks for as long as [Patience].
func (d *Directory) ask(ctx context.Context, question func(*ldap.Conn) (auth.Person, error)) (auth.Person, error) {
	bounded, cancel := context.WithTimeout(ctx, Patience)
	defer cancel()
	person, err := d.askOnce(bounded, question)
	switch {
	case err == nil || errors.Is(err, auth.ErrDenied):
		return person, err
	case ctx.Err() != nil:
		return auth.Person{}, context.Cause(ctx)
	case bounded.Err() != nil || errors.Is(err, os.ErrDeadlineExceeded):
		return auth.Person{}, fmt.Errorf("%s says nothing for %v", d.settings.URL, Patience)
	}
	return auth.Person{}, err
}

// askOnce asks over a connection of its own.
func (d *Directory) askOnce(ctx context.Context, question func(*ldap.Conn) (auth.Person, error)) (auth.Person, error) {
	c, err := d.connect(ctx)
	if err != nil {
		return auth.Person{}, err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	return question(c)
}

// connect connects by TLS, until the end of ctx.
func (d *Directory) connect(ctx context.Context) (*ldap.Conn, error) {
	address, tlsAtOnce, err := splitURL(d.settings.URL)
	if err != nil {
		return nil, err
	}
	host, _, _ := net.SplitHostPort(address)
	config, err := trust.TLS(d.settings.CA)
	if err != nil {
		return nil, err
	}
	config.ServerName = host
	raw, err := (&net.Dialer{}).DialContext(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	deadline, _ := ctx.Deadline()
	raw.SetDeadline(deadline)
	if !tlsAtOnce {
		return startTLS(raw, config)
	}
	secure := tls.Client(raw, config)
	if err := secure.HandshakeContext(ctx); err != nil {
		raw.Close()
		return nil, err
	}
	c := ldap.NewConn(secure, true)
	c.Start()
	return c, nil
}

// startTLS asks for TLS on a connection without it, on which nothing else was said.
func startTLS(raw net.Conn, config *tls.Config) (*ldap.Conn, error) {
	c := ldap.NewConn(raw, false)
	c.Start()
	if err := c.StartTLS(config); err != nil {
		c.Close()
		return nil, err
	}
	return c, nil
}

// bind binds as the account that the settings name, if they do.
func (d *Directory) bind(c *ldap.Conn) error {
	if d.settings.Bind == "" {
		return nil
	}
	password, err := trust.Secret(d.settings.PasswordFile)
	if err != nil {
		return err
	}
	if err := c.Bind(d.settings.Bind, password); err != nil {
		return fmt.Errorf("the directory does not let %s in: %w", d.settings.Bind, err)
	}
	return nil
}

// denials are the answers to a bind that are about the person, and not about the
// directory: some directories say so of an account that is locked or has no password.
var denials = []uint16{
	ldap.LDAPResultInvalidCredentials, ldap.LDAPResultInappropriateAuthentication, ldap.LDAPResultNoSuchObject,
	ldap.LDAPResultInvalidDNSyntax, ldap.LDAPResultConstraintViolation, ldap.LDAPResultUnwillingToPerform,
}

// bindAs binds as a person. The error is [auth.ErrDenied] where the password is not
// the person's.
func bindAs(c *ldap.Conn, dn string, password []byte) error {
	err := c.Bind(dn, string(password))
	if ldap.IsErrorAnyOf(err, denials...) {
		return auth.ErrDenied
	}
	return err
}

// person returns the person with a name, and the groups, as they are visible on this
// connection: to the account in the settings, or else to the person who logs in.
func (d *Directory) person(c *ldap.Conn, name string) (auth.Person, error) {
	if err := d.bind(c); err != nil {
		return auth.Person{}, err
	}
	dn, err := d.find(c, name)
	if err != nil {
		return auth.Person{}, err
	}
	groups, err := d.groups(c, name, dn)
	return auth.Person{Name: name, Groups: groups}, err
}

// find returns the DN of the only entry that has exactly this name. A directory
// compares names by its own rules, and may take ANNA for anna; here another spelling
// would be another person.
func (d *Directory) find(c *ldap.Conn, name string) (dn string, err error) {
	search := d.settings.People
	request := ldap.NewSearchRequest(search.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, 2, int(Patience.Seconds()), false,
		fill(search.Filter, name, ""), []string{search.Name}, nil)
	if d.settings.User != "" {
		request.BaseDN, request.Scope = strings.ReplaceAll(d.settings.User, "%u", ldap.EscapeDN(name)), ldap.ScopeBaseObject
	}
	found, err := c.Search(request)
	switch {
	case d.settings.User != "" && ldap.IsErrorAnyOf(err, ldap.LDAPResultNoSuchObject, ldap.LDAPResultInvalidDNSyntax):
		return "", auth.ErrDenied // otherwise the base is not there, which is nobody's going
	case ldap.IsErrorAnyOf(err, ldap.LDAPResultSizeLimitExceeded):
		return "", fmt.Errorf("the filter %s finds several people of one name below %s", search.Filter, search.Base)
	case err != nil:
		return "", fmt.Errorf("people are not found: %w", err)
	}
	if len(found.Entries) == 0 {
		return "", auth.ErrDenied
	}
	if len(found.Entries) > 1 {
		return "", fmt.Errorf("the filter %s finds several people of one name below %s", search.Filter, search.Base)
	}
	entry := found.Entries[0]
	if !slices.Contains(entry.GetEqualFoldAttributeValues(search.Name), name) {
		return "", auth.ErrDenied
	}
	return entry.DN, nil
}

func (d *Directory) groups(c *ldap.Conn, name, dn string) ([]string, error) {
	search := d.settings.Groups
	if search.Base == "" {
		return nil, nil
	}
	found, err := c.Search(ldap.NewSearchRequest(search.Base, ldap.ScopeWholeSubtree, ldap.NeverDerefAliases, maxGroups, int(Patience.Seconds()), false,
		fill(search.Filter, name, dn), []string{search.Name}, nil))
	if err != nil {
		return nil, fmt.Errorf("groups are not found: %w", err)
	}
	var groups []string
	for _, entry := range found.Entries {
		groups = append(groups, entry.GetEqualFoldAttributeValues(search.Name)...)
	}
	return groups, nil
}
