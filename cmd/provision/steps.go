package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"berth/box"
	"berth/ledger"
	"berth/provision/compose"
)

// op is what a step does.
type op string

const (
	opPull    op = "pull"
	opBuild   op = "build"
	opCreate  op = "create"
	opConnect op = "connect" // a container to one more network
	opUpdate  op = "update"
	opStart   op = "start"
	opRestart op = "restart"
	opStop    op = "stop"
	opRemove  op = "remove"
)

// kind is what a step does it to.
type kind string

const (
	kindImage     kind = "image"
	kindNetwork   kind = "network"
	kindVolume    kind = "volume"
	kindContainer kind = "container"
)

// step is one operation on one resource of the engine: what to do, to what, and
// why. The executor carries it out; the step itself does nothing.
type step struct {
	op    op
	kind  kind
	name  string // of the resource
	id    string // of a container that was there when the plan was made; "" of a new one
	cause string

	// What the operation takes, by op and kind; the others are empty.
	image   compose.Image      // build
	network compose.Network    // create a network
	volume  compose.Volume     // create a volume
	service compose.Service    // create a container
	given   ledger.Allocation  // create a container: what of the box it gets by name
	joins   compose.Attachment // connect: the network
	limits  limits             // update
}

// task names the step without its cause: create network lab_default.
func (s step) task() string {
	return fmt.Sprintf("%s %s", s.op, s.resource())
}

func (s step) resource() string {
	text := fmt.Sprintf("%s %s", s.kind, s.name)
	if s.op == opConnect {
		text += " to " + s.joins.Network
	}
	return text
}

// why is the cause, and what a new container gets.
func (s step) why() string {
	text := s.cause
	for _, d := range s.given.Devices {
		text += "; gets " + d.String()
	}
	if len(s.given.CPUs) > 0 {
		text += "; pinned to cpus " + box.FormatCPUs(s.given.CPUs)
	}
	return text
}

// sameAs reports whether two plans' steps do the same for the same cause.
func (s step) sameAs(other step) bool {
	return s.op == other.op && s.kind == other.kind && s.name == other.name && s.id == other.id && s.cause == other.cause &&
		s.joins.Network == other.joins.Network &&
		slices.Equal(s.given.Devices, other.given.Devices) && slices.Equal(s.given.CPUs, other.given.CPUs)
}

// kept is a container that ought to be recreated, and is not: somebody is on it.
type kept struct {
	container string
	cause     string
	users     []string
}

func (k kept) String() string {
	return fmt.Sprintf("container %s, though %s: %s; --force recreates it", k.container, k.cause, strings.Join(k.users, ", "))
}

func (k kept) sameAs(other kept) bool {
	return k.container == other.container && k.cause == other.cause && slices.Equal(k.users, other.users)
}

// plan is the way from what is to what ought to be. Making one touches
// nothing, and its text is what it will do.
type plan struct {
	steps    []step
	lost     []string // hosts whose containers go, with what was written in them
	volumes  []string // that go, with their data
	kept     []kept
	warnings []string
	notes    []string
}

// String returns the plan for people, a line a step.
func (p plan) String() string {
	var text strings.Builder
	w := tabwriter.NewWriter(&text, 0, 0, 2, ' ', 0)
	for _, s := range p.steps {
		fmt.Fprintf(w, "%s\t%s\t%s\n", s.op, s.resource(), s.why())
	}
	w.Flush()
	for _, k := range p.kept {
		fmt.Fprintf(&text, "kept as it is: %s\n", k)
	}
	for _, warning := range p.warnings {
		fmt.Fprintf(&text, "warning: %s\n", warning)
	}
	for _, note := range p.notes {
		fmt.Fprintln(&text, note)
	}
	return text.String()
}

// sameAs reports whether two plans do, keep and warn of the same.
func (p plan) sameAs(other plan) bool {
	return slices.EqualFunc(p.steps, other.steps, step.sameAs) &&
		slices.EqualFunc(p.kept, other.kept, kept.sameAs) &&
		slices.Equal(p.warnings, other.warnings)
}

// images returns the part of the plan that takes nothing from anybody.
func (p plan) images() plan {
	return plan{steps: slices.DeleteFunc(slices.Clone(p.steps), func(s step) bool { return s.kind != kindImage })}
}

// withoutImages returns the rest of it.
func (p plan) withoutImages() plan {
	p.steps = slices.DeleteFunc(slices.Clone(p.steps), func(s step) bool { return s.kind == kindImage })
	return p
}

// loss returns what is gone when the plan is carried out; "" for nothing.
func (p plan) loss() string {
	var losses []string
	if len(p.lost) > 0 {
		losses = append(losses, "what was written in "+strings.Join(p.lost, ", ")+" outside its volumes")
	}
	if len(p.volumes) > 0 {
		losses = append(losses, "with their data the volumes "+strings.Join(p.volumes, ", "))
	}
	return strings.Join(losses, ", and ")
}

func (p *plan) add(s step) { p.steps = append(p.steps, s) }

func (p *plan) has(k kind, name string) bool {
	return slices.ContainsFunc(p.steps, func(s step) bool { return s.kind == k && s.name == name })
}
