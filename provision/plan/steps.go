package plan

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/berth-ssh/berth/box"
	"github.com/berth-ssh/berth/ledger"
	"github.com/berth-ssh/berth/printable"
	"github.com/berth-ssh/berth/provision/compose"
)

// Op is the operation of a step.
type Op string

const (
	OpPull       Op = "pull"
	OpBuild      Op = "build"
	OpCreate     Op = "create"
	OpConnect    Op = "connect"    // a container to one more network
	OpDisconnect Op = "disconnect" // a container from a network
	OpUpdate     Op = "update"
	OpWait       Op = "wait" // for a container that another starts after
	OpStart      Op = "start"
	OpRestart    Op = "restart"
	OpStop       Op = "stop"
	OpRename     Op = "rename"

	// OpRecreate replaces a container by a new one, which is created beside it. The
	// old one is removed when the new one is up.
	OpRecreate Op = "recreate"
	OpFinish   Op = "finish" // a recreation that was interrupted, in favour of the new container
	OpUndo     Op = "undo"   // the same, in favour of the old one
	OpRemove   Op = "remove"
)

// Kind is the kind of resource that a step changes.
type Kind string

const (
	KindImage     Kind = "image"
	KindNetwork   Kind = "network"
	KindVolume    Kind = "volume"
	KindContainer Kind = "container"

	// In a cluster; a volume is a claim there.
	KindSet    Kind = "statefulset"
	KindSecret Kind = "secret"
	KindPod    Kind = "pod"
)

// Step is one operation on one resource of the engine: what to do, to which resource,
// and why. It is data only; the executor carries it out.
type Step struct {
	Op    Op
	Kind  Kind
	Name  string // of the resource
	ID    string // of a container that was there when the plan was made; "" of a new one
	Cause string

	// The operation's arguments, which depend on op and kind; the others are empty.
	Image   compose.Image      // build
	Network compose.Network    // create a network
	Volume  compose.Volume     // create a volume
	Service compose.Service    // create a container
	Given   ledger.Allocation  // create a container: the GPUs and cores that it gets
	Joins   compose.Attachment // connect, disconnect: the network
	Limits  Limits             // update
	To      string             // rename, finish: the container's new name

	Recreation Recreation         // recreate, finish, undo
	Beside     bool               // undo: another new container stays, so the old one is not started
	Until      compose.Dependency // wait
}

// Task returns the step without its cause, such as "create network lab_default".
func (s Step) Task() string {
	return fmt.Sprintf("%s %s", s.Op, s.resource())
}

func (s Step) resource() string {
	text := fmt.Sprintf("%s %s", s.Kind, s.Name)
	switch s.Op {
	case OpConnect:
		text += " to " + s.Joins.Network
	case OpDisconnect:
		text += " from " + s.Joins.Network
	}
	if s.Op == OpRename {
		text += " to " + s.To
	}
	return text
}

// why returns the cause, and what a new container gets.
func (s Step) why() string {
	text := s.Cause
	for _, d := range s.Given.Devices {
		text += "; gets " + d.String()
	}
	if len(s.Given.CPUs) > 0 {
		text += "; pinned to cpus " + box.FormatCPUs(s.Given.CPUs)
	}
	if s.Recreation.Keep {
		text += "; what was written in it is carried over"
	}
	if s.Recreation.Copy {
		text += "; what was written in it is copied, but for the system's own"
	}
	for _, dir := range s.Recreation.Fills {
		text += "; the new volume at " + dir + " begins with what is there"
	}
	return text
}

// sameAs reports whether two steps do the same for the same cause.
func (s Step) sameAs(other Step) bool {
	return s.Op == other.Op && s.Kind == other.Kind && s.Name == other.Name && s.ID == other.ID && s.Cause == other.Cause &&
		s.Joins.Network == other.Joins.Network && s.To == other.To && s.Recreation.Keep == other.Recreation.Keep && s.Recreation.Copy == other.Recreation.Copy &&
		slices.Equal(s.Given.Devices, other.Given.Devices) && slices.Equal(s.Given.CPUs, other.Given.CPUs)
}

// Kept is a container that would have to be recreated, but is not: people are on it,
// or its GPU is dead and cannot be replaced.
type Kept struct {
	Kind      Kind // "": a container
	Container string
	Cause     string   // why it would have to be recreated
	Users     []string // people on it; none if the cause says why it is kept
}

func (k Kept) String() string {
	text := fmt.Sprintf("%s %s, though %s", cmp.Or(k.Kind, KindContainer), k.Container, k.Cause)
	if len(k.Users) == 0 {
		return text
	}
	return text + ": " + strings.Join(k.Users, ", ") + "; --force recreates it"
}

func (k Kept) sameAs(other Kept) bool {
	return k.Container == other.Container && k.Cause == other.Cause && slices.Equal(k.Users, other.Users)
}

// Plan has the steps from what exists to what is wanted. Making a plan changes
// nothing; its text says what it will do.
type Plan struct {
	Steps     []Step
	Recreated []string // hosts that are recreated, with what was written in them
	Lost      []string // hosts that are removed with what was written in them
	Volumes   []string // volumes that are removed with their data
	Kept      []Kept
	Warnings  []string
	Notes     []string

	images map[string]bool // images that the steps build or pull
}

// String returns the plan for people, with one line for each step.
func (p Plan) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range p.Steps {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.Op, shown(s.resource()), shown(s.why()))
	}
	w.Flush()
	for _, k := range p.Kept {
		fmt.Fprintf(&text, "kept as it is: %s\n", shown(k.String()))
	}
	for _, warning := range p.Warnings {
		fmt.Fprintf(&text, "warning: %s\n", shown(warning))
	}
	for _, note := range p.Notes {
		fmt.Fprintln(&text, shown(note))
	}
	return text.String()
}

// shown returns a text made safe for a terminal: some texts come from labels, which
// may contain anything.
func shown(text string) string { return printable.Line(text, math.MaxInt) }

// SameAs reports whether two plans do, keep and warn of the same things.
func (p Plan) SameAs(other Plan) bool {
	return slices.EqualFunc(p.Steps, other.Steps, Step.sameAs) &&
		slices.EqualFunc(p.Kept, other.Kept, Kept.sameAs) &&
		slices.Equal(p.Warnings, other.Warnings)
}

// Images returns the part of the plan that builds and pulls images, which takes
// nothing from anybody.
func (p Plan) Images() Plan {
	return Plan{Steps: slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Kind != KindImage })}
}

// WithoutImages returns the rest of the plan.
func (p Plan) WithoutImages() Plan {
	p.Steps = slices.DeleteFunc(slices.Clone(p.Steps), func(s Step) bool { return s.Kind == KindImage })
	return p
}

// Loss returns, as a predicate, what the plan does to people's work; "" for nothing.
func (p Plan) Loss() string {
	var losses []string
	if len(p.Recreated) > 0 {
		losses = append(losses, "recreates "+strings.Join(p.Recreated, ", ")+", with what was written there")
	}
	if len(p.Lost) > 0 {
		losses = append(losses, "removes what was written in "+strings.Join(p.Lost, ", ")+" outside its volumes")
	}
	if len(p.Volumes) > 0 {
		losses = append(losses, "removes with their data the volumes "+strings.Join(p.Volumes, ", "))
	}
	return strings.Join(losses, ", and ")
}

// Unasked returns the hosts that lose what was written in them by this plan, and not by
// the one that people were asked about.
func (p Plan) Unasked(shown Plan) []string {
	asked := slices.Concat(shown.Lost, shown.Recreated)
	return slices.DeleteFunc(slices.Concat(p.Lost, p.Recreated), func(host string) bool { return slices.Contains(asked, host) })
}

// Unfinished returns an error that says what the plan keeps as it is, though the files have
// it otherwise; nil for nothing.
func (p Plan) Unfinished() error {
	if len(p.Kept) == 0 {
		return nil
	}
	var kept []string
	for _, k := range p.Kept {
		kept = append(kept, k.String())
	}
	return fmt.Errorf("not everything is as the files have it: %s", strings.Join(kept, "; "))
}

func (p *Plan) add(s Step) {
	if s.Kind == KindImage {
		if p.images == nil {
			p.images = map[string]bool{}
		}
		p.images[s.Name] = true
	}
	p.Steps = append(p.Steps, s)
}

// hasImage reports whether a step builds or pulls the image.
func (p *Plan) hasImage(name string) bool { return p.images[name] }
