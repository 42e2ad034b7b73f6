package audit

import (
	"encoding/json"
	"fmt"
)

// Event is one of the things that are written down. Its fields are those of
// docs/audit.md.
type Event interface{ name() string }

// Conn is the connection that an event belongs to.
type Conn struct {
	Conn   string `json:"conn"`   // its id, as in the gateway's own log
	Remote string `json:"remote"` // address and port of the client
}

// Who is the person that an event is about, and where that person is.
type Who struct {
	Conn
	User string `json:"user"`
	Host string `json:"host"`
}

// LoginTried is an attempt to log in that failed.
type LoginTried struct {
	Conn
	Login  string `json:"login"` // as the gateway's log shows it
	Method string `json:"method"`
}

// Step is a step of a login that was proved.
type Step struct {
	Method      string       `json:"method"`
	Credential  string       `json:"credential,omitempty"` // a key's fingerprint, or a person's name at a service
	Service     string       `json:"service,omitempty"`    // that judged it, ldap or oidc
	Certificate *Certificate `json:"certificate,omitempty"`
}

// Certificate is one by which somebody logged in.
type Certificate struct {
	ID        string `json:"id"`
	Serial    uint64 `json:"serial"`
	Authority string `json:"authority"` // its key's fingerprint
}

// LoggedIn is a login with all its steps, the first one first.
type LoggedIn struct {
	Conn
	User   string `json:"user"`
	Login  string `json:"login"`
	Client string `json:"client"` // the version that the client says
	Steps  []Step `json:"steps"`

	// Seconds since the client connected: until keys were exchanged, which takes no
	// person, and until now.
	Exchange float64 `json:"exchange_seconds"`
	Seconds  float64 `json:"seconds"`
}

// Refused is a login that enters no host.
type Refused struct {
	Conn
	User string `json:"user"`
	Why  string `json:"why"`
}

// Entered is a login that has entered a host.
type Entered struct {
	Who
	Account   string `json:"account,omitempty"`
	Route     string `json:"route"`
	Container string `json:"container,omitempty"`

	Seconds float64 `json:"seconds"` // since the login: until the host was reached
}

// Session is a command, shell or subsystem that somebody starts.
type Session struct {
	Who
	Session uint64 `json:"session"` // counts the sessions of the connection
	Kind    string `json:"kind"`    // shell, exec or subsystem
	Command string `json:"command,omitempty"`
	Asked   string `json:"asked,omitempty"` // for, where the command was forced
	Pty     bool   `json:"pty"`
}

// SessionEnded is how a session ended.
type SessionEnded struct {
	Who
	Session uint64  `json:"session"`
	Exit    *uint32 `json:"exit,omitempty"`   // its exit status; none if nobody told
	Signal  string  `json:"signal,omitempty"` // that ended it
	Seconds float64 `json:"seconds"`
	Up      uint64  `json:"up"`   // bytes from the client
	Down    uint64  `json:"down"` // bytes to it
}

// File is a file that went over a session, or was changed by it.
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

// FilesLost says that what a session does to files cannot be followed any more.
type FilesLost struct {
	Who
	Session uint64 `json:"session"`
	Why     string `json:"why"`
}

// Signal is a signal that somebody sends to a command.
type Signal struct {
	Who
	Session uint64 `json:"session"`
	Signal  string `json:"signal"`
}

// Forward is a connection into the host that somebody opens.
type Forward struct {
	Who
	Forward uint64 `json:"forward"` // counts the forwards of the connection
	To      string `json:"to"`      // host:port, the path of a unix socket, or another kind of channel
}

// Used is a channel that the host opens to the client: its agent, its display, or
// what comes to a listener.
type Used struct {
	Who
	Forward uint64 `json:"forward"`
	What    string `json:"what"`         // agent, x11 or listener
	At      string `json:"at,omitempty"` // address:port of the listener, or the path of a unix socket
	From    string `json:"from,omitempty"`
}

// ForwardEnded is how a forward, or what was used, ended.
type ForwardEnded struct {
	Who
	Forward uint64  `json:"forward"`
	Seconds float64 `json:"seconds"`
	Up      uint64  `json:"up"`   // bytes from the client
	Down    uint64  `json:"down"` // bytes to it
	Why     string  `json:"why,omitempty"`
}

// Listener is a listener in the host that somebody asks for.
type Listener struct {
	Who
	At string `json:"at"` // address:port, or the path of a unix socket
}

// Lent is the client's agent or display that somebody lends to a session.
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

// Changed is a change of who may enter what, by a reload. It comes from the keeper alone.
type Changed struct {
	By     string `json:"by"` // on whose behalf: watch, signal or gateway reload
	User   string `json:"user,omitempty"`
	What   string `json:"what"`
	Change string `json:"change"` // added, removed or changed
	Of     string `json:"of,omitempty"`
	Line   string `json:"line,omitempty"`
}

// FrontSuspected is that the process which parses the network has asked for what no
// honest one asks for: somebody may have taken it over. It comes from the keeper alone.
type FrontSuspected struct {
	Why string `json:"why"`
}

// FrontEnded is that the process which parses the network ended by itself, with every
// connection that it served, and what it knew of failed logins. It comes from the keeper
// alone.
type FrontEnded struct {
	Why string `json:"why"`
}

// Parse reads an event that a front tells, by its name and its fields: those of
// connections, and none that come from the keeper alone.
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

// parser reads an event of one kind; it returns nothing of another one.
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
