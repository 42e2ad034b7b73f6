package hosts

import (
	"context"
	"iter"
)

// Source finds hosts of one kind and opens them. Its errors are *[Unreachable].
// It is safe for use by many connections at once.
type Source interface {
	// Run keeps what the source knows current. It returns when ctx ends, or at
	// once where nothing can change.
	Run(ctx context.Context)

	// Lookup finds a host by its name. It asks nobody: it answers by what Run
	// has learnt, and waits only until that was once, or until ctx ends. Where
	// the source has no such host, the error says Unknown.
	Lookup(ctx context.Context, name string) (Host, error)

	// List returns the hosts that Lookup would find, in any order. It waits as
	// Lookup does.
	List(ctx context.Context) []Host

	// ComingBack reports whether a host is likely to be restarting, and whether
	// it is known to the source at all. It neither asks anyone nor waits.
	ComingBack(name string) (comingBack, known bool)

	// Open opens a host that this source looked up, as an account; "" is the
	// one that the host runs as.
	Open(ctx context.Context, host Host, account string) (Entrance, error)

	// Close ends what was opened, and lets go of what the source holds. Run
	// must have returned.
	Close()
}

// LookupEach returns the hosts that lookup finds of these names, in their order: what
// most sources list.
func LookupEach(ctx context.Context, names iter.Seq[string], lookup func(context.Context, string) (Host, error)) []Host {
	var all []Host
	for name := range names {
		if host, err := lookup(ctx, name); err == nil {
			all = append(all, host)
		}
	}
	return all
}
