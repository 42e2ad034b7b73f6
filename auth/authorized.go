package auth

import (
	"crypto/ed25519"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"golang.org/x/crypto/ssh"
)

// Authorized is one line of an authorized_keys file (sshd(8)): a key that logs its
// owner in, or the key of an authority whose certificates do, with the restrictions
// of such a login.
type Authorized struct {
	Key       ssh.PublicKey
	Authority bool // cert-authority: certificates that Key has signed log in; Key itself does not

	Principals   []string      // a certificate must name one of them; nil: the user's name
	From         Sources       // where the client must be
	Expires      time.Time     // when the line becomes invalid; zero: never
	NoTouch      bool          // a security key need not be touched
	Restrictions *Restrictions // on every host; nil for none
}

// ParseAuthorized parses one line of an authorized_keys file. An option that the
// gateway cannot enforce is an error. The error quotes no part of the key.
func ParseAuthorized(line string) (Authorized, error) {
	key, options, err := parseKeyLine(line)
	if err != nil {
		return Authorized{}, err
	}
	parsed := authorizedOptions{line: Authorized{Key: key}, seen: map[string]bool{}}
	for _, option := range options {
		if err := parsed.set(option); err != nil {
			return Authorized{}, err
		}
	}
	return parsed.result()
}

// CheckOptions checks options that will be put before keys which are not known yet.
func CheckOptions(options string) error {
	_, err := parseOptions(options)
	return err
}

// WithOptions returns a key with options in the form in which they precede a key in a
// line.
func WithOptions(options string, key ssh.PublicKey) (Authorized, error) {
	line, err := parseOptions(options)
	line.Key = key
	return line, err
}

// parseOptions parses options in front of a stand-in key.
func parseOptions(options string) (Authorized, error) {
	standIn, err := ssh.NewPublicKey(ed25519.PublicKey(make([]byte, ed25519.PublicKeySize)))
	if err != nil {
		return Authorized{}, err
	}
	return ParseAuthorized(options + " " + string(ssh.MarshalAuthorizedKey(standIn)))
}

// LineError is an error in one line of a file.
type LineError struct {
	Line int // from 1
	Err  error
}

func (e LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// ParseAuthorizedKeys parses a whole authorized_keys file. It returns all valid
// lines, and an error for each other line. A caller that ignores the errors leaves
// people without keys that somebody meant to give them.
func ParseAuthorizedKeys(text string) (all []Authorized, wrong []LineError) {
	number := 0
	for line := range strings.Lines(text) {
		number++
		line = strings.TrimSpace(line)
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		authorized, err := ParseAuthorized(line)
		if err != nil {
			wrong = append(wrong, LineError{number, err})
			continue
		}
		all = append(all, authorized)
	}
	return all, wrong
}

// admits reports whether the line is valid now for a client at an address.
func (a Authorized) admits(from netip.Addr, now time.Time) bool {
	return a.From.Has(from) && (a.Expires.IsZero() || now.Before(a.Expires))
}

// authorizedOptions collects the options of one line in their order: restrict takes
// back what was permitted before it.
type authorizedOptions struct {
	line         Authorized
	restrictions Restrictions
	seen         map[string]bool
}

var (
	errOptionTwice   = errors.New("is given twice; keep one")
	errOptionValue   = errors.New(`needs a value in quotes, such as from="192.0.2.0/24"`)
	errOptionNoValue = errors.New("takes no value")
)

// set applies one option. Like sshd, it ignores the case of names.
func (o *authorizedOptions) set(option string) error {
	name, quoted, hasValue := strings.Cut(option, "=")
	name = strings.ToLower(name)
	err := o.setFlag(name)
	if err == nil && hasValue {
		err = errOptionNoValue
	}
	if errors.Is(err, errNoFlag) {
		err = o.setQuoted(name, quoted, hasValue)
	}
	if err != nil {
		return fmt.Errorf("option %.40q %w", name, err)
	}
	return nil
}

var errNoFlag = errors.New("is no flag")

func (o *authorizedOptions) setFlag(name string) error {
	r, no := &o.restrictions, strings.HasPrefix(name, "no-")
	switch name {
	case "restrict":
		r.NoPty, r.NoLocal, r.NoRemote, r.NoStreamlocal, r.NoAgent, r.NoX11, r.NoUserRC = true, true, true, true, true, true, true
	case "cert-authority":
		o.line.Authority = true
	case "no-touch-required":
		o.line.NoTouch = true
	case "pty", "no-pty":
		r.NoPty = no
	case "port-forwarding", "no-port-forwarding":
		r.NoLocal, r.NoRemote, r.NoStreamlocal = no, no, no
	case "agent-forwarding", "no-agent-forwarding":
		r.NoAgent = no
	case "x11-forwarding", "no-x11-forwarding":
		r.NoX11 = no
	case "user-rc", "no-user-rc":
		r.NoUserRC = no
	case "verify-required":
		return errors.New("cannot be held to: whether the key asked for a PIN is not known here; leave the key out")
	default:
		return errNoFlag
	}
	return nil
}

func (o *authorizedOptions) setQuoted(name, quoted string, hasValue bool) error {
	repeats := name == "permitopen" || name == "permitlisten"
	known := repeats || slices.Contains([]string{"from", "expiry-time", "command", "principals"}, name)
	value, ok := unquote(quoted)
	switch {
	case name == "environment":
		return errors.New("is refused: a variable can run a program before the shell; set it in the host")
	case name == "tunnel":
		return errors.New("is refused: there are no tunnels here")
	case !known:
		return errors.New("is unknown, so the line is refused; see AUTHORIZED_KEYS FILE FORMAT in man sshd")
	case !hasValue || !ok || value == "":
		return errOptionValue
	case o.seen[name] && !repeats:
		return errOptionTwice
	}
	o.seen[name] = true
	return o.setValue(name, value)
}

func (o *authorizedOptions) setValue(name, value string) (err error) {
	switch name {
	case "from":
		o.line.From, err = ParseSources(value)
	case "expiry-time":
		o.line.Expires, err = parseExpiry(value)
	case "command":
		o.restrictions.Forced, err = parseForced(value)
	case "principals":
		o.line.Principals, err = parsePrincipals(value)
	case "permitopen":
		o.restrictions.Open, err = appendDestination(o.restrictions.Open, value)
	case "permitlisten":
		if !strings.Contains(value, ":") {
			value = "*:" + value // a port alone
		}
		o.restrictions.Listen, err = appendDestination(o.restrictions.Listen, value)
	}
	return err
}

func (o *authorizedOptions) result() (Authorized, error) {
	if o.line.Principals != nil && !o.line.Authority {
		return Authorized{}, errors.New("option principals is for cert-authority lines; a key has none")
	}
	r := o.restrictions
	if r.Open != nil || r.Listen != nil {
		r.NoStreamlocal = true // a unix socket has none of the permitted addresses
	}
	if r.Any() {
		o.line.Restrictions = &r
	}
	return o.line, nil
}

// unquote removes the quotes. Inside them only \" has a special meaning.
func unquote(quoted string) (string, bool) {
	if len(quoted) < 2 || quoted[0] != '"' || quoted[len(quoted)-1] != '"' {
		return "", false
	}
	return strings.ReplaceAll(quoted[1:len(quoted)-1], `\"`, `"`), true
}

func appendDestination(list []Destination, value string) ([]Destination, error) {
	destination, err := ParseDestination(value)
	if err != nil {
		return nil, fmt.Errorf("is %w", err)
	}
	return append(list, destination), nil
}

func parsePrincipals(value string) ([]string, error) {
	principals := strings.Split(value, ",")
	if slices.Contains(principals, "") {
		return nil, errors.New("has an empty principal")
	}
	return principals, nil
}

// parseExpiry parses a time as sshd does: YYYYMMDD[HHMM[SS]], in this machine's time
// zone unless a Z follows.
func parseExpiry(value string) (time.Time, error) {
	digits, utc := strings.CutSuffix(value, "Z")
	zone := time.Local
	if utc {
		zone = time.UTC
	}
	for _, layout := range []string{"20060102", "200601021504", "20060102150405"} {
		if len(layout) == len(digits) {
			if at, err := time.ParseInLocation(layout, digits, zone); err == nil {
				return at, nil
			}
		}
	}
	return time.Time{}, errors.New("must be YYYYMMDD or YYYYMMDDHHMM[SS], with Z for UTC")
}

// parseForced checks a forced command.
func parseForced(command string) (string, error) {
	switch {
	case strings.ContainsRune(command, 0):
		return "", errors.New("has a NUL byte")
	case strings.HasPrefix(command, InternalSftp) && command != InternalSftp:
		return "", errors.New("takes internal-sftp without arguments only: they would not be held to")
	}
	return command, nil
}
