package audit

import (
	"encoding/json"
	"fmt"
)

// Event is one thing that is written to the audit file. docs/audit.md describes its
// fields.
type Event interface{ name() string }

// Conn is the connection that an event belongs to.
type Conn struct {
	Conn   string `json:"conn"`   // its id, as in the gateway's own log
	Remote string `json:"remote"` // address and port of the client
}

// Who is the person of an event, and the host and account where the person is.
type Who struct {
	Conn
	User string `json:"user"`
	Host string `json:"host"`
}

// LoginTried is a failed attempt to log in.
type LoginTried struct {
	Conn
	Login  string `json:"login"` // as the gateway's log shows it
	Method string `json:"method"`
}

// Step is a proved step of a login.
type Step struct {
	Method      string       `json:"method"`
	Credential  string       `json:"credential,omitempty"` // a key's fingerprint, or a person's name at a service
	Service     string       `json:"service,omitempty"`    // that judged it, ldap or oidc
	Certificate *Certificate `json:"certificate,omitempty"`
}

// Certificate is a certificate that was used for a step.
type Certificate struct {
	ID        string `json:"id"`
	Serial    uint64 `json:"serial"`
	Authority string `json:"authority"` // its key's fingerprint
}

// LoggedIn is a login, with all its steps in order.
type LoggedIn struct {
	Conn
	User   string `json:"user"`
	Login  string `json:"login"`
	Client string `json:"client"` // the version that the client says
	Steps  []Step `json:"steps"`

	// Seconds since the client connected: until the key exchange was done, which
	// needs no person, and until the login was.
	Exchange float64 `json:"exchange_seconds"`
	Seconds  float64 `json:"seconds"`
}

// Refused is a login that is refused its host.
type Refused struct {
	Conn
	User string `json:"user"`
	Why  string `json:"why"`
}

// Entered is the entry of a host by a login.
type Entered struct {
	Who
	Account   string `json:"account,omitempty"`
	Route     string `json:"route"`
	Container string `json:"container,omitempty"`

	Seconds float64 `json:"seconds"` // since the login: until the host was reached
}

// Session is a command, shell or subsystem that is started.
type Session struct {
	Who
	Session uint64 `json:"session"` // counts the sessions of the connection
	Kind    string `json:"kind"`    // shell, exec or subsystem
	Command string `json:"command,omitempty"`
	Asked   string `json:"asked,omitempty"` // for, where the command was forced
	Pty     bool   `json:"pty"`
}

// SessionEnded is the end of a session.
type SessionEnded struct {
	Who
	Session uint64  `json:"session"`
	Exit    *uint32 `json:"exit,omitempty"`   // its exit status; none if nobody told
	Signal  string  `json:"signal,omitempty"` // that ended it
	Seconds float64 `json:"seconds"`
	Up      uint64  `json:"up"`   // bytes from the client
	Down    uint64  `json:"down"` // bytes to it
}

// File is a file that a session has copied or changed.
type File struct {
	Who
	Session uint64 `json:"session"`
	By      string `json:"by"` // sftp or scp
	Action  string `json:"action"`
	Path    string `json:"path"`
	To      string `json:"to,omitempty"`
	Bytes   uint64 `json:"bytes"`
	Failed  bool   `json:"failed"`
	Cut     bool   `json:"cut"`
}

// FilesLost says that the files of a session can no longer be followed.
type FilesLost struct {
	Who
	Session uint64 `json:"session"`
	Why     string `json:"why"`
}

// Signal is a signal that a client sends to a command.
type Signal struct {
	Who
	Session uint64 `json:"session"`
	Signal  string `json:"signal"`
}

// Forward is a connection that a client opens into the host.
type Forward struct {
	Who
	Forward uint64 `json:"forward"` // counts the forwards of the connection
	To      string `json:"to"`      // host:port, the path of a unix socket, or another kind of channel
}

// Used is a channel that the host opens to the client: to its agent, to its display,
// or for a connection to a listener.
type Used struct {
	Who
	Forward uint64 `json:"forward"`
	What    string `json:"what"`         // agent, x11 or listener
	At      string `json:"at,omitempty"` // address:port of the listener, or the path of a unix socket
	From    string `json:"from,omitempty"`
}

// ForwardEnded is the end of a Forward or a Used.
type ForwardEnded struct {
	Who
	Forward uint64  `json:"forward"`
	Seconds float64 `json:"seconds"`
	Up      uint64  `json:"up"`   // bytes from the client
	Down    uint64  `json:"down"` // bytes to it
	Why     string  `json:"why,omitempty"`
}

// Listener is a listener in the host that a client asks for.
type Listener struct {
	Who
	At string `json:"at"` // address:port, or the path of a unix socket
}

// Lent says that a client offers its agent or its display to a session.
type Lent struct {
	Who
	Session uint64 `json:"session"`
	What    string `json:"what"` // agent or x11
}

// Left is the end of a connection that had entered a host.
type Left struct {
	Who
	Seconds float64 `json:"seconds"`
	Up      uint64  `json:"up"`   // bytes from the client
	Down    uint64  `json:"down"` // bytes to it
	Why     string  `json:"why,omitempty"`
}

// Changed is a change, by a reload, of who may enter what. Only the keeper writes it.
type Changed struct {
	By     string `json:"by"` // on whose behalf: watch, signal or gateway reload
	User   string `json:"user,omitempty"`
	What   string `json:"what"`
	Change string `json:"change"` // added, removed or changed
	Of     string `json:"of,omitempty"`
	Line   string `json:"line,omitempty"`
}

// FrontSuspected says that the process that parses the network has asked for
// something that no honest one asks for: it may have been taken over. Only the keeper
// writes it.
type FrontSuspected struct {
	Why string `json:"why"`
}

// FrontEnded says that the process that parses the network ended by itself, and with
// it all its connections and its record of failed logins. Only the keeper writes it.
type FrontEnded struct {
	Why string `json:"why"`
}

// Parse parses an event that a front reports, by name and fields. It refuses events
// that only the keeper may write.
func Parse(name string, fields json.RawMessage) (Event, error) {
	for _, parse := range []parser{
		as[LoginTried], as[LoggedIn], as[Refused], as[Entered], as[Session], as[SessionEnded], as[Forward], as[Listener], as[Lent], as[Left],
		as[File], as[FilesLost], as[Signal], as[Used], as[ForwardEnded],
	} {
		if event, err := parse(name, fields); event != nil || err != nil {
			return event, err
		}
	}
	return nil, fmt.Errorf("there is no event %.40q", name)
}

// parser parses an event of one kind. It returns nil for other names.
type parser func(name string, fields json.RawMessage) (Event, error)

func as[E Event](name string, fields json.RawMessage) (Event, error) {
	var event E
	if event.name() != name {
		return nil, nil
	}
	if err := json.Unmarshal(fields, &event); err != nil {
		return nil, err
	}
	return event, nil
}

func (LoginTried) name() string   { return "login_tried" }
func (LoggedIn) name() string     { return "logged_in" }
func (Refused) name() string      { return "refused" }
func (Entered) name() string      { return "entered" }
func (Session) name() string      { return "session" }
func (SessionEnded) name() string { return "session_ended" }
func (Forward) name() string      { return "forward" }
func (Listener) name() string     { return "listener" }
func (Lent) name() string         { return "lent" }
func (Left) name() string         { return "left" }
func (File) name() string         { return "file" }
func (FilesLost) name() string    { return "files_lost" }
func (Signal) name() string       { return "signal" }
func (Used) name() string         { return "used" }
func (ForwardEnded) name() string { return "forward_ended" }
func (Changed) name() string      { return "changed" }

func (FrontSuspected) name() string { return "front_suspected" }
func (FrontEnded) name() string     { return "front_ended" }
