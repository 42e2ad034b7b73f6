package hosts

// Labels on a container that make it a host. provision sets them; anyone who
// may create containers can.
const (
	LabelHost    = "berth.host"    // the host's name
	LabelRoute   = "berth.route"   // sshd or exec; exec where it is missing
	LabelAccount = "berth.account" // the Unix account inside, for grants that name none
)

// EnvUser is the variable that tells what runs in a session which of the
// gateway's users it runs for.
const EnvUser = "BERTH_USER"

// HelperMount is where provision mounts the gateway's helper directory,
// read-only, into the containers it makes.
const HelperMount = "/usr/lib/berth"

// HelperDir is the directory below the state directory that holds the helper
// for that mount.
const HelperDir = "helper"

// The ways into a host (berth.route, and route in gateway.yaml).
const (
	RouteSshd  = "sshd"
	RouteExec  = "exec"
	RouteLocal = "local"
)
