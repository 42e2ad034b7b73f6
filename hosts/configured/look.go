package configured

import (
	"context"
	"log/slog"
	"os"
	"time"

	"berth/hosts"
	"berth/state"
)

// lookTimeout is how long, at most, Look waits for the engines.
const lookTimeout = 5 * time.Second

// Found is what a name means now.
type Found struct {
	hosts.Host
	Err error // why there is no such host; nil if there is
}

// Look looks up names once. It opens no host, and it uses a state directory of
// its own, which it removes: a gateway that is running is not disturbed. It
// returns what it found by name, with all other hosts that there are.
func Look(ctx context.Context, from hosts.Settings, names []string) (map[string]Found, error) {
	dir, err := os.MkdirTemp("", "berth-look-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	st, err := state.Open(dir)
	if err != nil {
		return nil, err
	}
	directory, err := Open(from, st, slog.New(slog.DiscardHandler))
	if err != nil {
		return nil, err
	}
	defer directory.Close()
	ctx, cancel := context.WithTimeout(ctx, lookTimeout)
	ran := make(chan struct{})
	go func() {
		defer close(ran)
		directory.Run(ctx)
	}()
	defer func() {
		cancel()
		<-ran
	}()
	found := make(map[string]Found)
	for _, host := range directory.List(ctx) {
		found[host.Name] = Found{Host: host}
	}
	for _, name := range names {
		host, err := directory.Lookup(ctx, name)
		found[name] = Found{host, err}
	}
	return found, nil
}
