package configured

import (
	"context"
	"log/slog"
	"os"
	"time"

	"github.com/berth-ssh/berth/hosts"
	"github.com/berth-ssh/berth/state"
)

// lookTimeout is how long Look waits for the engines.
const lookTimeout = 5 * time.Second

// Found is what a name stands for now.
type Found struct {
	hosts.Host
	Err error // why there is no such host; nil if there is
}

// Looked is the result of a look.
type Looked struct {
	Hosts  map[string]Found // those that were asked for, and all others that exist
	Silent []hosts.Silence  // engines and clusters that do not answer
}

// Look looks up names once. It opens no host, and uses a temporary state directory,
// so that it does not disturb a running gateway.
func Look(ctx context.Context, from hosts.Settings, names []string) (Looked, error) {
	dir, err := os.MkdirTemp("", "berth-look-")
	if err != nil {
		return Looked{}, err
	}
	defer os.RemoveAll(dir)
	st, err := state.Open(dir)
	if err != nil {
		return Looked{}, err
	}
	directory, err := Open(from, st, slog.New(slog.DiscardHandler))
	if err != nil {
		return Looked{}, err
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
	return Looked{found, directory.Silent()}, nil
}
