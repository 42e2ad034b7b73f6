package hosts

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/berth-ssh/berth/labels"
)

// Directory is the hosts of all sources.
type Directory struct{ sources []Source }

// NewDirectory returns a directory of sources. The first source that knows a name
// decides what it stands for.
func NewDirectory(sources ...Source) *Directory { return &Directory{sources} }

// Run keeps all sources up to date until ctx ends.
func (d *Directory) Run(ctx context.Context) {
	var all sync.WaitGroup
	for _, source := range d.sources {
		all.Go(func() { source.Run(ctx) })
	}
	all.Wait()
}

// Close ends everything that was opened. Run must have returned.
func (d *Directory) Close() {
	for _, source := range d.sources {
		source.Close()
	}
}

// Lookup finds a host by its name. It makes no call to an engine, and waits only
// until every source has been asked for the first time. Errors are *[Unreachable].
func (d *Directory) Lookup(ctx context.Context, name string) (Host, error) {
	var unknown error = &Unreachable{Host: name, Why: "does not exist", Unknown: true}
	for _, source := range d.sources {
		host, err := source.Lookup(ctx, name)
		if err == nil {
			host.source = source
			return host, nil
		}
		if !IsUnknown(err) {
			return Host{}, err
		}
		unknown = err // the last source's error says most: hosts are mostly found, not listed
	}
	return Host{}, unknown
}

// List returns the hosts that Lookup would find, by name.
func (d *Directory) List(ctx context.Context) []Host {
	names := map[string]bool{}
	for _, source := range d.sources {
		for _, host := range source.List(ctx) {
			names[host.Name] = true
		}
	}
	return LookupEach(ctx, slices.Values(slices.Sorted(maps.Keys(names))), d.Lookup)
}

// ComingBack reports whether a host is probably restarting or being recreated, as far
// as its source knows. It neither asks nor waits.
func (d *Directory) ComingBack(name string) bool {
	for _, source := range d.sources {
		if comingBack, known := source.ComingBack(name); known {
			return comingBack
		}
	}
	return false
}

// Open opens a host that Lookup has found (see [Source]). Errors are *[Unreachable].
func (d *Directory) Open(ctx context.Context, host Host, account string) (Entrance, error) {
	if host.Route == labels.RouteSshd && account == "" {
		why := "says no account to log in as: grant one in gateway.yaml (host: account)"
		return Entrance{}, &Unreachable{Host: host.Name, Why: why}
	}
	return host.source.Open(ctx, host, account)
}
