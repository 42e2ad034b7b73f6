package audit

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
	Credential  string       `json:"credential,omitempty"` // a key's fingerprint
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
}

// Forward is a connection into the host that somebody opens.
type Forward struct {
	Who
	To string `json:"to"` // host:port, or the path of a unix socket
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
