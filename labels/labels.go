// Package labels holds the names that the gateway and provision share: labels
// on containers, the variable that carries a person's name, and the paths that
// both know. Containers made by older versions carry them, so a name here is
// never changed, only added.
package labels

import (
	"cmp"
	"strings"
)

// Labels that make a container a host. provision sets them; anyone who may
// create containers can.
const (
	Host    = "berth.host"    // the host's name
	Route   = "berth.route"   // RouteSshd or RouteExec; RouteExec where it is missing
	Account = "berth.account" // the Unix account inside, for grants that name none

	// Container is an annotation of a pod: which of its containers is the host; the
	// first where it is missing.
	Container = "berth.container"
)

// Accounts says how a host of Berth's image has accounts: PerPerson, or one for
// everybody where it is missing. The program MakeAccount in the image makes one of
// the name that it is given.
const (
	Accounts    = "berth.accounts"
	PerPerson   = "per-person"
	MakeAccount = "/usr/local/lib/berth/account.sh"

	// AccountsMark is a file of the image that is there where each person has an account.
	AccountsMark = "/etc/berth_accounts"
)

// Values of Route, and of route in gateway.yaml.
const (
	RouteSshd  = "sshd"
	RouteExec  = "exec"
	RouteLocal = "local" // in gateway.yaml only
)

// Labels on what provision makes. They are its only memory: there is no state
// file beside the engine.
const (
	Prefix    = "berth."
	Project   = "berth.project"
	Service   = "berth.service"
	Config    = "berth.config"         // what the container was made from, as facts
	Image     = "berth.image"          // id of the image it was made from
	CPUs      = "berth.reserve.cpus"   // in nano CPUs; the engine keeps no CPU reservation
	GPUMemory = "berth.reserve.gpu"    // bytes on each of its GPUs, where it shares them
	Variant   = "berth.variant"        // what the files asked of the host image it was made from
	Replaces  = "berth.replaces"       // id of the container that it was made to replace; stays when that one is gone
	Switch    = "berth.switch"         // the same on containers that were made to replace others together: all of them, or none
	Fills     = "berth.fills"          // on a volume: id of the container whose directory it begins with
	Pinned    = "berth.reserve.cpuset" // not empty where the container's cpuset is its own
	Mark      = "berth.mark"           // vouches, by a secret of the state directory, for the reserve labels
)

// NoGPU is the value of GPUMemory on a container that holds none of the GPUs that it sees.
const NoGPU = "none"

// Labels by which docker compose knows what it made.
const (
	ComposePrefix  = "com.docker.compose."
	ComposeProject = "com.docker.compose.project"
	ComposeService = "com.docker.compose.service"
)

// EnvUserCA is the variable of a container of Berth's image with the gateway's user CA at
// the time when it was made, as one line of an authorized_keys file.
const EnvUserCA = "BERTH_USER_CA"

// EnvUser is the variable that tells what runs in a session which of the
// gateway's users it runs for.
const EnvUser = "BERTH_USER"

const (
	// HelperMount is where provision mounts the gateway's helper directory,
	// read-only, into the containers it makes.
	HelperMount = "/usr/lib/berth"

	// HelperDir is the directory below the state directory that holds the
	// helper for that mount.
	HelperDir = "helper"
)

// Owner returns the owner that a container's labels name: a service of a project,
// whichever program created it, or else the container itself, by its name. It is
// stored in the state directory with the host's name, so that the name stays with its
// owner.
func Owner(on map[string]string, container string) string {
	project, service := cmp.Or(on[Project], on[ComposeProject]), cmp.Or(on[Service], on[ComposeService])
	if project == "" {
		return ownerAlone + container
	}
	return "service " + service + " of project " + project
}

// IsAlone reports whether an owner is a container of no project.
func IsAlone(owner string) bool { return strings.HasPrefix(owner, ownerAlone) }

const (
	ownerAlone = "container "
	ownerBox   = "box "
)

// OwnerBox is the owner of a host name that leads to a box, where hosts are on several:
// whose it is there is kept beside name.box.
func OwnerBox(box string) string { return ownerBox + box }

// IsBox reports whether an owner is a box.
func IsBox(owner string) bool { return strings.HasPrefix(owner, ownerBox) }
