package messages

import (
	"cmp"
	"encoding/json"
	"net/netip"
	"time"

	"github.com/berth-ssh/berth/auth"
	"github.com/berth-ssh/berth/gateway"
	"github.com/berth-ssh/berth/helper/messages"
	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/keeper"
	"github.com/berth-ssh/berth/strangers"
)

// The verbs by which a front asks its keeper. Behind each are its arguments, and after
// the semicolon its result.
const (
	Key               = "key"                // [KeyAttempt]; [Step]
	Password          = "password"           // [SecretAttempt]; [Step]
	Code              = "code"               // [SecretAttempt]; [Step]
	DirectoryPassword = "directory_password" // [SecretAttempt]; [Step]
	RequestApproval   = "request_approval"   // [Attempt]; [Approval]
	AwaitApproval     = "await_approval"     // the number of an [Approval]; [Step]
	LoginMethods      = "login_methods"      // none; a keeper.LoginMethods
	Recheck           = "recheck"            // a [Proof]; [Step]
	LogName           = "log_name"           // a user name; what the log shows of it
	RestartingHost    = "restarting_host"    // a [Proof]; the name of a host, or ""
	Admit             = "admit"              // a [Proof]; [Admitted]
	Enter             = "enter"              // [Entry]; [Entered], and the file of its machine or sshd
	CurrentGrant      = "current_grant"      // [GrantQuestion]; [GrantAnswer]
	Leave             = "leave"              // the number of an entrance
	Why               = "why"                // [Question]; a line
	HostKeys          = "host_keys"          // whether those for old clients are wanted; [Keys]
	Sign              = "sign"               // [Signing]; [Signature]
	Audit             = "audit"              // [Event]
	Record            = "record"             // a recording.Session; its file, or none where it cannot be made
)

// The verbs by which a keeper asks a front, likewise.
const (
	Start     = "start"      // [Settings]; nothing, when the front is ready
	Live      = "live"       // [LiveAfter]; []LiveConn, at most [MaxLive]
	End       = "end"        // [Ending]; whether there was such a connection
	Wall      = "wall"       // lines; on how many terminals they are shown
	Penalties = "penalties"  // none; []strangers.Penalty, at most [MaxPenalties]
	Review    = "review"     // none; how many connections were ended
	Strangers = "strangers"  // none; nothing, when they are logged
	StepAside = "step_aside" // how long to linger; nothing
	Stop      = "stop"       // none; nothing. The front ends within its drain
)

// Settings are what a front serves by.
type Settings struct {
	UID, GID               int // that it is to run as; 0: as it is
	Drain, Keepalive, Wait time.Duration
	Recheck                time.Duration // 0: never
	Exempt, Proxies        []netip.Prefix
	Audited                bool
	RecordsGoOn            bool
	RecordsSize            int64 // in bytes, of the recordings that are being made; 0: any
}

// Proof is what a keeper knows an identity by that it has given out. Nobody else can
// make one.
type Proof []byte

// Attempt is a keeper.Attempt.
type Attempt struct {
	Login  string
	From   netip.Addr
	Before Proof `json:",omitempty"`
}

// KeyAttempt shows a key.
type KeyAttempt struct {
	Attempt
	Key    []byte
	Proved bool
}

// SecretAttempt shows a password or a code.
type SecretAttempt struct {
	Attempt
	Secret []byte
}

// Step is a keeper.Step.
type Step struct {
	Failure Failure
	Who     json.RawMessage `json:",omitempty"` // see [EncodeIdentity]
	Proof   Proof           `json:",omitempty"` // none of a key that was not proved
	Next    []auth.Method   `json:",omitempty"`
}

// Approval is a keeper.Approval.
type Approval struct {
	Failure Failure
	keeper.Approval
}

// Admitted is a keeper.Admitted.
type Admitted struct {
	Failure Failure
	Limits  auth.Limits
	Host    string
}

// Entry asks for a host.
type Entry struct {
	Who  Proof
	Host string
}

// Entered is a keeper.Entered, whose machine or sshd is a file that comes along.
type Entered struct {
	Failure  Failure
	Number   uint64 // of the entrance
	Host     hosts.Host
	Account  string
	Target   auth.Target
	Limits   auth.Limits
	Recorded bool
	Machine  *Machine // either this
	Sshd     *Sshd    // or this
	Before   Before
	HasLost  bool // [Lost] can be asked for
}

// Machine is a machine that is handed over.
type Machine struct {
	Version messages.Version
	Helper  string // where no descriptor crosses
}

// Sshd is a connection to an sshd.
type Sshd struct {
	Host     string
	HostKeys [][]byte
	Key      []byte // public; the keeper signs
	Patience time.Duration
	HasWhy   bool // [NotIn] can be asked for
}

// Before is a hosts.Before.
type Before struct{ Ended, Since time.Time }

// What can be asked about an entrance, or about why there is none.
const (
	Lost    = "lost"    // why it has gone away
	NotIn   = "not_in"  // why its sshd refuses the login
	Run     = "run"     // why its former run ended
	Details = "details" // what more is known of why there is no entrance
)

// Question asks about an entrance.
type Question struct {
	Number uint64
	What   string
}

// GrantQuestion asks for the grant that holds now.
type GrantQuestion struct {
	Who     Proof
	Host    auth.Host
	Account string
}

// GrantAnswer is that grant, or why there is none.
type GrantAnswer struct {
	Failure Failure
	Grant   auth.Grant
}

// Keys are a gateway.HostKeys, the public halves.
type Keys struct {
	Key          []byte
	Others, Next [][]byte
}

// Signing asks for a signature by a host key, or by the key of an sshd's entrance.
type Signing struct {
	Entrance  uint64 // 0: by a host key
	Key       []byte // public
	Algorithm string // "": the key's own
	Data      []byte
}

// Signature is a signature as in RFC 4253 §6.6.
type Signature struct{ Signature []byte }

// Event is an event for the audit file.
type Event struct {
	Name   string
	Fields json.RawMessage
}

// Written says whether an event was written, as it must be.
type Written struct{ OK bool }

// Ending ends a connection.
type Ending struct{ ID, Reason string }

// How many connections and penalties one message has, which must not become too large:
// a client's version may be long.
const (
	MaxLive      = 1000
	MaxPenalties = 1000
)

// LiveAfter asks for the connections that come after this one, the oldest first; the zero
// value, for those from the first on.
type LiveAfter struct {
	Since time.Time
	ID    string
}

// After asks for those that come after a connection.
func After(live gateway.Live) LiveAfter { return LiveAfter{live.Since.Round(0), live.ID} }

// Compare sorts connections.
func (a LiveAfter) Compare(b LiveAfter) int {
	return cmp.Or(a.Since.Compare(b.Since), cmp.Compare(a.ID, b.ID))
}

// LiveConn is a gateway.Live.
type LiveConn struct {
	gateway.Live
	User string `json:"Identity"` // in the place of the whole
}

// Penalty is one of a front's penalties.
type Penalty = strangers.Penalty
